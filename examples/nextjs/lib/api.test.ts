// Tests the client against a running service, given by API_URL, BETTER_AUTH_SECRET and LIST_FORMAT. A proxy between them
// forwards the requests, and injects the faults that a test sets.

import assert from "node:assert/strict";
import { createHmac, randomUUID } from "node:crypto";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { after, beforeEach, test } from "node:test";
import v8 from "node:v8";
import vm from "node:vm";
import type { Change, Task, TaskChanges, TaskQuery, TasksApi } from "./api";

const { API_URL = "http://localhost:8000", BETTER_AUTH_SECRET = "", LIST_FORMAT = "array", CLIENT = "./api" } = process.env;
const { ApiProblem, createKey, createTasksApi, createUid, toSearch } = (await import(CLIENT)) as typeof import("./api");

type Fault =
  | "response lost"
  | "request lost"
  | "no response"
  | "half a response"
  | { status: number; retryAfter?: number | string; text?: string };
let faults: Fault[] = [];
let seen: string[] = [];

const proxy = createServer((incoming, outgoing) => {
  seen.push(`${incoming.method} ${incoming.url}`);
  const fault = faults.shift();
  if (fault === "no response") return;
  if (fault === "half a response") return void outgoing.writeHead(200, { "Content-Length": 1000 }).write("[");
  if (fault === "request lost") return void outgoing.destroy();
  if (typeof fault === "object") {
    if (fault.retryAfter !== undefined) outgoing.setHeader("Retry-After", fault.retryAfter);
    return void outgoing.writeHead(fault.status).end(fault.text);
  }
  const headers = { ...incoming.headers, "x-forwarded-host": "elsewhere.example" };
  const passed = request(API_URL + incoming.url, { method: incoming.method, headers }, (response) => {
    if (fault === "response lost") return response.resume().on("end", () => outgoing.destroy());
    response.pipe(outgoing.writeHead(response.statusCode ?? 500, response.headers));
  });
  incoming.pipe(passed.on("error", () => outgoing.destroy()));
});
await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
const baseUrl = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}/`;
after(() => proxy.close().closeAllConnections());

function makeToken(user: string, seconds = 60): string {
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString("base64url");
  const signed = `${encode({ alg: "HS256" })}.${encode({ sub: user, exp: Math.floor(Date.now() / 1000) + seconds })}`;
  return `${signed}.${createHmac("sha256", BETTER_AUTH_SECRET).update(signed).digest("base64url")}`;
}

/** Creates a client for a new user, who has no tasks. `refused` has the argument of each call of `getToken`. */
function makeApi(tokens: string[] = [], options: object = {}) {
  const user = randomUUID();
  const refused: (string | undefined)[] = [];
  const getToken = async (token?: string) => {
    refused.push(token);
    return tokens.shift() ?? makeToken(user);
  };
  return { api: createTasksApi({ baseUrl, getToken, ...options }), refused };
}

/** Creates a check that an error is an ApiProblem with this status and these members. */
const isProblem = (status: number, members: object = {}) => (error: unknown) => {
  assert.ok(error instanceof ApiProblem, String(error));
  for (const [name, value] of Object.entries({ name: "ApiProblem", status, ...members }))
    assert.deepEqual(error[name as keyof typeof error], value, `the problem's ${name}`);
  return true;
};

async function readAll(api: TasksApi, query: Parameters<TasksApi["pages"]>[0] = {}): Promise<Task[]> {
  const tasks: Task[] = [];
  for await (const page of api.pages(query)) tasks.push(...page);
  return tasks;
}

beforeEach(() => {
  faults = [];
  seen = [];
});

test("a task is created, read, changed, completed and deleted", async () => {
  const { api } = makeApi();
  const task = await api.create({ title: "Buy milk", tags: ["home"], due_date: "2026-12-31" });
  assert.deepEqual(await api.get(task.id), task);
  const changed = await api.update(task.id, { title: "Buy bread", due_date: null }, { etag: task.etag });
  const { updated_at, etag } = changed;
  assert.deepEqual(changed, { ...task, title: "Buy bread", due_date: null, updated_at, etag });
  assert.notEqual(etag, task.etag);
  for (const completed of [true, true, false]) assert.equal((await api.complete(task.id, completed)).completed, completed);
  await api.delete(task.id);
  await assert.rejects(api.get(task.id), isProblem(404));
  await assert.rejects(api.delete(task.id), isProblem(404));
});

