// The client against the running service: API_URL and BETTER_AUTH_SECRET say which. Between them is a proxy that
// passes everything on, but for the faults that a test orders.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { after, beforeEach, test } from "node:test";
import { ApiProblem, createTasksApi, type Task } from "./api";

const { API_URL = "http://localhost:8000", BETTER_AUTH_SECRET = "" } = process.env;

type Fault = "answer lost" | "refused" | { status: number; retryAfter: number };
let faults: Fault[] = [];
let seen: string[] = [];

const proxy = createServer((incoming, outgoing) => {
  seen.push(`${incoming.method} ${incoming.url}`);
  const fault = faults.shift();
  if (fault === "refused") return void outgoing.destroy();
  if (typeof fault === "object") return void outgoing.writeHead(fault.status, { "Retry-After": fault.retryAfter }).end();
  const headers = { ...incoming.headers, "x-forwarded-host": "elsewhere.example" };
  const passed = request(API_URL + incoming.url, { method: incoming.method, headers }, (response) => {
    if (fault === "answer lost") return response.resume().on("end", () => outgoing.destroy());
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

/** Somebody new, who has no tasks. */
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

test("all pages have every task of a query once, and are asked for at baseUrl, whatever the link's host", async () => {
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

test("a creation whose answer is lost is sent again, and creates one task", async () => {
  const { api } = makeApi();
  faults = ["answer lost", "answer lost"];
  const { task } = await api.create({ title: "Buy milk" });
  assert.equal(seen.length, 3);
  assert.deepEqual(await readAll(api), [task]);
});

test("who calls again with the same key gets the same task", async () => {
  const { api } = makeApi();
  const first = await api.create({ title: "Buy milk" }, { key: "one" });
  assert.deepEqual(await api.create({ title: "Buy milk" }, { key: "one" }), first);
  assert.notEqual((await api.create({ title: "Buy milk" })).task.id, first.task.id);
  await assert.rejects(api.create({ title: "Buy bread" }, { key: "one" }), isProblem(422));
});

test("a change of another version is refused with 412, and nothing is written", async () => {
  const { api } = makeApi();
  const { task, etag } = await api.create({ title: "Buy milk" });
  const newer = await api.update(task.id, { title: "Buy bread" }, { etag });
  await assert.rejects(api.update(task.id, { title: "Buy cake" }, { etag }), isProblem(412));
  await assert.rejects(api.complete(task.id, true, { etag }), isProblem(412));
  await assert.rejects(api.delete(task.id, { etag }), isProblem(412));
  assert.deepEqual(await api.get(task.id), newer);
});

test("a change whose answer is lost is no conflict with itself, but one with somebody else's", async () => {
  const { api } = makeApi();
  const { task, etag } = await api.create({ title: "Buy milk" });
  faults = ["answer lost"];
  const changed = await api.update(task.id, { title: "Buy bread", tags: ["home"] }, { etag });
  assert.equal(changed.task.title, "Buy bread");
  faults = ["refused"];
  await assert.rejects(api.update(task.id, { title: "Buy cake" }, { etag }), isProblem(412));
});

test("a change without a version is sent once: later it might undo another", async () => {
  const { api } = makeApi();
  const { task } = await api.create({ title: "Buy milk" });
  seen = [];
  faults = ["answer lost"];
  await assert.rejects(api.update(task.id, { title: "Buy bread" }), isProblem(0));
  assert.equal(seen.length, 1);
  assert.equal((await api.get(task.id)).task.title, "Buy bread");
});

test("a deletion whose answer is lost has succeeded", async () => {
  const { api } = makeApi();
  const { task } = await api.create({ title: "Buy milk" });
  faults = ["answer lost"];
  await api.delete(task.id);
  assert.deepEqual(await readAll(api), []);
});

test("a token that is refused is replaced once, and the call repeated", async () => {
  const expired = makeToken("alice", -60);
  const { api, refused } = makeApi([expired]);
  const { task } = await api.create({ title: "Buy milk" });
  assert.equal(task.title, "Buy milk");
  assert.deepEqual(refused, [undefined, expired]);

  const other = makeApi([expired, "nonsense"]);
  await assert.rejects(other.api.page(), (error) => isProblem(401)(error) && (error as ApiProblem).detail.includes("JWT"));
  assert.equal(other.refused.length, 2);
});

test("what is wrong with each field is in the problem", async () => {
  const { api } = makeApi();
  await assert.rejects(api.create({ title: " ", tags: [""] }), (problem) => {
    assert.ok(problem instanceof ApiProblem, String(problem));
    assert.deepEqual(Object.keys(problem.errors).sort(), ["tags", "title"]);
    assert.deepEqual([problem.status, problem.name, problem.isTemporary], [422, "ApiProblem", false]);
    assert.match(problem.detail, /title: /);
    return true;
  });
});

test("the service says in Retry-After when to come again, and that is when the client does", async () => {
  const { api } = makeApi();
  const started = Date.now();
  for (const status of [503, 429]) {
    faults = [{ status, retryAfter: 1 }];
    await api.page();
  }
  assert.equal(seen.length, 4);
  assert.ok(Date.now() - started >= 2000, "it came too early"); // Without a message, Node looks for one in the source for ever.
});

test("nobody is made to wait long, or for ever: then the problem says when to come again", async () => {
  const { api } = makeApi();
  faults = [{ status: 503, retryAfter: 60 }];
  await assert.rejects(api.page(), (problem) => isProblem(503)(problem) && (problem as ApiProblem).retryAfter === 60);
  faults = ["refused", "refused", "refused"];
  await assert.rejects(api.page(), (problem) => isProblem(0)(problem) && (problem as ApiProblem).isTemporary);
  assert.equal(seen.length, 4);
});

test("a refusal because of too many requests is repeated whatever the call: nothing was done", async () => {
  const { api } = makeApi();
  const { task } = await api.create({ title: "Buy milk" });
  faults = [{ status: 429, retryAfter: 0 }];
  assert.equal((await api.update(task.id, { title: "Buy bread" })).task.title, "Buy bread");
});

test("who aborts is not kept waiting, and nothing more is sent", async () => {
  const { api } = makeApi();
  faults = [{ status: 503, retryAfter: 3 }];
  const abort = new AbortController();
  const started = Date.now();
  const page = api.page({}, { signal: abort.signal });
  setTimeout(() => abort.abort(), 200);
  await assert.rejects(page, { name: "AbortError" });
  assert.ok(Date.now() - started < 2000, "it was kept waiting");
  assert.equal(seen.length, 1);
  await assert.rejects(api.page({}, { signal: abort.signal }), { name: "AbortError" });
  assert.equal(seen.length, 1);
});
