import { Configuration, ProblemFromJSON, ResponseError, TasksApi, type Task } from "../.generated/typescript-fetch";
import { baseUrl, run, token } from "./steps";

const api = new TasksApi(new Configuration({ basePath: baseUrl, accessToken: token }));
const rename = ({ dueDate, ...task }: Task) => ({ ...task, due_date: dueDate });

async function answer(task: Promise<Task>) {
  try {
    return rename(await task);
  } catch (error) {
    if (!(error instanceof ResponseError)) throw error;
    return ProblemFromJSON(await error.response.json());
  }
}

await run({
  create({ due_date: dueDate, ...task }, idempotencyKey) {
    return answer(api.createTask({ newTask: { ...task, dueDate }, idempotencyKey }));
  },
  read(taskId) {
    return answer(api.getTask({ taskId }));
  },
  update(taskId, title, ifMatch) {
    return answer(api.updateTask({ taskId, ifMatch, taskChanges: { title } }));
  },
  complete(taskId) {
    return answer(api.completeTask({ taskId, completion: { completed: true } }));
  },
  remove(taskId) {
    return api.deleteTask({ taskId });
  },
  async list(limit, cursor) {
    const page = await api.listTasksRaw({ completed: false, limit, cursor });
    return { tasks: (await page.value()).map(rename), link: page.raw.headers.get("Link") };
  },
});
