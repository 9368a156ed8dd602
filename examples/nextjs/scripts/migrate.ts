// Creates or migrates Better Auth's tables.

import nextEnv from "@next/env";
import { getMigrations } from "better-auth/db/migration";

nextEnv.loadEnvConfig(process.cwd(), false, { info: () => {}, error: console.error });
const { options } = await import("../lib/auth-options"); // Import it only now: it reads the settings loaded above.
try {
  const { runMigrations, toBeCreated } = await getMigrations(options);
  await runMigrations();
  const created = toBeCreated.map(({ table }) => table);
  if (created.length) console.log(`Created Better Auth's tables: ${created.join(", ")}.`);
  process.exit(); // The connection pool would keep the process alive.
} catch (error) {
  console.error(`Error: Better Auth's tables were not migrated: ${(error as Error).message}`);
  process.exit(1);
}
