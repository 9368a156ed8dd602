import { getMigrations } from "better-auth/db/migration";
import { auth } from "./lib/auth";

await (await getMigrations(auth.options)).runMigrations();
process.exit(); // The connection pool would keep the process alive.
