"""GET /api/tasks"""

from tests.support.callers import Caller, read_task, read_tasks
from tests.support.databases import Database


def test_a_new_user_has_no_tasks(alice: Caller) -> None:
    assert read_tasks(alice.get("/api/tasks")) == []


def test_a_list_is_an_array_with_the_newest_task_first(alice: Caller) -> None:
    for title in ("one", "two", "three"):
        alice.add(title)
    assert alice.titles() == ["three", "two", "one"]


def test_a_listed_task_equals_the_fetched_task(alice: Caller) -> None:
    task = alice.add(description="two litres")
    assert read_tasks(alice.get("/api/tasks")) == [task]
    assert read_task(alice.get(f"/api/tasks/{task['id']}")) == task


def test_a_list_has_only_the_users_tasks(alice: Caller, bob: Caller) -> None:
    alice.add("hers")
    bob.add("his")
    assert (alice.titles(), bob.titles()) == (["hers"], ["his"])


def test_a_page_has_at_most_1000_tasks(alice: Caller, database: Database) -> None:
    database.run(
        "INSERT INTO todo.tasks (user_id, title) SELECT %s, n::text FROM generate_series(1, 1001) n", (alice.user_id,)
    )
    titles = alice.titles()
    assert len(titles) == 1000
    assert (titles[0], titles[-1]) == ("1001", "2")


def test_timestamps_are_utc_in_any_database_time_zone(alice: Caller, database: Database) -> None:
    database.run(
        "INSERT INTO todo.tasks (user_id, title, created_at) VALUES (%s, 'x', '2026-07-01T12:00:00+05:30')",
        (alice.user_id,),
    )
    assert read_tasks(alice.get("/api/tasks"))[0]["created_at"] == "2026-07-01T06:30:00.000000Z"
