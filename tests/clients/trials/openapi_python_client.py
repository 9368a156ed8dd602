"""openapi-python-client: functions that return a task or a problem; sync_detailed gives the headers."""

import steps
from todo_openapi_python_client import AuthenticatedClient
from todo_openapi_python_client.api.tasks import (
    complete_task,
    create_task,
    delete_task,
    get_task,
    list_tasks,
    update_task,
)
from todo_openapi_python_client.models import Completion, NewTask, Priority, Problem, Task, TaskChanges
from todo_openapi_python_client.types import UNSET

client = AuthenticatedClient(steps.BASE_URL, steps.TOKEN, raise_on_unexpected_status=True)


def read(answer: Task | Problem | None) -> steps.Task | steps.Problem:
    assert answer is not None
    if isinstance(answer, Task):
        return steps.Task(answer.id, answer.title, answer.completed, answer.due_date, answer.etag)
    return steps.Problem(answer.status, answer.code, answer.errors.additional_properties if answer.errors else {})


class Client:
    def create(self, title: str, due_date: str | None = None, key: str | None = None) -> steps.Task | steps.Problem:
        new = NewTask(title=title, due_date=due_date, priority=Priority.HIGH, tags=["shop", "home"])
        return read(create_task.sync(client=client, body=new, idempotency_key=key or UNSET))

    def read(self, task_id: int) -> steps.Task | steps.Problem:
        return read(get_task.sync(task_id, client=client))

    def update(self, task_id: int, title: str, etag: str) -> steps.Task | steps.Problem:
        return read(update_task.sync(task_id, client=client, body=TaskChanges(title=title), if_match=etag))

    def complete(self, task_id: int) -> steps.Task | steps.Problem:
        return read(complete_task.sync(task_id, client=client, body=Completion(completed=True)))

    def delete(self, task_id: int) -> None:
        delete_task.sync_detailed(task_id, client=client)

    def list_page(self, limit: int, cursor: str | None) -> tuple[list[int], str | None]:
        page = list_tasks.sync_detailed(client=client, completed=False, limit=limit, cursor=cursor or UNSET)
        assert isinstance(page.parsed, list)
        return [task.id for task in page.parsed], page.headers.get("Link")


steps.run(Client())
