import createClient from "openapi-fetch";
import type { paths } from "../.generated/openapi-fetch/schema";
import { baseUrl, run, token } from "./steps";

const client = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });

await run({
  async create(body, key) {
    const { data, error } = await client.POST("/api/tasks", { body, params: { header: { "Idempotency-Key": key } } });
    return data ?? error;
  },
  async read(task_id) {
    const { data, error } = await client.GET("/api/tasks/{task_id}", { params: { path: { task_id } } });
    return data ?? error!;
  },
  async update(task_id, title, etag) {
    const params = { path: { task_id }, header: { "If-Match": etag } };
    const { data, error } = await client.PATCH("/api/tasks/{task_id}", { params, body: { title } });
    return data ?? error;
  },
  async complete(task_id) {
    const params = { path: { task_id } };
    const { data, error } = await client.PATCH("/api/tasks/{task_id}/complete", { params, body: { completed: true } });
    return data ?? error;
  },
  remove(task_id) {
    return client.DELETE("/api/tasks/{task_id}", { params: { path: { task_id } } });
  },
  async list(limit, cursor) {
    const query = { completed: false, limit, cursor };
    const { data, response } = await client.GET("/api/tasks", { params: { query } });
    return { tasks: data!, link: response.headers.get("Link") };
  },
});
