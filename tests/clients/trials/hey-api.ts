import { MutationObserver, QueryClient } from "@tanstack/react-query";
import { createTaskMutation, getTaskOptions } from "../.generated/hey-api/@tanstack/react-query.gen";
import { client } from "../.generated/hey-api/client.gen";
import { completeTask, createTask, deleteTask, listTasks, updateTask } from "../.generated/hey-api/sdk.gen";
import type { CreateTaskError, Task } from "../.generated/hey-api/types.gen";
import { zProblem, zTask } from "../.generated/hey-api/zod.gen";
import { baseUrl, run, token } from "./steps";

client.setConfig({ baseUrl, auth: () => token });
const queries = new QueryClient();

await run({
  async create(body, key) {
    if (key) {
      const { data, error } = await createTask({ body, headers: { "Idempotency-Key": key } });
      return data ?? error!;
    }
    const mutation = new MutationObserver(queries, createTaskMutation());
    return mutation.mutate({ body }).catch((problem: CreateTaskError) => problem);
  },
  async read(task_id) {
    try {
      const task: Task = zTask.parse(await queries.fetchQuery({ ...getTaskOptions({ path: { task_id } }), retry: false }));
      return task;
    } catch (problem) {
      return zProblem.parse(problem);
    }
  },
  async update(task_id, title, etag) {
    const { data, error } = await updateTask({ path: { task_id }, body: { title }, headers: { "If-Match": etag } });
    return data ?? error!;
  },
  async complete(task_id) {
    const { data, error } = await completeTask({ path: { task_id }, body: { completed: true } });
    return data ?? error!;
  },
  remove(task_id) {
    return deleteTask({ path: { task_id }, throwOnError: true });
  },
  async list(limit, cursor) {
    const { data, response } = await listTasks({ query: { completed: false, limit, cursor } });
    return { tasks: data!, link: response!.headers.get("Link") };
  },
});
