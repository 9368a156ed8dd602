// Two collections of TanStack DB and a copy in memory, with the code of docs/offline-sync.md. It ends with an error if they
// differ from what the service has.

import assert from "node:assert/strict";
import { QueryClient } from "@tanstack/query-core";
import { createTasksApi, createUid } from "./lib/api";
import { createTaskCollection } from "./lib/tasks-collection";
import { follow } from "./lib/tasks-copy";

const [url, token] = process.argv.slice(2);
const api = createTasksApi({ baseUrl: url, getToken: async () => token });
const client = () => new QueryClient({ defaultOptions: { queries: { retry: false } } });
const [one, other] = [createTaskCollection(api, client(), "ada"), createTaskCollection(api, client(), "ada")];
const copy = { tasks: new Map() };
globalThis.window = new EventTarget();
let show;
follow(api, copy, () => show());

async function compare() {
  const shown = new Promise((resolve) => (show = resolve));
  window.dispatchEvent(new Event("focus"));
  await Promise.all([one.utils.refetch(), other.utils.refetch(), shown]);
  const { tasks } = await api.page({ limit: 1000 });
  const order = (list) => list.map(({ deleted, ...task }) => task).sort((a, b) => b.id - a.id);
  for (const list of [one.toArray, other.toArray, [...copy.tasks.values()]])
    assert.deepEqual(order(list.map(withoutOwn)), order(tasks));
  return tasks;
}

/** Leaves out what TanStack DB adds. */
const withoutOwn = (task) => Object.fromEntries(Object.entries(task).filter(([name]) => !name.startsWith("$")));

for (const title of ["1", "2", "3"]) await api.create({ title });
await one.preload();
await other.preload();
assert.equal((await compare()).length, 3);

const added = one.insert({ uid: createUid(), title: "4" });
assert.equal(one.size, 4); // It is there before the service has it.
await added.isPersisted.promise;
const [, third, second, first] = await compare();
await Promise.all([
  one.update(second.uid, (task) => void (task.title = "two")).isPersisted.promise,
  other.update(second.uid, (task) => void (task.description = "2")).isPersisted.promise,
  other.delete(third.uid).isPersisted.promise,
]);
const changed = (await compare()).find(({ id }) => id === second.id);
assert.deepEqual([changed.title, changed.description, one.size], ["two", "2", 3]);

const refused = one.update(first.uid, (task) => void (task.title = " "));
await assert.rejects(refused.isPersisted.promise, { code: "invalid_fields" });
assert.equal(one.get(first.uid).title, "1");
await api.delete(first.uid);
await api.emptyTrash(); // The cursors expire, because the copies do not know of the deletion.
assert.equal((await compare()).length, 2);
process.exit();
