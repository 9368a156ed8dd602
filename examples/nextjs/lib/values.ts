// Converts between tasks and the values of a form.

import type { NewTask, Task, TaskChanges } from "./api";

export const LABELS = {
  title: "Title",
  description: "Description",
  due_date: "Due",
  priority: "Priority",
  tags: "Tags",
  completed: "Completed",
};
export type Field = keyof typeof LABELS;
export type Values = Record<Field, string>;

export const toValues = (task: Task): Values => ({
  title: task.title,
  description: task.description ?? "",
  due_date: task.due_date ? toDay(task.due_date) : "",
  priority: task.priority ?? "",
  tags: task.tags.join(", "),
  completed: task.completed ? "yes" : "no",
});

/** Converts a task to what a user reads of it: as `toValues`, but with the time of the due date. */
export const toTexts = (task: Task): Values => ({
  ...toValues(task),
  due_date: task.due_date ? describeDue(task.due_date).text : "",
});

/** Reads the form's values. Fields that the form does not have are missing. */
export const readValues = (form: HTMLFormElement) => Object.fromEntries(new FormData(form)) as Partial<Values>;

export const toNewTask = (values: Partial<Values>): NewTask => ({ title: "", ...toFields(values) });

/**
 * Returns the changed fields only, so that an update does not overwrite other clients' changes to the rest. A form has
 * only the day of a due date: if the task is due at a time, the new day gets the same time in the user's time zone.
 */
export function findChanges(task: Task, after: Partial<Values>): TaskChanges {
  const before = toValues(task);
  const changed = Object.entries(after).filter(([name, value]) => value !== before[name as Field]);
  const changes = toFields(Object.fromEntries(changed) as Partial<Values>);
  const due = task.due_date;
  if (changes.due_date && due && !isDay(due)) changes.due_date = moveTo(changes.due_date, due);
  return changes;
}

function toFields({ tags, completed: _, ...rest }: Partial<Values>): TaskChanges {
  const fields = Object.fromEntries(Object.entries(rest).map(([name, value]) => [name, value || null]));
  if (tags !== undefined) fields.tags = tags.split(",").map((tag) => tag.trim()).filter(Boolean) as never;
  return { ...fields, ...(rest.title === undefined ? {} : { title: rest.title }) };
}

const isDay = (due: string) => due.length === 10;

/** Returns the day of a due date in the user's time zone, as `2026-12-31`. */
export function toDay(due: string): string {
  if (isDay(due)) return due;
  const date = new Date(due);
  const pad = (number: number, length: number) => String(number).padStart(length, "0");
  return `${pad(date.getFullYear(), 4)}-${pad(date.getMonth() + 1, 2)}-${pad(date.getDate(), 2)}`;
}

/** Moves a date-time to another day. Keeps its time in the user's time zone. */
function moveTo(day: string, due: string): string {
  const [year, month, date] = day.split("-").map(Number) as [number, number, number];
  const moved = new Date(due);
  moved.setFullYear(year, month - 1, date);
  return moved.toISOString();
}

/** Describes a due date ("Today") and tells whether it is over. A date-time is shown in the user's time zone. */
export function describeDue(due: string, now = new Date()): { text: string; isOver: boolean } {
  const date = new Date(isDay(due) ? `${due}T00:00` : due);
  const today = new Date(now.getFullYear(), now.getMonth(), now.getDate());
  const days = Math.round((new Date(date).setHours(0, 0, 0, 0) - today.getTime()) / 86_400_000);
  const year = date.getFullYear() === now.getFullYear() ? undefined : "numeric";
  const named = { [-1]: "Yesterday", 0: "Today", 1: "Tomorrow" }[days];
  const day = named ?? date.toLocaleDateString("en", { weekday: "short", day: "numeric", month: "short", year });
  const time = isDay(due) ? "" : `, ${date.toLocaleTimeString("en", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" })}`;
  return { text: day + time, isOver: isDay(due) ? days < 0 : date < now };
}
