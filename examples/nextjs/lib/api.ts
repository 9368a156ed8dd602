// A client for the task service. It needs only fetch, so it runs in browsers since 2021 (Chrome 90, Firefox 90,
// Safari 15) and Node.js since 18. To use it elsewhere, copy this file and api-types.ts, or only api.mjs, which is this
// file as JavaScript.

import type { components, operations } from "./api-types";

/** A task as the service returns it. Pass its `etag` to the call that changes it. */
export type Task = components["schemas"]["Task"];
/** A task in the trash. */
export type TrashedTask = components["schemas"]["TrashedTask"];
/** A task that was created or changed, in its latest state, or the IDs of a deleted one. */
export type Change = (Task & { deleted: false }) | { id: number; uid: string; deleted: true };
/** The fields of a task to create. Only `title` is required. */
export type NewTask = components["schemas"]["NewTask"];
/** The fields of a task to change. The other fields keep their values. */
export type TaskChanges = components["schemas"]["TaskChanges"];
/** A task's `id`, or its `uid`. */
export type TaskId = number | string;
/** An operation of `batch`. The other three name their task by its `id` or its `uid`. */
export type Operation =
  | { op: "create"; task: components["schemas"]["BatchTask"] }
  | (({ id: number } | { uid: string }) &
      (
        | { op: "update"; changes: TaskChanges; etag?: string }
        | { op: "complete"; completed: boolean }
        | { op: "delete"; etag?: string }
      ));
/** The filters, the order and the page size of a list. Empty and undefined members count as absent. */
export type TaskQuery = NonNullable<operations["listTasks"]["parameters"]["query"]>;
/** The client that `createTasksApi` returns. */
export type TasksApi = ReturnType<typeof createTasksApi>;

/** One page of a list. */
export interface Page<T = Task> {
  tasks: T[];
  /** The number of tasks on all pages, if the service is set to `LIST_FORMAT=object`. */
  total?: number;
  /** The query of the next page, for the same function. It is undefined on the last page. */
  next?: string;
}

/** The options of `createTasksApi`. */
export interface ClientOptions {
  /** The service's address, for example `https://tasks.example.com`. It is empty for the address of the page. */
  baseUrl: string;
  /** Returns the user's JWT. After a 401 it is called with the refused token, and must return a new one. */
  getToken: (refused?: string) => Promise<string>;
  /** Seconds to wait for a response; default 15. After that, the service counts as unreachable. */
  timeout?: number;
  /** The longest wait before a retry, in seconds; default 5. If the service asks for more, the call throws instead. */
  maxWait?: number;
}

/** The options of every call. */
export interface CallOptions {
  /** Ends the call when it is aborted. The call then throws the signal's reason. */
  signal?: AbortSignal;
}

/** One page of changes. Store the `cursor` with them, and pass it to the next call: at once if there are `more`. */
export type Changes = Omit<components["schemas"]["ChangePage"], "changes"> & { changes: Change[] };

/** The options of `create` and `batch`. */
export interface KeyOptions extends CallOptions {
  /** Calls with the same key are carried out once. Without it, each call has a new one. */
  key?: string;
}

/** The options of `put`, `update`, `complete` and `delete`. */
export interface ChangeOptions extends CallOptions {
  /** The `etag` of a task. If the task has another version by now, the call fails with 412 and changes nothing. */
  etag?: string;
}

interface ProblemBody {
  title?: string;
  detail?: string;
  code?: string;
  errors?: Record<string, string[]>;
  operation?: number;
  request_id?: string;
}

