// A device of a user, with the code of docs/offline-sync.md. It stands in for a browser with a window and a localStorage,
// which is kept in a file. Each line of the input is a call of an action, and each line of the output its result.

import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { createTasksApi, createUid } from "./lib/api";
import { openTasks } from "./lib/open-tasks";

const [url, token, file] = process.argv.slice(2);
const lines = existsSync(file) ? readFileSync(file, "utf8").split("\n").filter(Boolean) : [];
const items = new Map();
function set(key, value) {
  if (value === null) items.delete(key);
  else items.set(key, value);
}
for (const line of lines) set(...JSON.parse(line));
function keep(key, value) {
  set(key, value);
  appendFileSync(file, `${JSON.stringify([key, value])}\n`);
}
const localStorage = { getItem: (key) => items.get(key) ?? null, setItem: keep, removeItem: (key) => keep(key, null) };
globalThis.window = Object.assign(new EventTarget(), { localStorage });
globalThis.navigator ??= { onLine: true }; // Node.js 20 has none.

const api = createTasksApi({ baseUrl: url, getToken: async () => token });
const refused = [];
const { tasks, replication } = await openTasks(api, "ada", ({ title }, { code }) => refused.push([title, code]));
replication.retryTime = 100; // Milliseconds, so that the test is fast.

const find = (uid) => tasks.findOne(uid).exec(true);
const actions = {
  async add(task) {
    const uid = createUid();
    await tasks.insert({ uid, ...task });
    return uid;
  },
  change: async (uid, changes) => void (await (await find(uid)).incrementalPatch(changes)),
  remove: async (uid) => void (await (await find(uid)).incrementalRemove()),
  focus: async () => void window.dispatchEvent(new Event("focus")),
  list: async () => (await tasks.find().exec()).map((task) => task.toJSON()),
  refused: async () => refused,
};
for await (const line of createInterface({ input: process.stdin })) {
  const [action, ...values] = JSON.parse(line);
  console.log(JSON.stringify((await actions[action](...values)) ?? null));
}
process.exit();
