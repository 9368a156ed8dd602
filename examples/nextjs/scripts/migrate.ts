// Makes Better Auth's tables, or brings them up to date.

import nextEnv from "@next/env";
import { getMigrations } from "better-auth/db/migration";

nextEnv.loadEnvConfig(process.cwd(), false, { info: () => {}, error: console.error });
const { options } = await import("../lib/auth-options"); // Reads the settings, so not before.
try {
  const { runMigrations, toBeCreated } = await getMigrations(options);
  await runMigrations();
  if (toBeCreated.length) console.log(`Made Better Auth's tables: ${toBeCreated.map(({ table }) => table).join(", ")}.`);
  process.exit(); // The pool would keep it alive.
} catch (error) {
  console.error(`Error: Better Auth's tables were not made: ${(error as Error).message}`);
  process.exit(1);
}
