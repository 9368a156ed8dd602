// A client for the task service: fetch and nothing else, in browsers and in Node. Copy it, with api-types.ts.

import type { components, operations } from "./api-types";

export type Task = components["schemas"]["Task"];
export type NewTask = components["schemas"]["NewTask"];
export type TaskChanges = components["schemas"]["TaskChanges"];
export type TaskQuery = NonNullable<operations["get_api_tasks_list_tasks"]["parameters"]["query"]>;

/** A task, and which version of it this is: what `update`, `complete` and `delete` take as `etag`. */
export interface Versioned {
  task: Task;
  etag: string;
}

/** Some tasks, and the query of those that follow, if there are more. */
export interface Page {
  tasks: Task[];
  next?: string;
}

export interface ClientOptions {
  /** Where the service is: `https://tasks.example.com`. */
  baseUrl: string;
  /** Gives the user's JWT. Called with one that was refused, it must bring another. */
  getToken: (refused?: string) => Promise<string>;
  /** After so many seconds without an answer, the service counts as unreachable. */
  timeout?: number;
  /** It waits at most so many seconds before it sends a call again; who is told to wait longer gets the problem. */
  maxWait?: number;
}

interface Options {
  signal?: AbortSignal;
}

/** With `etag`, a change happens only if the task is still that version; otherwise the problem's status is 412. */
interface ChangeOptions extends Options {
  etag?: string;
}

interface Call extends Options {
  method?: string;
  body?: object;
  headers?: Record<string, string>;
  /** Whether it may be sent again when nobody knows if it was carried out. */
  repeatable?: boolean;
}

/** What went wrong (RFC 9457). The status is 0 if no answer came. */
export class ApiProblem extends Error {
  override readonly name = "ApiProblem";
  readonly title: string;
  /** One readable sentence. */
  readonly detail: string;
  /** What is wrong with each field, for status 422. */
  readonly errors: Record<string, string[]>;
  /** To find the request in the service's log. */
  readonly requestId?: string;
  /** Whether the call was sent before, and may have been carried out then. */
  repeated = false;

  constructor(
    readonly status: number,
    problem: Partial<components["schemas"]["Problem"]> = {},
    /** In how many seconds to try again. */
    readonly retryAfter?: number,
  ) {
    super(problem.detail ?? problem.title ?? `The service answered ${status}.`);
    this.detail = this.message;
    this.title = problem.title ?? "Error";
    this.errors = problem.errors ?? {};
    this.requestId = problem.request_id;
  }