test("the ETag of a listed task allows a change without another request", async () => {
  const { api } = makeApi();
  for (const title of ["Buy milk", "Buy bread"]) await api.create({ title });
  const [bread, milk] = (await api.page()).tasks as [Task, Task];
  seen = [];
  const completed = await api.complete(bread.id, true, { etag: bread.etag });
  await api.update(bread.id, { priority: "high" }, { etag: completed.etag });
  await api.delete(milk.id, { etag: milk.etag });
  assert.equal(seen.length, 3);
});

test("paging returns each task once and uses only baseUrl", async () => {
  const { api } = makeApi();
  for (let number = 0; number < 7; number++) await api.create({ title: `${number}`, tags: ["a", `${number % 2}`] });
  seen = [];
  const sizes = [];
  for await (const page of api.pages({ limit: 3, sort: "title" })) sizes.push(page.length);
  assert.deepEqual(sizes, [3, 3, 1]);
  assert.equal(seen.length, 3);
  const { tasks, total, next } = await api.page({ limit: 7, search: "" });
  assert.deepEqual([tasks.length, total, next], [7, LIST_FORMAT === "object" ? 7 : undefined, undefined]);
});

test("no form of a query loses its filters", async () => {
  const { api } = makeApi();
  for (let number = 0; number < 7; number++) await api.create({ title: `${number}`, tags: ["a", `${number % 2}`] });
  const query: TaskQuery = { limit: 2, sort: "title", tag: ["a", "0"], status: "pending", search: "" };
  const text = "?limit=2&sort=title&tag=a&tag=0&status=pending";
  assert.equal(toSearch(query), text);
  for (const form of [query, text, text.slice(1), new URLSearchParams(text)])
    assert.deepEqual((await readAll(api, form)).map(({ title }) => title), ["0", "2", "4", "6"]);
  assert.equal(toSearch({}), "");
});

test("a create with a lost response creates exactly one task", async () => {
  const { api } = makeApi();
  faults = ["response lost", "response lost"];
  const task = await api.create({ title: "Buy milk" });
  assert.equal(seen.length, 3);
  assert.deepEqual(await readAll(api), [task]);
});

test("a second create with the same key returns the same task", async () => {
  const { api } = makeApi();
  const first = await api.create({ title: "Buy milk" }, { key: "one" });
  assert.deepEqual(await api.create({ title: "Buy milk" }, { key: "one" }), first);
  assert.notEqual((await api.create({ title: "Buy milk" })).id, first.id);
  const code = "idempotency_key_reused";
  await assert.rejects(api.create({ title: "Buy bread" }, { key: "one" }), isProblem(422, { code }));
});

