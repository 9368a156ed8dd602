/** What each client in TypeScript is tried with. */
import assert from "node:assert/strict";

export const baseUrl = process.env.API_URL!;
export const token = process.env.API_TOKEN!;
export const milk = { title: "Buy milk", tags: ["shop", "home"], priority: "high" as const, due_date: "2026-12-31" };

export interface Problem {
  status: number;
  code: string;
  errors?: { [field: string]: string[] };
}

export interface Task {
  id: number;
  title: string;
  completed: boolean;
  due_date: string | null;
  etag: string;
}

export interface Client {
  create(task: { title: string; due_date?: string }, key?: string): Promise<Task | Problem>;
  read(id: number): Promise<Task | Problem>;
  update(id: number, title: string, etag: string): Promise<Task | Problem>;
  complete(id: number): Promise<Task | Problem>;
  remove(id: number): Promise<unknown>;
  /** A page of the open tasks. */
  list(limit: number, cursor?: string): Promise<{ tasks: Task[]; link: string | null }>;
}

export function assertTask(answer: Task | Problem): asserts answer is Task {
  assert("etag" in answer, JSON.stringify(answer));
}

export function assertProblem(answer: Task | Problem): asserts answer is Problem {
  assert("code" in answer, JSON.stringify(answer));
}

/** Runs the steps and prints a line of JSON: the error of each step, or null. */
export async function run(client: Client): Promise<void> {
  const errors: Record<string, string | null> = {};
  let task: Task;
  const steps: Record<string, () => Promise<void>> = {
    async create() {
      const created = await client.create(milk, "key of Buy milk");
      const repeated = await client.create(milk, "key of Buy milk");
      assertTask(created);
      assertTask(repeated);
      assert.deepEqual([created.title, created.due_date], ["Buy milk", "2026-12-31"]);
      assert.equal(repeated.id, created.id, "the key was not sent");
      task = created;
    },
    async read() {
      const found = await client.read(task.id);
      assertTask(found);
      assert.deepEqual([found.id, found.etag], [task.id, task.etag]);
    },
    async update() {
      const changed = await client.update(task.id, "Buy oat milk", task.etag);
      assertTask(changed);
      assert.equal(changed.title, "Buy oat milk");
      const refused = await client.update(task.id, "Buy no milk", task.etag);
      assertProblem(refused);
      assert.deepEqual([refused.status, refused.code], [412, "precondition_failed"]);
    },
    async list() {
      for (const title of ["Call Ada", "Call Bob", "Call Eve", "Call Joe"]) {
        const created = await client.create({ title, due_date: "2026-12-31T17:00:00+05:00" });
        assertTask(created);
        assert.equal(created.due_date, "2026-12-31T12:00:00.000000Z");
      }
      const pages: number[][] = [];
      let cursor: string | undefined;
      do {
        const { tasks, link } = await client.list(2, cursor);
        pages.push(tasks.map(({ id }) => id));
        const next = /<([^>]*)>; rel="next"/.exec(link ?? "")?.[1];
        cursor = next && (new URL(next).searchParams.get("cursor") ?? undefined);
      } while (cursor);
      assert.deepEqual(pages.map((page) => page.length), [2, 2, 1]);
      assert.equal(new Set(pages.flat()).size, 5);
    },
    async finish() {
      const completed = await client.complete(task.id);
      assertTask(completed);
      assert.equal(completed.completed, true);
      await client.remove(task.id);
      const missing = await client.read(task.id);
      assertProblem(missing);
      assert.deepEqual([missing.status, missing.code], [404, "not_found"]);
    },
    async invalid() {
      const refused = await client.create({ title: "Buy milk", due_date: "tomorrow" });
      assertProblem(refused);
      assert.deepEqual([refused.status, refused.code], [422, "invalid_fields"]);
      assert.equal(refused.errors?.due_date?.length, 1);
    },
  };
  for (const [name, step] of Object.entries(steps)) {
    errors[name] = await step().then(() => null, (error: Error) => `${error.name}: ${error.message}`);
  }
  console.log(JSON.stringify(errors));
}
