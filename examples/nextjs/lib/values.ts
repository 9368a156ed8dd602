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
  due_date: task.due_date?.slice(0, 10) ?? "",
  priority: task.priority ?? "",
  tags: task.tags.join(", "),
  completed: task.completed ? "yes" : "no",
});

/** Reads the form's values. Fields that the form does not have keep their values from `before`. */
export function readValues(form: HTMLFormElement, before: Partial<Values> = {}): Partial<Values> {
  return { ...before, ...(Object.fromEntries(new FormData(form)) as Partial<Values>) };
}

export const toNewTask = (values: Partial<Values>): NewTask => ({ title: "", ...toFields(values) });

/** Returns the changed fields only, so that an update does not overwrite other clients' changes to the rest. */
export function findChanges(before: Values, after: Partial<Values>): TaskChanges {
  const changed = Object.entries(after).filter(([name, value]) => value !== before[name as Field]);
  return toFields(Object.fromEntries(changed) as Partial<Values>);
}

function toFields({ tags, completed: _, ...rest }: Partial<Values>): TaskChanges {
  const fields = Object.fromEntries(Object.entries(rest).map(([name, value]) => [name, value || null]));
  if (tags !== undefined) fields.tags = tags.split(",").map((tag) => tag.trim()).filter(Boolean) as never;
  return { ...fields, ...(rest.title === undefined ? {} : { title: rest.title }) };
}

/** Describes a due date ("Today") and tells whether it is over. A date-time is shown in the user's time zone. */
export function describeDue(due: string, now = new Date()): { text: string; isOver: boolean } {
  const isDay = due.length === 10;
  const date = new Date(isDay ? `${due}T00:00` : due);
  const today = new Date(now.getFullYear(), now.getMonth(), now.getDate());
  const days = Math.round((new Date(date).setHours(0, 0, 0, 0) - today.getTime()) / 86_400_000);
  const year = date.getFullYear() === now.getFullYear() ? undefined : "numeric";
  const named = { [-1]: "Yesterday", 0: "Today", 1: "Tomorrow" }[days];
  const day = named ?? date.toLocaleDateString("en", { weekday: "short", day: "numeric", month: "short", year });
  const time = isDay ? "" : `, ${date.toLocaleTimeString("en", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" })}`;
  return { text: day + time, isOver: isDay ? days < 0 : date < now };
}
