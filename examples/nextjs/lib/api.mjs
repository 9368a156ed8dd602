// Generated from api.ts by npm run client.

// A client for the task service. It needs only fetch, so it runs in browsers since 2021 (Chrome 90, Firefox 90,
// Safari 15) and Node.js since 18. To use it elsewhere, copy this file and api-types.ts, or only api.mjs, which is this
// file as JavaScript.
/** A failed request, as problem details (RFC 9457). */
export class ApiProblem extends Error {
    constructor(status, problem = {}, headers) {
        super(problem.detail ?? problem.title ?? `The service answered ${status}.`);
        this.name = "ApiProblem";
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
    get isTemporary() {
        return this.status === 0 || this.status === 429 || this.status >= 500;
    }
}
const MAX_RETRIES = 2;
/**
 * Creates a client for the tasks of one user. Every function throws an ApiProblem if its request fails, and a TypeError
 * if the request cannot be sent as it is: an address, a token or a key has characters that it cannot have.
 */
export function createTasksApi({ baseUrl, getToken, timeout = 15, maxWait = 5 }) {
    if (!/^(https?:\/\/|$)/i.test(baseUrl))
        throw new TypeError(`baseUrl must begin with https://, not ${baseUrl}`);
    const root = `${baseUrl.replace(/\/+$/, "")}/api/tasks`;
    /** Sends a request, and retries it if that is safe. */
    async function call(path, { method = "GET", body, headers, signal, repeatable = true }) {
        let token = await getToken();
        if (!token)
            throw new ApiProblem(401, { code: "token_missing", detail: "getToken returned no token." });
        let renewed = false;
        for (let attempt = 0, repeated = false;;) {
            const sent = { ...headers, Authorization: `Bearer ${token}`, ...(body && { "Content-Type": "application/json" }) };
            const init = {
                method,
                headers: makeHeaders(sent),
                body: body && JSON.stringify(body),
            };
            const answer = await send(root + path, init, timeout, signal);
            if (!(answer instanceof ApiProblem))
                return answer;
            // An attempt whose response was lost has deleted the task.
            if (method === "DELETE" && answer.status === 404 && repeated)
                return { headers: new Headers() };
            if (answer.status === 401 && !renewed) {
                renewed = true;
                token = await getToken(token);
                continue;
            }
            // After these statuses, the service may have carried out the request. After a 429, it did not.
            const unknown = [0, 502, 503, 504].includes(answer.status);
            const wait = answer.retryAfter ?? 0.2 * 3 ** attempt;
            const again = (unknown && repeatable) || answer.status === 429;
            if (!again || ++attempt > MAX_RETRIES || wait > maxWait)
                throw answer;
            repeated || (repeated = unknown);
            await sleep(wait, signal);
        }
    }
    const callTask = async (path, options) => (await call(path, options)).data;
    const api = {
        /** Fetches one page of tasks: the first page of a query, or the page after another if given its `next`. */
        async page(query = {}, { signal } = {}) {
            const { data, headers } = await call(toSearch(query), { signal });
            const list = data;
            // Use only the link's query: its host may differ from baseUrl, and the token must go to baseUrl only.
            const next = headers.get("Link")?.match(/<[^>?]*(\?[^>]*)>; *rel="next"/)?.[1];
            return { ...(Array.isArray(list) ? { tasks: list } : list), next };
        },
        /** Fetches all pages of a query: `for await (const tasks of api.pages({ limit: 100 }))`. */
        async *pages(query = {}, options = {}) {
            let page = await api.page(query, options);
            yield page.tasks;
            while (page.next) {
                page = await api.page(page.next, options);
                yield page.tasks;
            }
        },
        /** Fetches a task. */
        get: (id, { signal } = {}) => callTask(`/${Number(id)}`, { signal }),
        /** Creates a task. Calls with the same key create only one task, so make a new key for each task. */
        create: (task, { key, signal } = {}) => callTask("", { method: "POST", body: task, headers: { "Idempotency-Key": key ?? createKey() }, signal }),
        /** Changes only the given fields. Without `etag`, a lost request is not retried: this could undo a newer change. */
        update: (id, changes, { etag, signal } = {}) => callTask(`/${Number(id)}`, { method: "PATCH", body: changes, headers: ifMatch(etag), signal, repeatable: !!etag }),
        /** Completes a task, or opens it again. */
        complete: (id, completed, { etag, signal } = {}) => callTask(`/${Number(id)}/complete`, { method: "PATCH", body: { completed: completed ?? null }, headers: ifMatch(etag), signal }),
        /** Deletes a task. */
        async delete(id, { etag, signal } = {}) {
            await call(`/${Number(id)}`, { method: "DELETE", headers: ifMatch(etag), signal });
        },
    };
    return api;
}
/** Creates a random key for `create`. */
export function createKey() {
    // Browsers have no crypto.randomUUID on pages without TLS, and Node.js 18 has no crypto at all.
    const bytes = new Uint8Array(16).map(() => Math.random() * 256);
    globalThis.crypto?.getRandomValues(bytes);
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
/** Converts a query to a query string such as `?status=pending`. Omits empty values. */
export function toSearch(query) {
    const given = typeof query === "string" ? new URLSearchParams(query) : query;
    const entries = given instanceof URLSearchParams ? [...given] : Object.entries(given);
    const pairs = entries.flatMap(([name, value]) => [value].flat().map((one) => [name, String(one ?? "")]));
    const search = new URLSearchParams(pairs.filter(([, value]) => value !== "")).toString();
    return search && `?${search}`;
}
/** Sends one request. Returns an ApiProblem if it fails; throws only if the signal is aborted. */
async function send(url, init, timeout, signal) {
    // AbortSignal.any and AbortSignal.timeout would be shorter, but browsers have them only since 2022 to 2024.
    const controller = new AbortController();
    const abort = () => controller.abort();
    const timer = setTimeout(abort, Math.min(timeout * 1000, 2 ** 31 - 1)); // A longer one would end at once.
    // Node.js can lose the controller's signal while it reads a body, so the call itself does not wait longer either.
    const aborted = new Promise((_, reject) => controller.signal.addEventListener("abort", reject));
    aborted.catch(() => { });
    signal?.addEventListener("abort", abort);
    if (signal?.aborted)
        abort();
    try {
        // Send the token to this address only.
        const request = fetch(url, { ...init, redirect: "error", signal: controller.signal });
        const response = await Promise.race([request, aborted]);
        const { ok, status, headers } = response;
        const data = parseJson(await Promise.race([response.text(), aborted]));
        if (ok && (data || status === 204))
            return { data, headers };
        const isProblem = /^application\/problem\+json/i.test(headers.get("Content-Type") ?? "");
        const problem = ok ? { detail: "The response did not come from the task service." } : (isProblem && data) || {};
        return new ApiProblem(status, problem, headers);
    }
    catch {
        if (signal?.aborted)
            throw signal.reason ?? new DOMException("The call was aborted.", "AbortError");
        return new ApiProblem(0, { title: "Unreachable", detail: "The task service cannot be reached." });
    }
    finally {
        clearTimeout(timer);
        signal?.removeEventListener("abort", abort);
    }
}
/** Throws a TypeError that does not contain the token, unlike that of the constructor. */
function makeHeaders(headers) {
    try {
        return new Headers(headers);
    }
    catch {
        throw new TypeError("The token, the key or the etag has characters that a header cannot have.");
    }
}
function parseJson(text) {
    try {
        return JSON.parse(text);
    }
    catch {
        return undefined;
    }
}
const ifMatch = (etag) => (etag == null ? {} : { "If-Match": etag });
/** Waits, but not longer than until the signal is aborted. */
function sleep(seconds, signal) {
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
