// A real Better Auth on 127.0.0.1 with a typical configuration, where tests sign users up.
//
// The argument is a JSON object: port, databaseUrl, secret, algorithm, rotationSeconds of the keys (default: never), path
// of the API (default: /api/auth) and jwksPath below it (default: /jwks).
// Prints "ready" when it serves. Mails are not sent: GET /mails returns the tokens in their links.
import { createServer } from "node:http";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { toNodeHandler } from "better-auth/node";
import { jwt } from "better-auth/plugins";
import { SignJWT } from "jose";
import pg from "pg";

const { port, databaseUrl, secret, algorithm, rotationSeconds, path, jwksPath } = JSON.parse(process.argv[2]);
const baseURL = `http://127.0.0.1:${port}${path ?? ""}`;
const mails = [];

// The jwt plugin does not support a shared secret. A custom signer does, but requires a remote JWKS, which is never used.
const signWithTheSecret = (payload) =>
  new SignJWT(payload).setProtectedHeader({ alg: "HS256", typ: "JWT" }).sign(new TextEncoder().encode(secret));

const plugin =
  algorithm === "HS256"
    ? jwt({ jwks: { remoteUrl: `${baseURL}/unused`, keyPairConfig: { alg: "EdDSA" } }, jwt: { sign: signWithTheSecret } })
    : jwt({
        jwks: { keyPairConfig: { alg: algorithm }, rotationInterval: rotationSeconds, jwksPath },
        sessionCookieCache: true,
      });

const options = {
  baseURL,
  secret,
  database: new pg.Pool({ connectionString: databaseUrl }),
  emailAndPassword: { enabled: true },
  emailVerification: { sendOnSignUp: true, sendVerificationEmail: async ({ token }) => void mails.push(token) },
  session: { cookieCache: { enabled: true, strategy: "jwt" } },
  plugins: [plugin],
  logger: { level: "warn" },
  telemetry: { enabled: false },
};

const { runMigrations } = await getMigrations(options);
await runMigrations();
const handle = toNodeHandler(betterAuth(options));
createServer((request, response) =>
  request.url === "/mails" ? response.end(JSON.stringify(mails)) : handle(request, response),
).listen(port, "127.0.0.1", () => console.log("ready"));
