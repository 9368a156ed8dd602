// Finds the address of each client, for Better Auth's rate limit and its list of sessions.
//
// A client can send any X-Forwarded-For, and Next.js passes it on. So the address of the connection is added to that
// header, as nginx does, and Better Auth reads the header from its end: it skips the proxies that TRUSTED_PROXIES names,
// and takes the next address. Without TRUSTED_PROXIES, it takes the address of the connection.
//
// CLIENT_IP_HEADER names a header instead, for platforms that set one themselves. Vercel sets X-Vercel-Forwarded-For.

const { CLIENT_IP_HEADER, TRUSTED_PROXIES = "", VERCEL } = process.env;
const platformHeader = CLIENT_IP_HEADER || (VERCEL && "x-vercel-forwarded-for");
const trustedProxies = TRUSTED_PROXIES.split(/[\s,]+/).filter(Boolean);

/** Better Auth's settings for the address of the client. */
export const ipAddress = platformHeader ? { ipAddressHeaders: [platformHeader] } : { trustedProxies };

/** Adds the address of the connection to each request, before Next.js reads the request. */
export async function noteAddresses(): Promise<void> {
  if (platformHeader) return;
  const { subscribe } = await import("node:diagnostics_channel");
  let isNoted = false;
  subscribe("http.server.request.start", (message) => {
    const { headers, socket } = (message as { request: import("node:http").IncomingMessage }).request;
    const given = headers["x-forwarded-for"];
    if (given && !trustedProxies.length && !isNoted) {
      isNoted = true;
      console.warn("A request has the header X-Forwarded-For, which counts only if TRUSTED_PROXIES names its proxy.");
    }
    // "unknown" is no address, so that a connection that has just been closed does not make the client's own list count.
    const address = socket.remoteAddress ?? "unknown";
    headers["x-forwarded-for"] = trustedProxies.length && given ? `${given}, ${address}` : address;
  });
}
