// A client for the task service. It needs only fetch, so it runs in browsers since 2021 (Chrome 90, Firefox 90,
// Safari 15) and Node.js since 18. To use it elsewhere, copy this file and api-types.ts, or only api.mjs, which is this
// file as JavaScript.

import type { components, operations } from "./api-types";

/** A task as the service returns it. Pass its `etag` to `update`, `complete` or `delete`. */
export type Task = components["schemas"]["Task"];
/** The fields of a task to create. Only `title` is required. */
export type NewTask = components["schemas"]["NewTask"];
/** The fields of a task to change. The other fields keep their values. */
export type TaskChanges = components["schemas"]["TaskChanges"];
/** The filters, the order and the page size of a list. Empty and undefined members count as absent. */
export type TaskQuery = NonNullable<operations["listTasks"]["parameters"]["query"]>;
/** The client that `createTasksApi` returns. */
export type TasksApi = ReturnType<typeof createTasksApi>;

/** One page of a list. */
export interface Page {
  tasks: Task[];
  /** The number of tasks on all pages, if the service is set to `LIST_FORMAT=object`. */
  total?: number;
  /** The query of the next page, for `page`. It is undefined on the last page. */
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

/** The options of `update`, `complete` and `delete`. */
export interface ChangeOptions extends CallOptions {
  /** The `etag` of a task. If the task has another version by now, the call fails with 412 and changes nothing. */
  etag?: string;
}

interface ProblemBody {
  title?: string;
  detail?: string;
  code?: string;
  errors?: Record<string, string[]>;
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

interface Call extends CallOptions {
  method?: string;
  body?: object;
  headers?: Record<string, string>;
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
  const root = `${baseUrl.replace(/\/+$/, "")}/api/tasks`;

  /** Sends a request, and retries it if that is safe. */
  async function call(path: string, { method = "GET", body, headers, signal, repeatable = true }: Call) {
    let token = await getToken();
    if (!token) throw new ApiProblem(401, { code: "token_missing", detail: "getToken returned no token." });
    let renewed = false;
    for (let attempt = 0, repeated = false; ; ) {
      const sent = { ...headers, Authorization: `Bearer ${token}`, ...(body && { "Content-Type": "application/json" }) };
      const init = {
        method,
        headers: makeHeaders(sent),
        body: body && JSON.stringify(body),
      };
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

  const api = {
    /** Fetches one page of tasks: the first page of a query, or the page after another if given its `next`. */
    async page(query: Query = {}, { signal }: CallOptions = {}): Promise<Page> {
      const { data, headers } = await call(toSearch(query), { signal });
      const list = data as Task[] | { tasks: Task[]; total: number };
      // Use only the link's query: its host may differ from baseUrl, and the token must go to baseUrl only.
      const next = headers.get("Link")?.match(/<[^>?]*(\?[^>]*)>; *rel="next"/)?.[1];
      return { ...(Array.isArray(list) ? { tasks: list } : list), next };
    },

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
    get: (id: number, { signal }: CallOptions = {}) => callTask(`/${Number(id)}`, { signal }),

    /** Creates a task. Calls with the same key create only one task, so make a new key for each task. */
    create: (task: NewTask, { key, signal }: CallOptions & { key?: string } = {}) =>
      callTask("", { method: "POST", body: task, headers: { "Idempotency-Key": key ?? createKey() }, signal }),

    /** Changes only the given fields. Without `etag`, a lost request is not retried: this could undo a newer change. */
    update: (id: number, changes: TaskChanges, { etag, signal }: ChangeOptions = {}) =>
      callTask(`/${Number(id)}`, { method: "PATCH", body: changes, headers: ifMatch(etag), signal, repeatable: !!etag }),

    /** Completes a task, or opens it again. */
    complete: (id: number, completed: boolean, { etag, signal }: ChangeOptions = {}) =>
      callTask(`/${Number(id)}/complete`, { method: "PATCH", body: { completed: completed ?? null }, headers: ifMatch(etag), signal }),

    /** Deletes a task. */
    async delete(id: number, { etag, signal }: ChangeOptions = {}): Promise<void> {
      await call(`/${Number(id)}`, { method: "DELETE", headers: ifMatch(etag), signal });
    },
  };
  return api;
}

/** Creates a random key for `create`. */
export function createKey(): string {
  // Browsers have no crypto.randomUUID on pages without TLS, and Node.js 18 has no crypto at all.
  const bytes = new Uint8Array(16).map(() => Math.random() * 256);
  globalThis.crypto?.getRandomValues(bytes);
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

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
function makeHeaders(headers: Record<string, string>): Headers {
  try {
    return new Headers(headers);
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

const ifMatch = (etag?: string): Record<string, string> => (etag == null ? {} : { "If-Match": etag });

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
