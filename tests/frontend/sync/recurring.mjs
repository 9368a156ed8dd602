// The code of docs/recurring-tasks.md: the days of each rule of the page, and reminders in a page. It ends with an error if
// they differ from what the page says.

import assert from "node:assert/strict";
import { createTasksApi } from "./lib/api";
import { listDays } from "./lib/occurrences";
import { followReminders } from "./lib/reminders";

const [url, token, rows] = process.argv.slice(2);
for (const [rule, due_date, days] of JSON.parse(rows)) {
  const task = { due_date, recurrence: { rule, from: "due", time_zone: null } };
  assert.deepEqual(listDays(task, days.length + 1), [due_date, ...days]);
}
const evening = { due_date: "2027-01-08T02:00:00Z", recurrence: { rule: "FREQ=DAILY", time_zone: "America/New_York" } };
assert.deepEqual(listDays(evening, 2), ["2027-01-07", "2027-01-08"]);
assert.deepEqual(listDays({ due_date: "2027-01-07", recurrence: null }, 2), []);

const api = createTasksApi({ baseUrl: url, getToken: async () => token });
globalThis.window = new EventTarget();
const at = (milliseconds) => new Date(Date.now() + milliseconds).toISOString();
const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
await api.create({ title: "Past", remind_at: at(-1000) });
await api.create({ title: "Done", remind_at: at(300), completed: true });
await api.create({ title: "Soon", remind_at: at(300) });
await api.create({ title: "Later", remind_at: at(600_000) });
const shown = [];
const stop = followReminders(api, ({ title }) => shown.push(title));
await wait(100);
assert.deepEqual(shown, []);
await api.create({ title: "New", remind_at: at(200) });
window.dispatchEvent(new Event("focus"));
await wait(400);
window.dispatchEvent(new Event("focus"));
await wait(100);
assert.deepEqual(shown.sort(), ["New", "Soon"]);
stop();
await api.create({ title: "After the end", remind_at: at(1) });
window.dispatchEvent(new Event("focus"));
await wait(100);
assert.equal(shown.length, 2);
process.exit();
