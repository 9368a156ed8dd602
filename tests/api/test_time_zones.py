"""`due_before` and `due_after` with days and instants, in the time zone of the request."""

import pytest

from tests.support.callers import Caller, read_problem, read_tasks
from tests.support.databases import Database
from tests.support.pages import walk

# Local times of the day 2026-12-31 in each zone, and of the days next to it.
ZONES = {
    "America/New_York": ("2026-12-31T04:59:59.999999Z", "2026-12-31T05:00:00Z", "2027-01-01T04:59:59.999999Z"),
    "Asia/Tokyo": ("2026-12-30T14:59:59.999999Z", "2026-12-30T15:00:00Z", "2026-12-31T14:59:59.999999Z"),
    "Pacific/Kiritimati": ("2026-12-30T09:59:59.999999Z", "2026-12-30T10:00:00Z", "2026-12-31T09:59:59.999999Z"),
    "Asia/Kathmandu": ("2026-12-30T18:14:59.999999Z", "2026-12-30T18:15:00Z", "2026-12-31T18:14:59.999999Z"),
    "UTC": ("2026-12-30T23:59:59.999999Z", "2026-12-31T00:00:00Z", "2026-12-31T23:59:59.999999Z"),
}
DAYS = ("2026-12-30", "2026-12-31", "2027-01-01")


def find(caller: Caller, **query: str) -> set[str]:
    """Return the titles of the tasks that a query finds."""
    return {task["title"] for task in read_tasks(caller.get("/api/tasks", query_string=query))}


@pytest.mark.parametrize("zone", ZONES)
def test_the_tasks_due_on_a_local_day_are_one_query(alice: Caller, zone: str) -> None:
    before, first, last = ZONES[zone]
    after = last.replace("59.999999", "59.9999995")  # Too precise: the same microsecond.
    for due_date in (None, *DAYS, before, first, last, after):
        alice.add(str(due_date), due_date=due_date)
    day = "2026-12-31"
    assert find(alice, due_after=day, due_before=day, time_zone=zone) == {day, first, last, after}
    assert find(alice, due_before="2026-12-30", time_zone=zone) == {"2026-12-30", before}
    assert find(alice, due_after="2027-01-01", time_zone=zone) == {"2027-01-01"}


def test_days_begin_and_end_in_utc_by_default(alice: Caller) -> None:
    for due_date in (*DAYS, "2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z"):
        alice.add(due_date, due_date=due_date)
    assert find(alice, due_after=DAYS[1], due_before=DAYS[1]) == {DAYS[1], "2026-12-31T00:00:00Z"}


def test_an_instant_is_a_limit_too(alice: Caller) -> None:
    """A whole day is due at its end in the time zone, so it is not overdue before."""
    for due_date in (*DAYS, "2026-12-31T12:00:00Z", "2026-12-31T12:00:01Z"):
        alice.add(due_date, due_date=due_date)
    noon = "2026-12-31T13:00:00+01:00"
    assert find(alice, due_before=noon) == {"2026-12-30", "2026-12-31T12:00:00Z"}
    assert find(alice, due_after=noon) == {"2026-12-31", "2027-01-01", "2026-12-31T12:00:00Z", "2026-12-31T12:00:01Z"}
    # It is 2027-01-01 in Auckland, and still 2026-12-31 in Honolulu.
    instants = {"2026-12-31T12:00:00Z", "2026-12-31T12:00:01Z"}
    assert find(alice, due_before=noon, time_zone="Pacific/Auckland") == {*DAYS[:2], "2026-12-31T12:00:00Z"}
    assert find(alice, due_after=noon, time_zone="Pacific/Auckland") == {DAYS[2], *instants}
    assert find(alice, due_after="2027-01-01T09:59:59.999999Z", time_zone="Pacific/Honolulu") == {*DAYS[1:]}
    assert find(alice, due_before="2027-01-01T09:59:59.999999Z", time_zone="Pacific/Honolulu") == {*DAYS[:2], *instants}
    assert find(alice, due_before="2027-01-01T09:59:59.999998Z", time_zone="Pacific/Honolulu") == {DAYS[0], *instants}


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("America/New_York", "2026-03-08", 23),
        ("America/New_York", "2026-11-01", 25),
        ("America/Sao_Paulo", "2018-11-04", 23),  # It began at 1 o'clock.
        ("Australia/Lord_Howe", "2026-04-05", 24.5),
        ("Pacific/Apia", "2011-12-30", 0),  # The day was left out.
    ],
)
def test_a_day_is_as_long_as_the_clocks_say(
    alice: Caller, database: Database, zone: str, day: str, hours: float
) -> None:
    database.run(
        "INSERT INTO todo.tasks (user_id, title, due_at) SELECT %s, due_at::text, due_at FROM generate_series("
        "%s::timestamptz - interval '1 day', %s::timestamptz + interval '2 days', interval '30 minutes') AS due_at",
        (alice.user_id, f"{day}T00:00:00Z", f"{day}T00:00:00Z"),
    )
    assert len(find(alice, due_after=day, due_before=day, time_zone=zone)) == hours * 2


