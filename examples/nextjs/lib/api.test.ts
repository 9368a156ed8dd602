// Tests the client against a running service, given by API_URL and BETTER_AUTH_SECRET. A proxy between them forwards
// the requests, and injects the faults that a test sets.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { after, beforeEach, test } from "node:test";
import { ApiProblem, createTasksApi, type Task } from "./api";

const { API_URL = "http://localhost:8000", BETTER_AUTH_SECRET = "" } = process.env;

type Fault = "response lost" | "request lost" | { status: number; retryAfter: number };
let faults: Fault[] = [];
let seen: string[] = [];

const proxy = createServer((incoming, outgoing) => {
  seen.push(`${incoming.method} ${incoming.url}`);
  const fault = faults.shift();
  if (fault === "request lost") return void outgoing.destroy();
  if (typeof fault === "object") return void outgoing.writeHead(fault.status, { "Retry-After": fault.retryAfter }).end();
  const headers = { ...incoming.headers, "x-forwarded-host": "elsewhere.example" };
  const passed = request(API_URL + incoming.url, { method: incoming.method, headers }, (response) => {
    if (fault === "response lost") return response.resume().on("end", () => outgoing.destroy());
    response.pipe(outgoing.writeHead(response.statusCode ?? 500, response.headers));
  });
  incoming.pipe(passed);
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
function makeApi(tokens?: string[]) {
  const user = crypto.randomUUID();
  const refused: (string | undefined)[] = [];
  const getToken = async (token?: string) => {
    refused.push(token);
    return tokens?.shift() ?? makeToken(user);
  };
  return { api: createTasksApi({ baseUrl, getToken }), refused };
}

const isProblem = (status: number) => (error: unknown) => error instanceof ApiProblem && error.status === status;

async function readAll(api: ReturnType<typeof makeApi>["api"], query = {}): Promise<Task[]> {
  const tasks = [];
  for await (const page of api.pages(query)) tasks.push(...page);
  return tasks;
}

beforeEach(() => {
  faults = [];
  seen = [];
});

test("a task is created, read, changed, completed and deleted", async () => {
  const { api } = makeApi();
  const { task, etag } = await api.create({ title: "Buy milk", tags: ["home"], due_date: "2026-12-31" });
  assert.deepEqual(await api.get(task.id), { task, etag });
  const changed = await api.update(task.id, { title: "Buy bread", due_date: null }, { etag });
  assert.deepEqual({ ...changed.task, updated_at: "" }, { ...task, title: "Buy bread", due_date: null, updated_at: "" });
  assert.notEqual(changed.etag, etag);
  for (const completed of [true, true, false]) assert.equal((await api.complete(task.id, completed)).task.completed, completed);
  await api.delete(task.id);
  await assert.rejects(api.get(task.id), isProblem(404));
  await assert.rejects(api.delete(task.id), isProblem(404));
});

test("paging returns each task once and uses only baseUrl", async () => {
  const { api } = makeApi();
  for (let number = 0; number < 7; number++) await api.create({ title: `${number}`, tags: ["a", `${number % 2}`] });
  seen = [];
  const sizes = [];
  for await (const page of api.pages({ limit: 3, sort: "title" })) sizes.push(page.length);
  assert.deepEqual(sizes, [3, 3, 1]);
  assert.equal(seen.length, 3);
  assert.deepEqual((await readAll(api, { limit: 2, sort: "title", tag: ["a", "0"] })).map(({ title }) => title), ["0", "2", "4", "6"]);
  const page = await api.page({ limit: 7, search: "" });
  assert.deepEqual([page.tasks.length, page.next], [7, undefined]);
});

test("a create with a lost response creates exactly one task", async () => {
  const { api } = makeApi();
  faults = ["response lost", "response lost"];
  const { task } = await api.create({ title: "Buy milk" });
  assert.equal(seen.length, 3);
  assert.deepEqual(await readAll(api), [task]);
});

test("a second create with the same key returns the same task", async () => {
  const { api } = makeApi();
  const first = await api.create({ title: "Buy milk" }, { key: "one" });
  assert.deepEqual(await api.create({ title: "Buy milk" }, { key: "one" }), first);
  assert.notEqual((await api.create({ title: "Buy milk" })).task.id, first.task.id);
  await assert.rejects(api.create({ title: "Buy bread" }, { key: "one" }), isProblem(422));
});

test("a change of an old version fails with 412 and writes nothing", async () => {
  const { api } = makeApi();
  const { task, etag } = await api.create({ title: "Buy milk" });
  const newer = await api.update(task.id, { title: "Buy bread" }, { etag });
  await assert.rejects(api.update(task.id, { title: "Buy cake" }, { etag }), isProblem(412));
  await assert.rejects(api.complete(task.id, true, { etag }), isProblem(412));
  await assert.rejects(api.delete(task.id, { etag }), isProblem(412));
  assert.deepEqual(await api.get(task.id), newer);
});

test("a retried update does not conflict with itself", async () => {
  const { api } = makeApi();
  const { task, etag } = await api.create({ title: "Buy milk" });
  faults = ["response lost"];
  const changed = await api.update(task.id, { title: "Buy bread", tags: ["home"] }, { etag });
  assert.equal(changed.task.title, "Buy bread");
  faults = ["request lost"];
  await assert.rejects(api.update(task.id, { title: "Buy cake" }, { etag }), isProblem(412));
});

test("an update without an ETag is not retried", async () => {
  // A retry could undo a newer change.
  const { api } = makeApi();
  const { task } = await api.create({ title: "Buy milk" });
  seen = [];
  faults = ["response lost"];
  await assert.rejects(api.update(task.id, { title: "Buy bread" }), isProblem(0));
  assert.equal(seen.length, 1);
  assert.equal((await api.get(task.id)).task.title, "Buy bread");
});

test("a delete with a lost response succeeds", async () => {
  const { api } = makeApi();
  const { task } = await api.create({ title: "Buy milk" });
  faults = ["response lost"];
  await api.delete(task.id);
  assert.deepEqual(await readAll(api), []);
});

test("a refused token is replaced once and the request retried", async () => {
  const expired = makeToken("alice", -60);
  const { api, refused } = makeApi([expired]);
  const { task } = await api.create({ title: "Buy milk" });
  assert.equal(task.title, "Buy milk");
  assert.deepEqual(refused, [undefined, expired]);

  const other = makeApi([expired, "nonsense"]);
  await assert.rejects(other.api.page(), (error) => isProblem(401)(error) && (error as ApiProblem).detail.includes("JWT"));
  assert.equal(other.refused.length, 2);
});

test("a problem has the messages of each invalid field", async () => {
  const { api } = makeApi();
  await assert.rejects(api.create({ title: " ", tags: [""] }), (problem) => {
    assert.ok(problem instanceof ApiProblem, String(problem));
    assert.deepEqual(Object.keys(problem.errors).sort(), ["tags", "title"]);
    assert.deepEqual([problem.status, problem.name, problem.isTemporary], [422, "ApiProblem", false]);
    assert.match(problem.detail, /title: /);
    return true;
  });
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

test("the client gives up after maxWait or two retries", async () => {
  const { api } = makeApi();
  faults = [{ status: 503, retryAfter: 60 }];
  await assert.rejects(api.page(), (problem) => isProblem(503)(problem) && (problem as ApiProblem).retryAfter === 60);
  faults = ["request lost", "request lost", "request lost"];
  await assert.rejects(api.page(), (problem) => isProblem(0)(problem) && (problem as ApiProblem).isTemporary);
  assert.equal(seen.length, 4);
});

test("every request is retried after a 429", async () => {
  // The service did not carry out the request.
  const { api } = makeApi();
  const { task } = await api.create({ title: "Buy milk" });
  faults = [{ status: 429, retryAfter: 0 }];
  assert.equal((await api.update(task.id, { title: "Buy bread" })).task.title, "Buy bread");
});

test("aborting ends the wait and sends no more requests", async () => {
  const { api } = makeApi();
  faults = [{ status: 503, retryAfter: 3 }];
  const abort = new AbortController();
  const started = Date.now();
  const page = api.page({}, { signal: abort.signal });
  setTimeout(() => abort.abort(), 200);
  await assert.rejects(page, { name: "AbortError" });
  assert.ok(Date.now() - started < 2000, "the wait did not end");
  assert.equal(seen.length, 1);
  await assert.rejects(api.page({}, { signal: abort.signal }), { name: "AbortError" });
  assert.equal(seen.length, 1);
});
