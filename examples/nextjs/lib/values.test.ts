// Tests the values of the edit form in the time zones of users east and west of UTC.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Task } from "./api";
import { describeDue, findChanges, toValues } from "./values";

// At these times, the day in UTC is another one.
const INSTANTS = {
  "America/New_York": { due: "2031-01-01T03:30:00.000000Z", day: "2030-12-31", shown: "Tue, Dec 31, 2030, 22:30" },
  "Asia/Tokyo": { due: "2030-12-31T15:30:00.000000Z", day: "2031-01-01", shown: "Wed, Jan 1, 2031, 00:30" },
};

const makeTask = (due_date: string) => ({ title: "Call", description: null, due_date, priority: null, tags: ["a"] }) as unknown as Task;

for (const [zone, { due, day, shown }] of Object.entries(INSTANTS)) {
  test(`the form and the list show the same day in ${zone}`, () => {
    process.env.TZ = zone;
    assert.equal(toValues(makeTask(due)).due_date, day);
    assert.equal(describeDue(due).text, shown);
  });

  test(`an unchanged due date is not sent in ${zone}`, () => {
    process.env.TZ = zone;
    const task = makeTask(due);
    assert.deepEqual(findChanges(task, { ...toValues(task), title: "Write" }), { title: "Write" });
  });
}

test("another day keeps the time of day", () => {
  process.env.TZ = "Asia/Tokyo";
  const task = makeTask("2030-12-31T15:30:00.000000Z");
  assert.deepEqual(findChanges(task, { due_date: "2031-02-01" }), { due_date: "2031-01-31T15:30:00.000Z" });
});

test("another day keeps the time of day when the clocks change", () => {
  process.env.TZ = "America/New_York";
  const task = makeTask("2030-11-02T03:30:00.000000Z"); // 23:30 in summer time, November 1
  assert.deepEqual(findChanges(task, { due_date: "2030-11-04" }), { due_date: "2030-11-05T04:30:00.000Z" });
});

test("a whole day stays a whole day, and an emptied date is removed", () => {
  process.env.TZ = "America/New_York";
  assert.equal(toValues(makeTask("2030-12-31")).due_date, "2030-12-31");
  assert.deepEqual(findChanges(makeTask("2030-12-31"), { due_date: "2031-01-01" }), { due_date: "2031-01-01" });
  for (const due of ["2030-12-31", "2030-12-31T15:30:00.000000Z"]) {
    assert.deepEqual(findChanges(makeTask(due), { due_date: "" }), { due_date: null });
  }
});
