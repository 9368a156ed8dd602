// The address at which calendar programs read a user's tasks. It contains an API key of Better Auth.

import { ApiProblem } from "./api";
import { authClient } from "./auth-client";

const configId = "calendar";
const fetchOptions = { throw: true } as const;

/** Returns when the address was created, and when a calendar last read it. Returns undefined if there is no address. */
export async function findAddress(): Promise<{ created: Date; read?: Date } | undefined> {
  const [key] = await listKeys();
  return key && { created: new Date(key.createdAt), read: key.lastRequest ? new Date(key.lastRequest) : undefined };
}

/** Creates an address, and removes an earlier one. Only this call returns it: Better Auth stores a hash of the key. */
export async function createAddress(): Promise<string> {
  await removeAddress();
  const { key } = await call(() => authClient.apiKey.create({ configId, name: "Calendar", fetchOptions }));
  return `${location.origin}/calendar/${key}.ics`;
}

/** Removes the address. Calendars cannot read it any more. */
export async function removeAddress(): Promise<void> {
  for (const { id } of await listKeys()) await call(() => authClient.apiKey.delete({ configId, keyId: id, fetchOptions }));
}

const listKeys = async () => (await call(() => authClient.apiKey.list({ query: { configId }, fetchOptions }))).apiKeys;

/** Calls Better Auth. Throws an ApiProblem if this fails. */
async function call<Data>(request: () => Promise<Data>): Promise<Data> {
  try {
    return await request();
  } catch (error) {
    const { status = 0 } = error as { status?: number };
    const codes: Record<number, string> = { 401: "session_ended", 429: "rate_limited" };
    throw new ApiProblem(status, { code: codes[status] ?? "account_unreachable" });
  }
}
