// Installs, builds and serves the frontend next to the service of `make run`. `make frontend` runs this script with the
// service's settings. With DEV, it serves the sources instead, and reloads the page when they change.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const { BETTER_AUTH_SECRET, BETTER_AUTH_URL, DATABASE_URL = "", DEV, PORT = "8000" } = process.env;
const API_URL = `http://localhost:${PORT}`;
const SOURCES = ["app", "components", "lib", "instrumentation.ts", "next.config.ts", "package-lock.json", "proxy.ts"];

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

/** Starts a program, and ends this script with it after Ctrl-C. `output` collects what it prints, and may forward it. */
function start(output, program, ...parameters) {
  const env = { ...process.env, API_URL, NEXT_TELEMETRY_DISABLED: "1" };
  const child = spawn(program, parameters, { stdio: ["ignore", "pipe", "pipe"], env });
  for (const stream of [child.stdout, child.stderr]) stream.on("data", output);
  let isStopping = false;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"])
    process.once(signal, () => {
      isStopping = true;
      child.kill(signal);
    });
  // With a status of 0, make adds no line about an error.
  child.on("exit", () => isStopping && (console.log("\nThe frontend is stopped."), process.exit(0)));
  return child;
}

/** Runs a program to its end. Shows the seconds meanwhile, and its output only if it fails. */
async function run(title, program, ...parameters) {
  const started = Date.now();
  const write = (end) => process.stdout.write(`\r${title} ${Math.round((Date.now() - started) / 1000)} s${end}`);
  const timer = process.stdout.isTTY ? setInterval(write, 1000, "") : console.log(title);
  if (timer) write("");
  const chunks = [];
  const child = start((chunk) => chunks.push(chunk), program, ...parameters);
  const [code] = await once(child, "close");
  clearInterval(timer);
  if (timer) write("\n");
  if (code === 0) return;
  console.error(Buffer.concat(chunks).toString());
  fail(`${program} ${parameters.join(" ")} failed; its output is above`);
}

if (!BETTER_AUTH_SECRET) fail("BETTER_AUTH_SECRET is not set; add it to .env (Better Auth signs its cookies with it)");
if (!BETTER_AUTH_URL)
  fail("BETTER_AUTH_URL is not set: add BETTER_AUTH_URL=http://localhost:3000 to .env, and start make run again");
const { protocol, hostname, port: given, pathname, origin } = new URL(BETTER_AUTH_URL);
if (protocol !== "http:" || !["localhost", "127.0.0.1"].includes(hostname) || pathname !== "/")
  fail(`BETTER_AUTH_URL is ${BETTER_AUTH_URL}, but make frontend needs an address like http://localhost:3000; change it in .env`);
if (DATABASE_URL && !/[?&]host=(%2F|\/)|@(localhost|127\.0\.0\.1|\[::1\])[:/]/.test(DATABASE_URL) && !process.env.ANY_DATABASE)
  fail("the database is not on this machine; to create Better Auth's tables in it, run ANY_DATABASE=yes make frontend");

const health = await fetch(`${API_URL}/healthz`).then((answer) => answer.json(), () => undefined).catch(() => undefined);
if (health?.status !== "ok")
  fail(`the task service does not answer at ${API_URL}; start it in another terminal: make run. On another port: PORT=8001 make frontend`);
const preflight = { method: "OPTIONS", headers: { Origin: origin, "Access-Control-Request-Method": "GET" } };
const { headers } = await fetch(`${API_URL}/api/tasks`, preflight);
if (![origin, "*"].includes(headers.get("Access-Control-Allow-Origin")))
  fail(`the task service refuses pages of ${origin}; set CORS_ORIGINS=${origin} in .env, and start make run again`);

const port = given || "80";
await new Promise((resolve) => {
  const server = createServer().listen(port, hostname, () => server.close(resolve));
  const other = `http://${hostname}:${Number(port) + 1}`;
  server.on("error", ({ code }) =>
    fail(
      `port ${port} ${code === "EADDRINUSE" ? "is in use" : `cannot be used (${code})`}; for another, set ` +
        `BETTER_AUTH_URL=${other} and CORS_ORIGINS=${other} in .env, and start make run and make frontend again`,
    ),
  );
});

if (findModified("node_modules/.package-lock.json") < findModified("package-lock.json"))
  await run("Installing packages: about half a minute, once …", "npm", "ci", "--no-audit", "--no-fund", "--loglevel=error");
await run("Preparing Better Auth's tables …", "npm", "run", "--silent", "migrate");
if (!DEV && findModified(".next/BUILD_ID") < Math.max(...SOURCES.map(findModified)))
  await run("Building the frontend: about half a minute …", "npm", "run", "--silent", "build");

// Print the address when the server responds, below everything else. Next.js prints another one at its start.
let isReady = Boolean(DEV);
const chunks = [];
const output = (chunk) => (isReady ? process.stdout.write(chunk) : chunks.push(chunk));
const next = ["node_modules/next/dist/bin/next", DEV ? "dev" : "start", "--hostname", hostname, "--port", port];
start(output, process.execPath, ...next).on("exit", (code) => {
  console.error(Buffer.concat(chunks).toString());
  fail(`the frontend ended with status ${code}`);
});
while (!(await fetch(`http://${hostname}:${port}`).catch(() => undefined))) await sleep(100);
isReady = true;
chunks.length = 0;
console.log(`\nOpen ${BETTER_AUTH_URL} and create an account: any name will do, no mail is sent. Ctrl-C stops the frontend.`);
