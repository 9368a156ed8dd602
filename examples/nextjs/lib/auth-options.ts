// Better Auth lives in the database of the tasks: its tables are in the schema public, theirs in the schema todo.

import type { BetterAuthOptions } from "better-auth";
import { jwt } from "better-auth/plugins";
import { Pool } from "pg";

const pool = new Pool({ connectionString: process.env.DATABASE_URL, connectionTimeoutMillis: 5000 });
// A connection that was idle is lost when the database restarts. The next one is new; without this Node would end.
pool.on("error", () => {});

export const options = {
  baseURL: process.env.BETTER_AUTH_URL, // What tokens have as their issuer and audience.
  secret: process.env.BETTER_AUTH_SECRET,
  database: pool,
  emailAndPassword: { enabled: true },
  // The service needs to know who somebody is (`sub`), and nothing else of them.
  plugins: [jwt({ jwt: { expirationTime: process.env.JWT_LIFETIME ?? "15m", definePayload: () => ({}) } })],
  telemetry: { enabled: false },
} satisfies BetterAuthOptions;