/** A failed request, as problem details (RFC 9457). */
export class ApiProblem extends Error {
  override readonly name = "ApiProblem";
  /** The HTTP status, or 0 if there was no response. */
  readonly status: number;
  /** The cause, for programs: `unreachable` without a response, `unknown` if it did not come from the service. */
  readonly code: string;
  readonly title: string;
  /** A sentence about the cause, in English. */
  readonly detail: string;
  /** The messages of each invalid field, if the status is 422. */
  readonly errors: Record<string, string[]>;
  /** The place of the operation that made a batch fail, from 0. If the status is 422, the names in `errors` have it. */
  readonly operation?: number;
  /** The request's ID in the service's log. It is undefined if there was no response. */
  readonly requestId?: string;
  /** Seconds to wait before the next attempt, if the service says so. */
  readonly retryAfter?: number;

  constructor(status: number, problem: ProblemBody = {}, headers?: Headers) {
    super(problem.detail ?? problem.title ?? `The service answered ${status}.`);
    this.status = status;
    this.code = problem.code ?? (status === 0 ? "unreachable" : "unknown");
    this.title = problem.title ?? "Error";
    this.detail = this.message;
    this.errors = problem.errors ?? {};
    this.operation = problem.operation;
    this.requestId = problem.request_id ?? headers?.get("X-Request-ID") ?? undefined;
    const after = headers?.get("Retry-After") ?? "";
    const seconds = /^\d+$/.test(after) ? Number(after) : (Date.parse(after) - Date.now()) / 1000;
    this.retryAfter = Number.isNaN(seconds) ? undefined : Math.max(0, Math.ceil(seconds));
  }

