// Without its format, an int64 is a number in zod too. By default, it is a number in TypeScript and a bigint in zod.
function useNumbers(node) {
  if (node?.format === "int64") delete node.format;
  if (node && typeof node === "object") Object.values(node).forEach(useNumbers);
}

export default {
  input: "../../docs/openapi.json",
  output: ".generated/hey-api",
  parser: { patch: { input: useNumbers } },
  plugins: [
    "@hey-api/client-fetch",
    "zod",
    { name: "@hey-api/sdk", validator: true },
    "@tanstack/react-query",
  ],
};