  /** Whether it may go well later, with nothing changed. */
  get isTemporary(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

const MAX_RETRIES = 2;

export type TasksApi = ReturnType<typeof createTasksApi>;

export function createTasksApi({ baseUrl, getToken, timeout = 15, maxWait = 5 }: ClientOptions) {
  const root = `${baseUrl.replace(/\/+$/, "")}/api/tasks`;

  /** Sends a call, again if that is safe and may help; throws ApiProblem, or what the signal was aborted with. */
  async function call(path: string, { method = "GET", body, headers, signal, repeatable = true }: Call) {
    let token = await getToken();
    let renewed = false;
    for (let attempt = 0, repeated = false; ; ) {
      const answer = await send(root + path, {
        method,
        headers: { ...headers, Authorization: `Bearer ${token}`, ...(body ? { "Content-Type": "application/json" } : {}) },
        body: body && JSON.stringify(body),
        signal: AbortSignal.any([AbortSignal.timeout(timeout * 1000), ...(signal ? [signal] : [])]),
      });
      signal?.throwIfAborted();
      if (!(answer instanceof ApiProblem)) return answer;
      answer.repeated = repeated;
      if (answer.status === 401 && !renewed) {
        renewed = true;
        token = await getToken(token);
        continue;
      }
      // 429 says that nothing was done; of these others nobody knows.
      const unknown = [0, 502, 503, 504].includes(answer.status);
      const wait = answer.retryAfter ?? 0.2 * 3 ** attempt;
      const again = (unknown && repeatable) || answer.status === 429;
      if (!again || ++attempt > MAX_RETRIES || wait > maxWait) throw answer;
      repeated ||= unknown;
      await sleep(wait, signal);
    }
  }

  const change = async (path: string, body: object, { etag, signal }: ChangeOptions, repeatable = true) =>
    toVersioned(await call(path, { method: "PATCH", body, headers: ifMatch(etag), signal, repeatable }));

  const api = {
    /** One page of tasks: the first of a query, or, given its `next`, the one after another. */
    async page(query: TaskQuery | string = {}, { signal }: Options = {}): Promise<Page> {
      const { data, headers } = await call(typeof query === "string" ? query : toSearch(query), { signal });
      // Only the link's query is used: the token goes to baseUrl, whatever the service thinks its address is.
      const link = headers.get("Link")?.match(/<([^>]*)>; *rel="next"/)?.[1];
      return { tasks: data as Task[], next: link && new URL(link, root).search };
    },

    /** All pages of a query: `for await (const tasks of api.pages({ limit: 100 }))`. */
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

    /** Creates one task, however often it is called with the same key: make one for each task somebody wants. */
    async create(task: NewTask, { key = createKey(), signal }: Options & { key?: string } = {}): Promise<Versioned> {
      return toVersioned(await call("", { method: "POST", body: task, headers: { "Idempotency-Key": key }, signal }));
    },

    /** Changes the members given, and no others. Without `etag` it is sent only once: later it might undo a change. */
    async update(id: number, changes: TaskChanges, options: ChangeOptions = {}): Promise<Versioned> {
      try {
        return await change(`/${id}`, changes, options, options.etag !== undefined);
      } catch (problem) {
        if (!(problem instanceof ApiProblem) || problem.status !== 412 || !problem.repeated) throw problem;
        // An answer was lost: perhaps it was the one that said that the task is changed.
        const current = await api.get(id, options);
        const isDone = Object.entries(changes).every(([name, value]) => isSame(current.task[name as keyof Task], value));
        if (isDone) return current;
        throw problem;
      }
    },

    /** Sets whether it is completed. */
    async complete(id: number, completed: boolean, options: ChangeOptions = {}): Promise<Versioned> {
      return change(`/${id}/complete`, { completed }, options);
    },

    async delete(id: number, { etag, signal }: ChangeOptions = {}): Promise<void> {
      try {
        await call(`/${id}`, { method: "DELETE", headers: ifMatch(etag), signal });
      } catch (problem) {
        // Gone at the second attempt: the first one did it, and its answer was lost.
        if (!(problem instanceof ApiProblem) || problem.status !== 404 || !problem.repeated) throw problem;
      }
    },
  };
  return api;
}

/** A key for `create`. (crypto.randomUUID is not there on pages without TLS.) */
export function createKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Sends one request. Gives the answer, or the problem that it or the network is. */
async function send(url: string, init: RequestInit): Promise<ApiProblem | { data: unknown; headers: Headers }> {
  try {
    const response = await fetch(url, { ...init, redirect: "error" }); // The token is for this address only.
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

/** A query as the end of an address. */
export function toSearch(query: TaskQuery): string {
  const pairs = Object.entries(query).flatMap(([name, value]) => [value].flat().map((one) => [name, String(one ?? "")]));
  const search = new URLSearchParams(pairs.filter(([, value]) => value !== ""));
  return search.size ? `?${search}` : "";
}

const ifMatch = (etag?: string): Record<string, string> => (etag === undefined ? {} : { "If-Match": etag });

const isSame = (one: unknown, other: unknown) => JSON.stringify(one) === JSON.stringify(other);

function sleep(seconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal?.addEventListener("abort", () => (clearTimeout(timer), reject(signal.reason)), { once: true });
  });
}
