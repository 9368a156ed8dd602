"""datamodel-code-generator: only models, which httpx sends and receives."""

import httpx
import steps
from pydantic import BaseModel
from todo_models import Completion, NewTask, Priority, Problem, Task, TaskChanges

http = httpx.Client(base_url=steps.BASE_URL, headers={"Authorization": f"Bearer {steps.TOKEN}"})
JSON = {"Content-Type": "application/json"}


def dump(body: BaseModel) -> str:
    """Return the JSON of a body with the fields that were set."""
    return body.model_dump_json(exclude_unset=True)


def read(answer: httpx.Response) -> steps.Task | steps.Problem:
    if answer.is_success:
        task = Task.model_validate_json(answer.content)
        return steps.Task(task.id, task.title, task.completed, task.due_date, task.etag)
    problem = Problem.model_validate_json(answer.content)
    return steps.Problem(problem.status, problem.code, problem.errors or {})


class Client:
    def create(self, title: str, due_date: str | None = None, key: str | None = None) -> steps.Task | steps.Problem:
        new = NewTask(title=title, due_date=due_date, priority=Priority.high)
        headers = JSON | ({"Idempotency-Key": key} if key else {})
        return read(http.post("/api/tasks", content=dump(new), headers=headers))

    def read(self, task_id: int) -> steps.Task | steps.Problem:
        return read(http.get(f"/api/tasks/{task_id}"))

    def update(self, task_id: int, title: str, etag: str) -> steps.Task | steps.Problem:
        headers = JSON | {"If-Match": etag}
        return read(http.patch(f"/api/tasks/{task_id}", content=dump(TaskChanges(title=title)), headers=headers))

    def complete(self, task_id: int) -> steps.Task | steps.Problem:
        return read(
            http.patch(f"/api/tasks/{task_id}/complete", content=dump(Completion(completed=True)), headers=JSON)
        )

    def delete(self, task_id: int) -> None:
        http.delete(f"/api/tasks/{task_id}").raise_for_status()

    def list_page(self, limit: int, cursor: str | None) -> tuple[list[int], str | None]:
        params: dict[str, str | int] = {"completed": False, "limit": limit} | ({"cursor": cursor} if cursor else {})
        page = http.get("/api/tasks", params=params).raise_for_status()
        return [Task.model_validate(task).id for task in page.json()], page.headers.get("Link")


steps.run(Client())