  /** True if the same request may succeed later. */
  get isTemporary(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

type Query = TaskQuery | URLSearchParams | string;

interface Call extends ChangeOptions, KeyOptions {
  method?: string;
  body?: object;
  /** True if the request may be sent again when it is unknown whether the service carried it out. */
  repeatable?: boolean;
}

interface Answer {
  data?: unknown;
  headers: Headers;
}

const MAX_RETRIES = 2;

/**
 * Creates a client for the tasks of one user. Every function throws an ApiProblem if its request fails, and a TypeError
 * if the request cannot be sent as it is: an address, a token or a key has characters that it cannot have.
 */
export function createTasksApi({ baseUrl, getToken, timeout = 15, maxWait = 5 }: ClientOptions) {
  if (!/^(https?:\/\/|$)/i.test(baseUrl)) throw new TypeError(`baseUrl must begin with https://, not ${baseUrl}`);
  const root = `${baseUrl.replace(/\/+$/, "")}/api`;

  /** Sends a request, and retries it if that is safe. */
  async function call(path: string, { method = "GET", body, etag, key, signal, repeatable = true }: Call) {
    let token = await getToken();
    if (!token) throw new ApiProblem(401, { code: "token_missing", detail: "getToken returned no token." });
    let renewed = false;
    for (let attempt = 0, repeated = false; ; ) {
      const type = body && "application/json";
      const headers = { Authorization: `Bearer ${token}`, "Content-Type": type, "If-Match": etag, "Idempotency-Key": key };
      const init = { method, headers: makeHeaders(headers), body: body && JSON.stringify(body) };
      const answer = await send(root + path, init, timeout, signal);
      if (!(answer instanceof ApiProblem)) return answer;
      // An attempt whose response was lost has deleted the task.
      if (method === "DELETE" && answer.status === 404 && repeated) return { headers: new Headers() };
      if (answer.status === 401 && !renewed) {
        renewed = true;
        token = await getToken(token);
        continue;
      }
      // After these statuses, the service may have carried out the request. After a 429, it did not.
      const unknown = [0, 502, 503, 504].includes(answer.status);
      const wait = answer.retryAfter ?? 0.2 * 3 ** attempt;
      const again = (unknown && repeatable) || answer.status === 429;
      if (!again || ++attempt > MAX_RETRIES || wait > maxWait) throw answer;
      repeated ||= unknown;
      await sleep(wait, signal);
    }
  }

  const callTask = async (path: string, options: Call) => (await call(path, options)).data as Task;

  async function readPage<T>(path: string, query: Query, signal?: AbortSignal): Promise<Page<T>> {
    const { data, headers } = await call(path + toSearch(query), { signal });
    const list = data as T[] | { tasks: T[]; total: number };
    // Use only the link's query: its host may differ from baseUrl, and the token must go to baseUrl only.
    const next = headers.get("Link")?.match(/<[^>?]*(\?[^>]*)>; *rel="next"/)?.[1];
    return { ...(Array.isArray(list) ? { tasks: list } : list), next };
  }

  const api = {
    /** Fetches one page of tasks: the first page of a query, or the page after another if given its `next`. */
    page: (query: Query = {}, { signal }: CallOptions = {}) => readPage<Task>("/tasks", query, signal),

    /** Fetches all pages of a query: `for await (const tasks of api.pages({ limit: 100 }))`. */
    async *pages(query: Query = {}, options: CallOptions = {}): AsyncGenerator<Task[], void> {
      let page = await api.page(query, options);
      yield page.tasks;
      while (page.next) {
        page = await api.page(page.next, options);
        yield page.tasks;
      }
    },

    /** Fetches a task. */
    get: (id: TaskId, options: CallOptions = {}) => callTask(`/tasks/${toSegment(id)}`, options),

    /** Creates a task. Calls with the same key create only one task, so make a new key for each task. */
    create: (task: NewTask, { key, signal }: KeyOptions = {}) =>
      callTask("/tasks", { method: "POST", body: task, key: key ?? createKey(), signal }),

    /** Creates the task with this `uid`, or changes its given fields if it exists. Fails with 410 if it is in the trash. */
    put: (uid: string, task: NewTask, options: ChangeOptions = {}) =>
      callTask(`/tasks/${toSegment(uid)}`, { ...options, method: "PUT", body: task }),

    /** Changes only the given fields. Without `etag`, a lost request is not retried: this could undo a newer change. */
    update: (id: TaskId, changes: TaskChanges, options: ChangeOptions = {}) =>
      callTask(`/tasks/${toSegment(id)}`, { ...options, method: "PATCH", body: changes, repeatable: !!options.etag }),

    /** Completes a task, or opens it again. */
    complete: (id: TaskId, completed: boolean, options: ChangeOptions = {}) =>
      callTask(`/tasks/${toSegment(id)}/complete`, { ...options, method: "PATCH", body: { completed: completed ?? null } }),

    /** Moves a task to the trash. */
    async delete(id: TaskId, options: ChangeOptions = {}): Promise<void> {
      await call(`/tasks/${toSegment(id)}`, { ...options, method: "DELETE" });
    },

    /** Carries out all operations, or none. Returns their tasks in the same order: null for a deleted one. */
    async batch(operations: Operation[], { key, signal }: KeyOptions = {}): Promise<(Task | null)[]> {
      const options = { method: "POST", body: { operations }, key: key ?? createKey(), signal };
      return ((await call("/tasks/batch", options)).data as { tasks: (Task | null)[] }).tasks;
    },

    /** Fetches what has changed since the cursor of an earlier page. Without a cursor, it fetches all tasks. */
    changes: async (cursor?: string, { limit, signal }: CallOptions & { limit?: number } = {}) =>
      (await call(`/tasks/changes${toSearch({ cursor, limit })}`, { signal })).data as Changes,

    /** Fetches one page of the trash, latest deletion first: the first page, or the page after another by its `next`. */
    trash: (query: { limit?: number } | string = {}, { signal }: CallOptions = {}) =>
      readPage<TrashedTask>("/trash", query, signal),

    /** Moves a task out of the trash. Returns a task that is not in the trash as it is: a lost attempt has moved it. */
    restore: (id: TaskId, options: CallOptions = {}) =>
      callTask(`/trash/${toSegment(id)}/restore`, { ...options, method: "POST" }).catch((problem) => {
        if (problem.status === 404) return api.get(id, options);
        throw problem;
      }),

    /** Removes a task in the trash for good. */
    async purge(id: TaskId, options: CallOptions = {}): Promise<void> {
      await call(`/trash/${toSegment(id)}`, { ...options, method: "DELETE" });
    },

    /** Empties the trash for good. A lost request is not retried: it would remove what has been deleted since. */
    async emptyTrash(options: CallOptions = {}): Promise<void> {
      await call("/trash", { ...options, method: "DELETE", repeatable: false });
    },
  };
  return api;
}

/** Creates a random UUID (RFC 9562, version 4) for `put`, or a key. */
export function createUid(): string {
  // Browsers have no crypto.randomUUID on pages without TLS, and Node.js 18 has no crypto at all.
  const bytes = new Uint8Array(16).map(() => Math.random() * 256);
  globalThis.crypto?.getRandomValues(bytes);
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  // The 4 is the version, and 8 the variant.
  return hex.replace(/(.{8})(.{4}).(.{3}).(.{3})(.{12})/, "$1-$2-4$3-8$4-$5");
}

/** Creates a random key for `create` and `batch`. */
export const createKey = (): string => createUid();

/** Converts a query to a query string such as `?status=pending`. Omits empty values. */
export function toSearch(query: Query): string {
  const given = typeof query === "string" ? new URLSearchParams(query) : query;
  const entries = given instanceof URLSearchParams ? [...given] : Object.entries(given);
  const pairs = entries.flatMap(([name, value]) => [value].flat().map((one) => [name, String(one ?? "")]));
  const search = new URLSearchParams(pairs.filter(([, value]) => value !== "")).toString();
  return search && `?${search}`;
}

/** Sends one request. Returns an ApiProblem if it fails; throws only if the signal is aborted. */
async function send(url: string, init: RequestInit, timeout: number, signal?: AbortSignal): Promise<Answer | ApiProblem> {
  // AbortSignal.any and AbortSignal.timeout would be shorter, but browsers have them only since 2022 to 2024.
  const controller = new AbortController();
  const abort = () => controller.abort();
  const timer = setTimeout(abort, Math.min(timeout * 1000, 2 ** 31 - 1)); // A longer one would end at once.
  // Node.js can lose the controller's signal while it reads a body, so the call itself does not wait longer either.
  const aborted = new Promise<never>((_, reject) => controller.signal.addEventListener("abort", reject));
  aborted.catch(() => {});
  signal?.addEventListener("abort", abort);
  if (signal?.aborted) abort();
  try {
    // Send the token to this address only.
    const request = fetch(url, { ...init, redirect: "error", signal: controller.signal });
    const response = await Promise.race([request, aborted]);
    const { ok, status, headers } = response;
    const data = parseJson(await Promise.race([response.text(), aborted]));
    if (ok && (data || status === 204)) return { data, headers };
    const isProblem = /^application\/problem\+json/i.test(headers.get("Content-Type") ?? "");
    const problem = ok ? { detail: "The response did not come from the task service." } : (isProblem && data) || {};
    return new ApiProblem(status, problem, headers);
  } catch {
    if (signal?.aborted) throw signal.reason ?? new DOMException("The call was aborted.", "AbortError");
    return new ApiProblem(0, { title: "Unreachable", detail: "The task service cannot be reached." });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
}

/** Throws a TypeError that does not contain the token, unlike that of the constructor. */
function makeHeaders(headers: Record<string, string | undefined>): Headers {
  try {
    return new Headers(Object.entries(headers).filter((pair): pair is [string, string] => pair[1] != null));
  } catch {
    throw new TypeError("The token, the key or the etag has characters that a header cannot have.");
  }
}

function parseJson(text: string): object | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Converts an ID to a part of a path. Anything else becomes an ID that no task has. */
const toSegment = (id: TaskId) => (/^[\da-f-]{36}$/i.test(`${id}`) ? id : Number(id));

/** Waits, but not longer than until the signal is aborted. */
function sleep(seconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, seconds * 1000);
    signal?.addEventListener("abort", end);
  });
}
