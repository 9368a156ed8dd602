// A task as a form has it.

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

/** What the form has; what it does not have is as before. */
export function readValues(form: HTMLFormElement, before: Partial<Values> = {}): Partial<Values> {
  return { ...before, ...(Object.fromEntries(new FormData(form)) as Partial<Values>) };
}

export const toNewTask = (values: Partial<Values>): NewTask => ({ title: "", ...toMembers(values) });

/** The members that differ: what nobody touched here is left as it is there. */
export function findChanges(before: Values, after: Partial<Values>): TaskChanges {
  const changed = Object.entries(after).filter(([name, value]) => value !== before[name as Field]);
  return toMembers(Object.fromEntries(changed) as Partial<Values>);
}

function toMembers({ tags, completed: _, ...rest }: Partial<Values>): TaskChanges {
  const members = Object.fromEntries(Object.entries(rest).map(([name, value]) => [name, value || null]));
  if (tags !== undefined) members.tags = tags.split(",").map((tag) => tag.trim()).filter(Boolean) as never;
  return { ...members, ...(rest.title === undefined ? {} : { title: rest.title }) };
}

/** When it is due, as people say it, and whether that is over. An instant is told in the reader's time zone. */
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
