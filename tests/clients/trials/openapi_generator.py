"""openapi-generator's python: it raises for refusals; the methods with _with_http_info give the headers."""

from collections.abc import Callable

import steps
import todo_openapi_generator as todo

configuration = todo.Configuration(host=steps.BASE_URL, access_token=steps.TOKEN)
api = todo.TasksApi(todo.ApiClient(configuration))


def read(call: Callable[[], todo.Task]) -> steps.Task | steps.Problem:
    try:
        task = call()
    except todo.ApiException as error:
        problem = todo.Problem.from_json(error.body or "")
        assert problem is not None
        return steps.Problem(problem.status, problem.code, problem.errors or {})
    return steps.Task(task.id, task.title, task.completed, task.due_date, task.etag)


class Client:
    def create(self, title: str, due_date: str | None = None, key: str | None = None) -> steps.Task | steps.Problem:
        new = todo.NewTask(title=title, due_date=due_date, priority=todo.Priority.HIGH, tags=["shop", "home"])
        return read(lambda: api.create_task(new, idempotency_key=key))

    def read(self, task_id: int) -> steps.Task | steps.Problem:
        return read(lambda: api.get_task(task_id))

    def update(self, task_id: int, title: str, etag: str) -> steps.Task | steps.Problem:
        return read(lambda: api.update_task(task_id, if_match=etag, task_changes=todo.TaskChanges(title=title)))

    def complete(self, task_id: int) -> steps.Task | steps.Problem:
        return read(lambda: api.complete_task(task_id, completion=todo.Completion(completed=True)))

    def delete(self, task_id: int) -> None:
        api.delete_task(task_id)

    def list_page(self, limit: int, cursor: str | None) -> tuple[list[int], str | None]:
        page = api.list_tasks_with_http_info(completed=False, limit=limit, cursor=cursor)
        return [task.id for task in page.data], (page.headers or {}).get("Link")


steps.run(Client())
