// Installs, builds and serves the frontend next to the service of `make run`. `make frontend` runs this script with the
// service's settings.

import { execFileSync, spawn } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const { BETTER_AUTH_SECRET, BETTER_AUTH_URL, DATABASE_URL = "", PORT = "8000" } = process.env;
const API_URL = `http://localhost:${PORT}`;
const SOURCES = ["app", "components", "lib", "next.config.ts", "package-lock.json", "proxy.ts"];

process.chdir(join(import.meta.dirname, ".."));

function fail(message) {
  console.error(`Error: ${message}`);
  process.exit(1);
}

/** Returns the modification time of a file, or of the newest file in a folder; 0 if it does not exist. */
function findModified(path) {
  const status = existsSync(path) && statSync(path);
  if (!status) return 0;
  if (!status.isDirectory()) return status.mtimeMs;
  return Math.max(0, ...readdirSync(path).map((name) => findModified(join(path, name))));
}

function run(message, program, ...parameters) {
  console.log(message);
  try {
    execFileSync(program, parameters, { stdio: ["ignore", "ignore", "inherit"], env: { ...process.env, API_URL } });
  } catch {
    fail(`${program} ${parameters.join(" ")} failed; see its output above`);
  }
}

if (!BETTER_AUTH_SECRET) fail("BETTER_AUTH_SECRET is not set; add it to .env (Better Auth signs its cookies with it)");
if (!BETTER_AUTH_URL)
  fail("BETTER_AUTH_URL is not set: add BETTER_AUTH_URL=http://localhost:3000 to .env, and start make run again");
if (DATABASE_URL && !/[?&]host=(%2F|\/)|@(localhost|127\.0\.0\.1|\[::1\])[:/]/.test(DATABASE_URL) && !process.env.ANY_DATABASE)
  fail("the database is not on this machine; to create Better Auth's tables in it, run ANY_DATABASE=yes make frontend");
await fetch(`${API_URL}/healthz`).catch(() =>
  fail(`the task service does not answer at ${API_URL}; start it in another terminal: make run`),
);
const { hostname, port: given } = new URL(BETTER_AUTH_URL);
const port = given || "80";
await new Promise((resolve) => {
  const server = createServer().listen(port, hostname, () => server.close(resolve));
  server.on("error", ({ code }) =>
    fail(`port ${port} cannot be used (${code}); for another, set BETTER_AUTH_URL and CORS_ORIGINS in .env to its address`),
  );
});

if (findModified("node_modules/.package-lock.json") < findModified("package-lock.json"))
  run("Installing the frontend: half a minute, once.", "npm", "ci", "--no-audit", "--no-fund", "--loglevel=error");
run("Migrating Better Auth's tables.", "npm", "run", "--silent", "migrate");
if (findModified(".next/BUILD_ID") < Math.max(...SOURCES.map(findModified)))
  run("Building the frontend: half a minute.", "npm", "run", "--silent", "build");

const start = ["node_modules/next/dist/bin/next", "start", "--hostname", hostname, "--port", port];
const next = spawn(process.execPath, start, { stdio: "inherit", env: { ...process.env, API_URL } });
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => next.kill(signal));
next.on("exit", (code) => process.exit(code ?? 0));
// Print the address only when the server responds.
while (!(await fetch(`http://${hostname}:${port}`).catch(() => undefined))) await sleep(100);
console.log(`\nOpen ${BETTER_AUTH_URL}\n`);
