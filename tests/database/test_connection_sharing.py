"""People whose requests go over the same connections, in the pool and, where there is one, in PgBouncer, never mix."""

from concurrent.futures import ThreadPoolExecutor

from flask import Flask

from config import Settings
from tests.support.callers import Caller, read_task, read_tasks


def test_twelve_people_at_once_see_their_own_tasks_only(app: Flask, settings: Settings) -> None:
    """On eight connections, and through CI's PgBouncer on four."""
    people = [Caller(app.test_client(), settings) for _ in range(12)]

    def work(person: Caller) -> None:
        for number in range(25):
            task = person.add(str(number))
            assert task["user_id"] == person.user_id
            done = read_task(person.patch(f"/api/tasks/{task['id']}", json={"completed": True}))
            assert done["user_id"] == person.user_id
            mine = read_tasks(person.get("/api/tasks?limit=1000"))
            assert {task["user_id"] for task in mine} == {person.user_id}
            assert len(mine) == number + 1

    with ThreadPoolExecutor(len(people)) as pool:
        list(pool.map(work, people))
