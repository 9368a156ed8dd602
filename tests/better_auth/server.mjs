// A real Better Auth on 127.0.0.1, as a team would configure it, for the tests to sign people up with.
//
// Its one argument is JSON: port, databaseUrl, secret, algorithm, rotationSeconds (of its keys; none: never), path (of
// its API; none: /api/auth), jwksPath (under that; none: /jwks).
// Prints a line when it is ready. Mails are not sent: GET /mails has the tokens of their links.
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

// The jwt plugin knows no shared secret: a signer of one's own, which then wants a remote JWKS, never asked for.
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
