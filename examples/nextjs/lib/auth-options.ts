// Better Auth can share the service's database. Its tables are in the schema public, the tasks in the schema todo.

import { apiKey } from "@better-auth/api-key";
import type { BetterAuthOptions } from "better-auth";
import { jwt } from "better-auth/plugins";
import { Pool } from "pg";
import { ipAddress } from "./client-address";

const pool = new Pool({ connectionString: process.env.DATABASE_URL, connectionTimeoutMillis: 5000 });
// When the database restarts, idle connections emit an error, and the pool opens new ones. Without this listener, the
// error would end the process.
pool.on("error", () => {});

// The keys in the addresses of calendars. `configId` separates them from keys for other purposes. The plugin counts the
// uses until there is a pause of `timeWindow` milliseconds, so a calendar that asks every few minutes is never refused.
const calendarKeys = apiKey([
  {
    configId: "calendar",
    defaultPrefix: "cal_",
    defaultKeyLength: 32,
    startingCharactersConfig: { shouldStore: false },
    rateLimit: { timeWindow: 1000, maxRequests: 20 },
  },
]);

export const options = {
  baseURL: process.env.BETTER_AUTH_URL, // Tokens have it as `iss` and `aud`.
  secret: process.env.BETTER_AUTH_SECRET,
  database: pool,
  emailAndPassword: { enabled: true },
  // The service needs only the user's ID (`sub`), so the token has no other user data.
  plugins: [jwt({ jwt: { expirationTime: process.env.JWT_LIFETIME ?? "15m", definePayload: () => ({}) } }), calendarKeys],
  advanced: { ipAddress },
  telemetry: { enabled: false },
} satisfies BetterAuthOptions;