test("a UID and a key are random UUIDs", () => {
  const made = Array.from({ length: 100 }, (_, number) => (number % 2 ? createKey() : createUid()));
  assert.equal(new Set(made).size, 100);
  for (const uid of made) assert.match(uid, /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
});

test("every call takes the UID instead of the ID", async () => {
  const { api } = makeApi();
  const { id, uid } = await api.create({ title: "Buy milk" });
  assert.equal((await api.get(uid.toUpperCase())).id, id);
  assert.equal((await api.update(uid, { title: "Buy bread" })).id, id);
  assert.equal((await api.complete(uid, true)).id, id);
  await api.delete(uid);
  assert.equal((await api.restore(uid)).title, "Buy bread");
  await api.delete(uid);
  await api.purge(uid);
  await assert.rejects(api.restore(uid), isProblem(404));
});

test("a put creates one task, and then changes it", async () => {
  const { api } = makeApi();
  const uid = createUid();
  faults = ["response lost", "response lost"];
  const task = await api.put(uid, { title: "Buy milk", tags: ["home"] });
  assert.deepEqual([task.uid, await readAll(api)], [uid, [task]]);
  const changed = await api.put(uid, { title: "Buy bread" });
  assert.deepEqual([changed.id, changed.title, changed.tags], [task.id, "Buy bread", ["home"]]);
  await assert.rejects(api.put(uid, { title: "Buy cake" }, { etag: task.etag }), isProblem(412));
  await api.delete(uid);
  await assert.rejects(api.put(uid, { title: "Buy milk" }), isProblem(410, { code: "task_in_trash" }));
});

test("the trash is listed in pages, restored and emptied", async () => {
  const { api } = makeApi();
  const tasks = [];
  for (const title of ["1", "2", "3", "4"]) tasks.push(await api.create({ title }));
  for (const { id } of tasks) await api.delete(id);
  const first = await api.trash({ limit: 3 });
  const { tasks: rest, next } = await api.trash(first.next);
  assert.deepEqual([...first.tasks, ...rest].map(({ title }) => title), ["4", "3", "2", "1"]);
  assert.deepEqual([next, typeof rest[0]?.deleted_at], [undefined, "string"]);

  // The response to each is lost, so the second attempt finds no task in the trash.
  const [one, two] = tasks as [Task, Task];
  faults = ["response lost"];
  const { etag, ...restored } = await api.restore(one.id);
  assert.notEqual(etag, one.etag);
  assert.deepEqual([restored.id, restored.uid, await readAll(api)], [one.id, one.uid, [{ ...restored, etag }]]);
  faults = ["response lost"];
  await api.purge(two.id);
  await assert.rejects(api.purge(two.id), isProblem(404));
  faults = ["request lost"];
  await assert.rejects(api.emptyTrash(), isProblem(0));
  await api.emptyTrash();
  assert.deepEqual([(await api.trash()).tasks, (await readAll(api)).length], [[], 1]);
});

test("a copy follows the changes, and a cursor expires", async () => {
  const { api } = makeApi();
  const copy = new Map<string, Task>();
  let cursor: string | undefined;
  async function follow(limit?: number) {
    const found: Change[] = [];
    for (let more = true; more; ) {
      const page = await api.changes(cursor, { limit });
      ({ cursor, more } = page);
      found.push(...page.changes);
    }
    for (const { deleted, ...task } of found as (Task & { deleted: boolean })[])
      if (deleted) copy.delete(task.uid);
      else copy.set(task.uid, task);
    assert.deepEqual([...copy.values()].sort((a, b) => b.id - a.id), await readAll(api));
    return found;
  }
  for (const title of ["1", "2", "3"]) await api.create({ title });
  assert.equal((await follow(2)).length, 3);
  assert.equal(seen.filter((request) => request.includes("limit=2")).length, 2);
  const [three, two] = (await readAll(api)) as [Task, Task];
  await api.update(two.id, { title: "two" });
  await api.delete(three.id);
  const { id, uid } = three;
  assert.deepEqual((await follow())[1], { id, uid, deleted: true });
  assert.deepEqual(await follow(), []);

  const old = cursor;
  await api.delete(two.id);
  await api.emptyTrash();
  await assert.rejects(api.changes(old), isProblem(410, { code: "cursor_expired" }));
  await assert.rejects(api.changes("x"), isProblem(400, { code: "invalid_cursor" }));
});

test("a batch is carried out once, and whole or not at all", async () => {
  const { api } = makeApi();
  const [one, two, three] = [await api.create({ title: "1" }), await api.create({ title: "2" }), await api.create({ title: "3" })];
  const uid = createUid();
  faults = ["response lost"];
  const tasks = await api.batch([
    { op: "create", task: { title: "4", uid } },
    { op: "update", uid: one.uid, changes: { title: "one" }, etag: one.etag },
    { op: "complete", id: two.id, completed: true },
    { op: "delete", id: three.id, etag: three.etag },
  ]);
  assert.deepEqual(tasks.map((task) => task && [task.uid, task.title, task.completed]), [
    [uid, "4", false],
    [one.uid, "one", false],
    [two.uid, "2", true],
    null,
  ]);
  const list = await readAll(api);
  assert.deepEqual(list.map(({ title }) => title), ["4", "2", "one"]);

  const old = { op: "update", id: one.id, changes: { title: "1" }, etag: one.etag } as const;
  await assert.rejects(api.batch([{ op: "delete", uid }, old]), isProblem(412, { operation: 1 }));
  const errors = { "operations.1.task.title": ["Must have 1 to 200 characters after trimming, not 0."] };
  await assert.rejects(api.batch([{ op: "delete", uid }, { op: "create", task: { title: "" } }]), isProblem(422, { errors }));
  assert.deepEqual(await readAll(api), list);
});

test("a change of an old version fails with 412 and writes nothing", async () => {
  const { api } = makeApi();
  const { id, etag } = await api.create({ title: "Buy milk" });
  const newer = await api.update(id, { title: "Buy bread" }, { etag });
  await assert.rejects(api.update(id, { title: "Buy cake" }, { etag }), isProblem(412, { code: "precondition_failed" }));
  await assert.rejects(api.complete(id, true, { etag }), isProblem(412));
  await assert.rejects(api.delete(id, { etag }), isProblem(412));
  assert.deepEqual(await api.get(id), newer);
});

test("a retried change does not conflict with itself", async () => {
  const { api } = makeApi();
  const due_date = new Date("2026-12-31T12:00:00+05:00").toISOString();
  // The service stores all of these in another form.
  const changes: TaskChanges[] = [{ title: " Buy bread " }, { due_date }, { tags: null }, { tags: [" home "] }, { description: "" }];
  let task = await api.create({ title: "Buy milk", tags: ["errand"], description: "Two bottles." });
  for (const change of changes) {
    faults = ["response lost"];
    task = await api.update(task.id, change, { etag: task.etag });
  }
  faults = ["response lost", "response lost"];
  task = await api.complete(task.id, true, { etag: task.etag });
  assert.deepEqual(await api.get(task.id), task);
  assert.deepEqual([task.title, task.tags, task.completed], ["Buy bread", ["home"], true]);
  assert.equal(seen.length, 1 + 2 * changes.length + 3 + 1);
});

test("a retried change conflicts with another client's change", async () => {
  const { api } = makeApi();
  const { id, etag } = await api.create({ title: "Buy milk" });
  const newer = await api.update(id, { title: "Buy bread" });
  for (const change of [() => api.update(id, { title: "Buy cake" }, { etag }), () => api.delete(id, { etag })]) {
    faults = ["request lost"];
    await assert.rejects(change(), isProblem(412));
  }
  assert.deepEqual(await api.get(id), newer);
});

test("an update without an ETag is not retried", async () => {
  // A retry could undo a newer change.
  const { api } = makeApi();
  const { id } = await api.create({ title: "Buy milk" });
  seen = [];
  faults = ["response lost"];
  await assert.rejects(api.update(id, { title: "Buy bread" }), isProblem(0));
  assert.equal(seen.length, 1);
  assert.equal((await api.get(id)).title, "Buy bread");
});

test("a delete with a lost response succeeds", async () => {
  const { api } = makeApi();
  for (const isConditional of [false, true]) {
    const { id, etag } = await api.create({ title: "Buy milk" });
    faults = ["response lost"];
    await api.delete(id, isConditional ? { etag } : {});
  }
  assert.deepEqual(await readAll(api), []);
});

test("a refused token is replaced once and the request retried", async () => {
  const expired = makeToken("alice", -60);
  const { api, refused } = makeApi([expired]);
  assert.equal((await api.create({ title: "Buy milk" })).title, "Buy milk");
  assert.deepEqual(refused, [undefined, expired]);

  const other = makeApi([expired, "nonsense"]);
  await assert.rejects(other.api.page(), isProblem(401, { code: "token_invalid" }));
  assert.equal(other.refused.length, 2);
});

test("a problem has the messages of each invalid field", async () => {
  const { api } = makeApi();
  await assert.rejects(api.create({ title: " ", tags: [""] }), (problem) => {
    isProblem(422, { code: "invalid_fields", isTemporary: false })(problem);
    assert.ok(problem instanceof ApiProblem);
    assert.deepEqual(Object.keys(problem.errors).sort(), ["tags", "title"]);
    assert.match(problem.detail, /title: /);
    return true;
  });
});

test("every problem has a code and the request's ID", async () => {
  const { api } = makeApi();
  const calls = {
    not_found: () => api.get(0),
    invalid_parameters: () => api.page("?stauts=pending"),
    invalid_fields: () => api.update(0, { title: "" }),
    invalid_header: () => api.create({ title: "Buy milk" }, { key: " " }),
    body_too_large: () => api.create({ title: "x".repeat(70_000) }),
  };
  for (const [code, call] of Object.entries(calls)) {
    await assert.rejects(call, (problem) => {
      assert.ok(problem instanceof ApiProblem);
      assert.equal(problem.code, code);
      assert.match(problem.requestId ?? "", /^[\w.-]{8,64}$/, `the ID of ${code}`);
      return true;
    });
  }
  faults = [{ status: 418, retryAfter: 7 }];
  const unknown = { code: "unknown", requestId: undefined, detail: "The service answered 418.", retryAfter: 7 };
  await assert.rejects(api.page(), isProblem(418, unknown));
});

test("the client waits as long as Retry-After says", async () => {
  const { api } = makeApi();
  const started = Date.now();
  for (const status of [503, 429]) {
    faults = [{ status, retryAfter: 1 }];
    await api.page();
  }
  assert.equal(seen.length, 4);
  // Keep the message: without one, Node searches the source for it and never ends.
  assert.ok(Date.now() - started >= 2000, "the retry came too early");
});

test("Retry-After can be a date", async () => {
  const { api } = makeApi([], { maxWait: 5 });
  faults = [{ status: 503, retryAfter: new Date(Date.now() + 60_000).toUTCString() }];
  await assert.rejects(api.page(), (error: InstanceType<typeof ApiProblem>) => Math.abs(error.retryAfter! - 60) <= 2);
});

test("a page of something else is not the service, and is not asked again", async () => {
  for (const text of ["<!doctype html><title>Sign in</title>", "", "null"]) {
    seen = [];
    faults = [{ status: 200, text }];
    await assert.rejects(makeApi().api.page(), isProblem(200, { code: "unknown", isTemporary: false }));
    assert.equal(seen.length, 1);
  }
  faults = [{ status: 422, text: "{" }];
  await assert.rejects(makeApi().api.page(), isProblem(422, { code: "unknown", errors: {} }));
});

test("a request that cannot be sent is the caller's mistake", async () => {
  const { api } = makeApi();
  await assert.rejects(api.create({ title: "x" }, { key: "日" }), TypeError);
  await assert.rejects(makeApi(["a\nb"]).api.page(), (error) => error instanceof TypeError && !/a\nb/.test(error.message));
  for (const wrong of ["localhost:8000", "not a url", "//host"])
    assert.throws(() => createTasksApi({ baseUrl: wrong, getToken: async () => "" }), TypeError);
  assert.deepEqual(seen, []);
});

test("an ID is never a path", async () => {
  for (const id of ["../../healthz", "", "..", "changes", "1/complete", `../${"a".repeat(33)}`])
    await assert.rejects(makeApi().api.get(id), isProblem(404));
});

test("a call without a token is not sent", async () => {
  await assert.rejects(makeApi([""]).api.page(), isProblem(401, { code: "token_missing" }));
  assert.deepEqual(seen, []);
});

test("a key that is null counts as none", async () => {
  const { api } = makeApi();
  const key = null as unknown as undefined;
  const [one, two] = [await api.create({ title: "x" }, { key }), await api.create({ title: "x" }, { key })];
  assert.notEqual(one.id, two.id);
});

test("a timeout can be endless", async () => {
  assert.deepEqual((await makeApi([], { timeout: Infinity }).api.page()).tasks, []);
});

test("the client gives up after maxWait or two retries", async () => {
  const { api } = makeApi();
  faults = [{ status: 503, retryAfter: 60 }];
  await assert.rejects(api.page(), isProblem(503, { retryAfter: 60 }));
  faults = ["request lost", "request lost", "request lost"];
  await assert.rejects(api.page(), isProblem(0, { code: "unreachable", isTemporary: true, requestId: undefined }));
  assert.equal(seen.length, 4);
});

test("a service that does not answer counts as unreachable", async () => {
  const { api } = makeApi([], { timeout: 0.1, maxWait: 0 });
  faults = ["no response"];
  await assert.rejects(api.page(), isProblem(0, { code: "unreachable" }));
});

test("a response that stops in its body counts as unreachable", async () => {
  const { api } = makeApi([], { timeout: 0.5, maxWait: 0 });
  v8.setFlagsFromString("--expose-gc");
  const collectGarbage = vm.runInNewContext("gc") as () => void;
  const timer = setInterval(collectGarbage, 50); // It ends Node.js's own watch over the body.
  faults = ["half a response"];
  await assert.rejects(api.page(), isProblem(0, { code: "unreachable" }));
  clearInterval(timer);
});

test("completing without a value never toggles", async () => {
  const { api } = makeApi();
  const { id } = await api.create({ title: "Buy milk" });
  await assert.rejects(api.complete(id, undefined as never), isProblem(422, { code: "invalid_fields" }));
});

test("every request is retried after a 429", async () => {
  // The service did not carry out the request.
  const { api } = makeApi();
  const { id } = await api.create({ title: "Buy milk" });
  faults = [{ status: 429, retryAfter: 0 }];
  assert.equal((await api.update(id, { title: "Buy bread" })).title, "Buy bread");
});

for (const fault of [{ status: 503, retryAfter: 3 }, "no response"] as const) {
  test(`aborting ends the call and sends no more requests: ${JSON.stringify(fault)}`, async () => {
    const { api } = makeApi();
    faults = [fault];
    const abort = new AbortController();
    const started = Date.now();
    const page = api.page({}, { signal: abort.signal });
    setTimeout(() => abort.abort(), 200);
    await assert.rejects(page, { name: "AbortError" });
    assert.ok(Date.now() - started < 2000, "the call did not end");
    assert.equal(seen.length, 1);
    await assert.rejects(api.page({}, { signal: abort.signal }), { name: "AbortError" });
    assert.equal(seen.length, 1);
  });
}
