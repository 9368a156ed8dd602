// Runs the tests of the client on api.mjs, without what the browsers of 2021 lacked. Object.hasOwn and
// String.prototype.toWellFormed stay, because the fetch of Node.js needs them.

import "node:http";

const YOUNGER = {
  AbortSignal: ["any", "timeout"],
  "AbortSignal.prototype": ["reason", "throwIfAborted"],
  "URLSearchParams.prototype": ["size"],
  "Array.prototype": ["at", "findLast", "findLastIndex", "toReversed", "toSorted", "toSpliced", "with"],
  Array: ["fromAsync"],
  "String.prototype": ["at", "isWellFormed"],
  Object: ["groupBy"],
  Promise: ["try", "withResolvers"],
  URL: ["canParse", "parse"],
  Response: ["json"],
  globalThis: ["crypto", "structuredClone"],
};

await fetch("data:,"); // Node.js loads its own code, which needs these functions, at the first request.
for (const [path, names] of Object.entries(YOUNGER)) {
  const owner = path.split(".").reduce<object>((part, name) => Reflect.get(part, name) as object, globalThis);
  for (const name of names) if (!Reflect.deleteProperty(owner, name)) throw new Error(`${path}.${name} cannot be removed`);
}
process.env.CLIENT = "./api.mjs";
await import("./api.test");
