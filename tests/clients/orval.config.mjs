export default {
  todo: {
    input: "../../docs/openapi.json",
    output: {
      target: ".generated/orval/todo.ts",
      client: "react-query",
      httpClient: "fetch",
      headers: true, // Idempotency-Key and If-Match become parameters.
      baseUrl: { runtime: "process.env.API_URL" },
    },
  },
};
