// A Better Auth server on 127.0.0.1 with a typical configuration. The tests sign up users with it.
//
// The only argument is a JSON object:
// - port, databaseUrl, secret, algorithm
// - rotationSeconds: how often the keys rotate; default: never
// - path: the path of the API; default: /api/auth
// - jwksPath: the path of the JWKS, below the API; default: /jwks
//
// Prints "ready" when it listens. Sends no mail: GET /mails returns the tokens of the verification links.
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

// The jwt plugin cannot sign with a shared secret. A custom signer can, but the plugin then requires a remote JWKS URL.
// It never fetches that URL.
const signWithSecret = (payload) =>
  new SignJWT(payload).setProtectedHeader({ alg: "HS256", typ: "JWT" }).sign(new TextEncoder().encode(secret));

const plugin =
  algorithm === "HS256"
    ? jwt({ jwks: { remoteUrl: `${baseURL}/unused`, keyPairConfig: { alg: "EdDSA" } }, jwt: { sign: signWithSecret } })
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
