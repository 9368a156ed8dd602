// Answers calendar programs, which send no token: an API key is a part of the address. The server trades the key for a
// token, which no response contains, and fetches nothing but the calendar. So the key gives access to nothing else.

import { defaultKeyHasher } from "@better-auth/api-key";
import { auth } from "@/lib/auth";
import { apiUrl } from "@/lib/settings";

const PASSED_STATUSES = [200, 304, 429];
const PASSED_HEADERS = ["Cache-Control", "Content-Disposition", "Content-Type", "ETag", "Last-Modified", "Retry-After"];
const REFUSALS = {
  404: "There is no calendar at this address.\n",
  429: "These are too many requests.\n",
  503: "The calendar is not available at the moment.\n",
};
const TOKEN_SECONDS = 60;
const TIMEOUT_MILLISECONDS = 10_000;

export async function GET(request: Request, { params }: { params: Promise<{ file: string }> }): Promise<Response> {
  const [, key] = /^(\w+)\.ics$/.exec((await params).file) ?? [];
  try {
    if (!key || !(await isStored(key))) return refuse(404);
    const { error, key: verified } = await auth.api.verifyApiKey({ body: { configId: "calendar", key } });
    if (error?.code === "RATE_LIMITED") return refuse(429, 1);
    if (!verified || !(await isUser(verified.referenceId))) return refuse(404);
    return await fetchCalendar(request, verified.referenceId);
  } catch (error) {
    console.error("The calendar cannot be fetched:", error);
    return refuse(503, 60);
  }
}

export { GET as HEAD };

/** Finds out whether there is such a key. Unlike verifyApiKey, it throws if the database is down, and logs no wrong key. */
async function isStored(key: string): Promise<boolean> {
  const { adapter } = await auth.$context;
  const where = [{ field: "key", value: await defaultKeyHasher(key) }];
  return Boolean(await adapter.findOne({ model: "apikey", where }));
}

/** Finds out whether the user exists. The keys of a deleted user stay in the table. */
async function isUser(id: string): Promise<boolean> {
  const { internalAdapter } = await auth.$context;
  return Boolean(await internalAdapter.findUserById(id));
}

async function fetchCalendar(request: Request, userId: string): Promise<Response> {
  const exp = Math.floor(Date.now() / 1000) + TOKEN_SECONDS;
  const { token } = await auth.api.signJWT({ body: { payload: { sub: userId, exp } } });
  const answer = await fetch(`${apiUrl()}/api/tasks/calendar.ics`, {
    method: request.method,
    headers: { Authorization: `Bearer ${token}`, ...pick(request.headers, ["If-None-Match"]) },
    cache: "no-store",
    redirect: "error", // Send the token to this address only.
    signal: AbortSignal.timeout(TIMEOUT_MILLISECONDS),
  });
  const { status } = answer;
  if (!PASSED_STATUSES.includes(status)) throw new Error(`The task service answered with status ${status}.`);
  const body = status === 200 ? await answer.arrayBuffer() : null;
  return respond(status, body, pick(answer.headers, PASSED_HEADERS));
}

function refuse(status: keyof typeof REFUSALS, retryAfter?: number): Response {
  const headers = { "Cache-Control": "no-store", "Content-Type": "text/plain; charset=utf-8" };
  return respond(status, REFUSALS[status], retryAfter ? { ...headers, "Retry-After": String(retryAfter) } : headers);
}

/** Creates a response that no search engine lists. proxy.ts adds the Referrer-Policy. */
const respond = (status: number, body: BodyInit | null, headers: Record<string, string>) =>
  new Response(body, { status, headers: { ...headers, "X-Robots-Tag": "noindex" } });

const pick = (headers: Headers, names: string[]): Record<string, string> =>
  Object.fromEntries(names.filter((name) => headers.has(name)).map((name) => [name, headers.get(name) ?? ""]));
