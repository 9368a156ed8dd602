// Next.js calls this function once, before the first request.

export async function register() {
  if (process.env.NEXT_RUNTIME === "nodejs") await (await import("./lib/client-address")).noteAddresses();
}
