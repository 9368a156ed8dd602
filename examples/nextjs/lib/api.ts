// A client for the task service, for browsers and Node. It needs only fetch. To use it elsewhere, copy this file and
// api-types.ts.

import type { components, operations } from "./api-types";

export type Task = components["schemas"]["Task"];
export type NewTask = components["schemas"]["NewTask"];
export type TaskChanges = components["schemas"]["TaskChanges"];
export type TaskQuery = NonNullable<operations["listTasks"]["parameters"]["query"]>;

/** A task and its version. Pass `etag` to `update`, `complete` or `delete`. */
export interface Versioned {
  task: Task;
  etag: string;
}

/** One page of tasks. `next` is the query of the next page; it is undefined on the last page. */
export interface Page {
  tasks: Task[];
  next?: string;
}

export interface ClientOptions {
  /** The service's address, for example `https://tasks.example.com`. */
  baseUrl: string;
  /** Returns the user's JWT. After a 401 it is called with the refused token, and must return a new one. */
  getToken: (refused?: string) => Promise<string>;
  /** Seconds to wait for a response. After that, the service counts as unreachable. */
  timeout?: number;
  /** The longest wait before a retry, in seconds. If the service asks for a longer wait, the call throws instead. */
  maxWait?: number;
}

interface Options {
  signal?: AbortSignal;
}

/** With `etag`, the task is changed only if it still has that version. Otherwise the request fails with 412. */
interface ChangeOptions extends Options {
  etag?: string;
}

interface Call extends Options {
  method?: string;
  body?: object;
  headers?: Record<string, string>;
  /** True if the request may be sent again when it is unknown whether the service carried it out. */
  repeatable?: boolean;
}

/** A failed request, as problem details (RFC 9457). The status is 0 if there was no response. */
export class ApiProblem extends Error {
  override readonly name = "ApiProblem";
  readonly title: string;
  /** A sentence that you can show to the user. */
  readonly detail: string;
  /** The messages of each invalid field, if the status is 422. */
  readonly errors: Record<string, string[]>;
  /** The request's ID in the service's log. */
  readonly requestId?: string;
  /** True if the service may have carried out an earlier attempt of this request. */
  repeated = false;

  constructor(
    readonly status: number,
    problem: Partial<components["schemas"]["Problem"]> = {},
    /** Seconds to wait before the next attempt. */
    readonly retryAfter?: number,
  ) {
    super(problem.detail ?? problem.title ?? `The service answered ${status}.`);
    this.detail = this.message;
    this.title = problem.title ?? "Error";
    this.errors = problem.errors ?? {};
    this.requestId = problem.request_id;
  }

