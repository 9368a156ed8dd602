import { apiKeyClient } from "@better-auth/api-key/client";
import { createAuthClient } from "better-auth/react";
import { jwtClient } from "better-auth/client/plugins";
import { ApiProblem } from "./api";

export const authClient = createAuthClient({ plugins: [jwtClient(), apiKeyClient()] });

/** Returns a `getToken` function that keeps a token until it is refused. Concurrent calls share one request. */
export function createTokenGetter(userId: string) {
  let token: string | undefined;
  let pending: Promise<string> | undefined;
  return async (refused?: string): Promise<string> => {
    if (token && token !== refused) return token;
    pending ??= fetchToken(userId).finally(() => (pending = undefined));
    return (token = await pending);
  };
}

async function fetchToken(userId: string): Promise<string> {
  const { data, error } = await authClient.token().catch(() => ({ data: null, error: { status: 0 } }));
  if (error?.status === 401) throw new ApiProblem(401, { code: "session_ended" });
  if (!data) throw new ApiProblem(error?.status ?? 0, { code: "account_unreachable" });
  // Another user may have signed in from another tab. This page must not show that user's tasks.
  const payload = data.token.split(".")[1] ?? "";
  const { sub } = JSON.parse(atob(payload.replaceAll("-", "+").replaceAll("_", "/"))) as { sub?: string };
  if (sub !== userId) throw new ApiProblem(401, { code: "other_user" });
  return data.token;
}
