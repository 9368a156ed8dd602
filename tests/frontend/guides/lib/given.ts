// What the guides leave to their readers: "your database and ways to sign in".

import { options } from "./auth-options";

const { database, secret, emailAndPassword, advanced, telemetry } = options;
export const given = { database, secret, emailAndPassword, advanced, telemetry };
