"""Users whose requests share connections, in the pool and in PgBouncer, see only their own tasks."""

from concurrent.futures import ThreadPoolExecutor

from flask import Flask

from config import Settings
from tests.support.callers import Caller, read_task, read_tasks


def test_twelve_concurrent_users_see_only_their_own_tasks(app: Flask, settings: Settings) -> None:
    """Twelve users share eight connections, and four in CI's PgBouncer."""
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