  /** True if the same request may succeed later. */
  get isTemporary(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

const MAX_RETRIES = 2;

export type TasksApi = ReturnType<typeof createTasksApi>;

export function createTasksApi({ baseUrl, getToken, timeout = 15, maxWait = 5 }: ClientOptions) {
  const root = `${baseUrl.replace(/\/+$/, "")}/api/tasks`;

  /** Sends a request, and retries it if that is safe. Throws an ApiProblem, or the abort reason of the signal. */
  async function call(path: string, { method = "GET", body, headers, signal, repeatable = true }: Call) {
    let token = await getToken();
    let renewed = false;
    for (let attempt = 0, repeated = false; ; ) {
      const response = await send(root + path, {
        method,
        headers: { ...headers, Authorization: `Bearer ${token}`, ...(body ? { "Content-Type": "application/json" } : {}) },
        body: body && JSON.stringify(body),
        signal: AbortSignal.any([AbortSignal.timeout(timeout * 1000), ...(signal ? [signal] : [])]),
      });
      signal?.throwIfAborted();
      if (!(response instanceof ApiProblem)) return response;
      response.repeated = repeated;
      if (response.status === 401 && !renewed) {
        renewed = true;
        token = await getToken(token);
        continue;
      }
      // After these statuses, the service may have carried out the request. After a 429, it did not.
      const unknown = [0, 502, 503, 504].includes(response.status);
      const wait = response.retryAfter ?? 0.2 * 3 ** attempt;
      const again = (unknown && repeatable) || response.status === 429;
      if (!again || ++attempt > MAX_RETRIES || wait > maxWait) throw response;
      repeated ||= unknown;
      await sleep(wait, signal);
    }
  }

  const change = async (path: string, body: object, { etag, signal }: ChangeOptions, repeatable = true) =>
    toVersioned(await call(path, { method: "PATCH", body, headers: ifMatch(etag), signal, repeatable }));

  const api = {
    /** Fetches one page of tasks: the first page of a query, or the page after another if given its `next`. */
    async page(query: TaskQuery | string = {}, { signal }: Options = {}): Promise<Page> {
      const { data, headers } = await call(typeof query === "string" ? query : toSearch(query), { signal });
      // Use only the link's query: its host may differ from baseUrl, and the token must go to baseUrl only.
      const link = headers.get("Link")?.match(/<([^>]*)>; *rel="next"/)?.[1];
      return { tasks: data as Task[], next: link && new URL(link, root).search };
    },

    /** Fetches all pages of a query: `for await (const tasks of api.pages({ limit: 100 }))`. */
    async *pages(query: TaskQuery = {}, options: Options = {}): AsyncGenerator<Task[], void> {
      let page = await api.page(query, options);
      yield page.tasks;
      while (page.next) {
        page = await api.page(page.next, options);
        yield page.tasks;
      }
    },

    async get(id: number, { signal }: Options = {}): Promise<Versioned> {
      return toVersioned(await call(`/${id}`, { signal }));
    },

    /** Creates a task. Calls with the same key create only one task, so make a new key for each task. */
    async create(task: NewTask, { key = createKey(), signal }: Options & { key?: string } = {}): Promise<Versioned> {
      return toVersioned(await call("", { method: "POST", body: task, headers: { "Idempotency-Key": key }, signal }));
    },

    /** Changes only the given fields. Without `etag`, a lost request is not retried: this could undo a newer change. */
    async update(id: number, changes: TaskChanges, options: ChangeOptions = {}): Promise<Versioned> {
      try {
        return await change(`/${id}`, changes, options, options.etag !== undefined);
      } catch (problem) {
        if (!(problem instanceof ApiProblem) || problem.status !== 412 || !problem.repeated) throw problem;
        // A response was lost. If the task has the new values, the lost request made this change.
        const current = await api.get(id, options);
        const isDone = Object.entries(changes).every(([name, value]) => isSame(current.task[name as keyof Task], value));
        if (isDone) return current;
        throw problem;
      }
    },

    async complete(id: number, completed: boolean, options: ChangeOptions = {}): Promise<Versioned> {
      return change(`/${id}/complete`, { completed }, options);
    },

    async delete(id: number, { etag, signal }: ChangeOptions = {}): Promise<void> {
      try {
        await call(`/${id}`, { method: "DELETE", headers: ifMatch(etag), signal });
      } catch (problem) {
        // The first attempt deleted the task, but its response was lost.
        if (!(problem instanceof ApiProblem) || problem.status !== 404 || !problem.repeated) throw problem;
      }
    },
  };
  return api;
}

/** Creates a random key for `create`. Browsers do not provide crypto.randomUUID on pages without TLS. */
export function createKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Sends one request. Returns the body and headers, or an ApiProblem if the request or the network fails. */
async function send(url: string, init: RequestInit): Promise<ApiProblem | { data: unknown; headers: Headers }> {
  try {
    const response = await fetch(url, { ...init, redirect: "error" }); // Send the token to this address only.
    const { status, headers } = response;
    if (response.ok) return { data: status === 204 ? undefined : await response.json(), headers };
    const isProblem = headers.get("Content-Type")?.startsWith("application/problem+json");
    const retryAfter = Number.parseInt(headers.get("Retry-After") ?? "", 10);
    return new ApiProblem(status, isProblem ? await response.json() : {}, Number.isNaN(retryAfter) ? undefined : retryAfter);
  } catch {
    return new ApiProblem(0, { title: "Unreachable", detail: "The task service cannot be reached." });
  }
}

function toVersioned({ data, headers }: { data: unknown; headers: Headers }): Versioned {
  return { task: data as Task, etag: headers.get("ETag") ?? "*" };
}

/** Converts a query to a query string such as `?status=pending`. Omits empty values. */
export function toSearch(query: TaskQuery): string {
  const pairs = Object.entries(query).flatMap(([name, value]) => [value].flat().map((one) => [name, String(one ?? "")]));
  const search = new URLSearchParams(pairs.filter(([, value]) => value !== ""));
  return search.size ? `?${search}` : "";
}

const ifMatch = (etag?: string): Record<string, string> => (etag === undefined ? {} : { "If-Match": etag });

const isSame = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

function sleep(seconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal?.addEventListener("abort", () => (clearTimeout(timer), reject(signal.reason)), { once: true });
  });
}