@pytest.mark.parametrize("zone", ["America/New_York", "Pacific/Kiritimati", "UTC"])
def test_limits_may_be_at_both_ends_of_the_calendar(alice: Caller, zone: str) -> None:
    dates = ["0001-01-01", "0001-01-01T00:00:00Z", "9999-12-31", "9999-12-31T23:59:59.999999Z"]
    for due_date in dates:
        alice.add(due_date, due_date=due_date)
    # The first instant in UTC belongs to the local day before, if the zone is in the west.
    assert find(alice, due_after="0001-01-01", due_before="9999-12-31", time_zone=zone) >= set(dates) - {dates[1]}
    for name in ("due_after", "due_before"):
        for limit in dates:
            response = alice.get("/api/tasks", query_string={name: limit, "time_zone": zone})
            if response.status_code != 200:
                assert "years 1 and 9999" in read_problem(response, 422, name)["detail"]


def test_a_plus_that_is_not_encoded_is_understood(alice: Caller) -> None:
    alice.add("due", due_date="2026-12-31T12:00:00Z")
    assert [task["title"] for task in read_tasks(alice.get("/api/tasks?due_before=2026-12-31T17:00:00+05:00"))] == [
        "due"
    ]
    assert read_tasks(alice.get("/api/tasks?due_before=2026-12-31T16:59:59+05:00")) == []


def test_pages_in_a_time_zone_go_on_with_the_same_limits(alice: Caller) -> None:
    for number in range(5):
        alice.add(str(number), due_date=f"2027-01-01T0{number}:00:00Z")
    path = "/api/tasks?due_before=2026-12-31&time_zone=America/New_York&sort=due_date&limit=2"
    assert walk(alice, path) == [["0", "1"], ["2", "3"], ["4"]]


@pytest.mark.parametrize(
    "zone", ["EST5EDT", "Europe/Berlin", "Etc/GMT+5", "Asia/Calcutta", "europe/berlin", "UTC", "utc"]
)
def test_every_name_of_the_iana_database_is_a_time_zone(alice: Caller, zone: str) -> None:
    assert find(alice, time_zone=zone) == set()


def test_a_plus_in_a_time_zone_may_be_written_as_a_plus(alice: Caller) -> None:
    alice.add(due_date="2026-12-31T02:00:00Z")
    for zone, number in (("Etc/GMT+5", 1), ("Etc/GMT%2B5", 1), ("Etc/GMT-5", 0)):
        listed = alice.get(f"/api/tasks?due_after=2026-12-30&due_before=2026-12-30&time_zone={zone}")
        assert len(read_tasks(listed)) == number


@pytest.mark.parametrize("zone", ["+05:00", "CEST", "/etc/passwd", "Europe", "Europe/../UTC", "x" * 5000])
def test_other_time_zones_are_refused(alice: Caller, zone: str) -> None:
    problem = read_problem(alice.get("/api/tasks", query_string={"time_zone": zone}), 422, "time_zone")
    assert "such as Europe/Berlin" in problem["detail"]
