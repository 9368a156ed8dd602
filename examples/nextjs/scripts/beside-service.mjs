// What `make frontend` runs: installs, builds and serves this beside the service of `make run`, with its settings.

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

/** When a file was changed, or the newest in a folder; 0 if it is not there. */
function changed(path) {
  const status = existsSync(path) && statSync(path);
  if (!status) return 0;
  return status.isDirectory() ? Math.max(0, ...readdirSync(path).map((name) => changed(join(path, name)))) : status.mtimeMs;
}

function run(what, program, ...parameters) {
  console.log(what);
  try {
    execFileSync(program, parameters, { stdio: ["ignore", "ignore", "inherit"], env: { ...process.env, API_URL } });
  } catch {
    fail(`${program} ${parameters.join(" ")} failed; what it said is above`);
  }
}

if (!BETTER_AUTH_SECRET) fail("BETTER_AUTH_SECRET is not set: Better Auth signs its cookies with it; add it to .env");
if (!BETTER_AUTH_URL)
  fail("BETTER_AUTH_URL is not set: add BETTER_AUTH_URL=http://localhost:3000 to .env, and start make run again");
if (DATABASE_URL && !/[?&]host=(%2F|\/)|@(localhost|127\.0\.0\.1|\[::1\])[:/]/.test(DATABASE_URL) && !process.env.ANY_DATABASE)
  fail("this would make Better Auth's tables in a database that is not on this machine; ANY_DATABASE=yes make frontend does");
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

if (changed("node_modules/.package-lock.json") < changed("package-lock.json"))
  run("Installing the frontend: half a minute, once.", "npm", "ci", "--no-audit", "--no-fund", "--loglevel=error");
run("Bringing Better Auth's tables up to date.", "npm", "run", "--silent", "migrate");
if (changed(".next/BUILD_ID") < Math.max(...SOURCES.map(changed)))
  run("Building the frontend: half a minute.", "npm", "run", "--silent", "build");

const start = ["node_modules/next/dist/bin/next", "start", "--hostname", hostname, "--port", port];
const next = spawn(process.execPath, start, { stdio: "inherit", env: { ...process.env, API_URL } });
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => next.kill(signal));
next.on("exit", (code) => process.exit(code ?? 0));
// Whoever opens it at once shall see it.
while (!(await fetch(`http://${hostname}:${port}`).catch(() => undefined))) await sleep(100);
console.log(`\nOpen ${BETTER_AUTH_URL}\n`);
