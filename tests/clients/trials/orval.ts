import { QueryClient } from "@tanstack/react-query";
import { completeTask, createTask, deleteTask, getGetTaskQueryOptions, listTasks, updateTask } from "../.generated/orval/todo";
import { run, token } from "./steps";

const signedIn = { headers: { Authorization: `Bearer ${token}` } };
const queries = new QueryClient();

await run({
  async create(task, key) {
    const headers = key ? { "Idempotency-Key": key } : {}; // orval sends "undefined" for undefined.
    return (await createTask(task, headers, signedIn)).data;
  },
  async read(id) {
    const answer = await queries.fetchQuery(getGetTaskQueryOptions(id, {}, { fetch: signedIn }));
    if (answer.status === 304) throw new Error("304 without If-None-Match");
    return answer.data;
  },
  async update(id, title, etag) {
    return (await updateTask(id, { title }, { "If-Match": etag }, signedIn)).data;
  },
  async complete(id) {
    return (await completeTask(id, { completed: true }, {}, signedIn)).data;
  },
  remove(id) {
    return deleteTask(id, {}, signedIn);
  },
  async list(limit, cursor) {
    const answer = await listTasks({ completed: false, limit, cursor }, signedIn);
    if (answer.status !== 200) throw new Error(answer.data.detail);
    return { tasks: answer.data, link: answer.headers.get("Link") };
  },
});
