"""The example frontend with real browsers, the real Next.js and Better Auth, and the real service."""

import re
import time
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPMessage
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Route, expect

from tests.support.commands import call
from tests.support.frontend import Site, Visit, Visitor, find_missing, row, titles

missing = find_missing()
pytestmark = pytest.mark.skipif(missing is not None, reason=str(missing))


def test_users_sign_up_and_see_only_their_own_tasks(visit: Visit) -> None:
    people = {name: visit() for name in ("Ada", "Bob")}
    for name, visitor in people.items():
        page = visitor.page
        page.get_by_role("button", name="Create an account").click()
        page.get_by_label("Name").fill(name)
        page.get_by_label("Email").fill(f"{name}@example.com")
        page.get_by_label("Password").fill("correct horse battery")
        page.get_by_role("button", name="Sign up").click()
        expect(page.get_by_text("Nothing to do yet.")).to_be_visible()
        visitor.add(f"A task of {name}'s")
    for name, visitor in people.items():
        for _ in range(2):
            expect(row(visitor.page, f"A task of {name}'s")).to_be_visible()
            assert titles(visitor.page) == [f"A task of {name}'s"]
            visitor.page.reload()

    page = people["Ada"].page
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Email").fill("ada@example.com")
    page.get_by_label("Password").fill("something else")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("Invalid email or password")).to_be_visible()
    people["Ada"].forgive("401")
    page.get_by_label("Password").fill("correct horse battery")
    page.get_by_role("button", name="Sign in").click()
    expect(row(page, "A task of Ada's")).to_be_visible()


def test_a_task_is_added_edited_completed_found_and_deleted(ada: Visitor) -> None:
    page = ada.page
    page.get_by_text("Details").click()
    page.get_by_label("Description").fill("Two bottles.")
    page.get_by_label("Due").fill("2030-12-31")
    page.locator(".new-task").get_by_label("Priority").select_option("High")
    page.get_by_label("Tags").fill("home, errand")
    ada.add("Buy milk")
    added = row(page, "Buy milk")
    for text in ("Two bottles.", "Tue, Dec 31, 2030", "high priority", "#home", "#errand"):
        expect(added.get_by_text(text)).to_be_visible()
    expect(page.get_by_role("status").filter(has_text="Added “Buy milk”.")).to_be_visible()
    expect(page.get_by_role("textbox", name="New task")).to_be_focused()

    added.get_by_role("button", name="Edit Buy milk").click()
    dialog = page.get_by_role("dialog", name="Edit task")
    expect(dialog.get_by_label("Tags")).to_have_value("home, errand")
    dialog.get_by_label("Title").fill("Buy bread")
    dialog.get_by_label("Due").fill("")
    dialog.get_by_role("button", name="Save").click()
    expect(row(page, "Buy bread")).to_be_visible()
    [task] = ada.call("GET")
    assert (task["title"], task["due_date"], task["tags"]) == ("Buy bread", None, ["home", "errand"])

    ada.add("Call grandmother")
    row(page, "Buy bread").get_by_role("checkbox").check()
    expect(page.get_by_role("status").filter(has_text="Completed “Buy bread”.")).to_be_visible()
    both = ["Call grandmother", "Buy bread"]

    def expect_titles(expected: list[str]) -> None:
        expect(page.locator(".task > label")).to_have_text(expected)

    for status, expected in (("Pending", both[:1]), ("Completed", both[1:]), ("All", both)):
        page.get_by_text(status, exact=True).click()
        expect_titles(expected)
    search = page.get_by_role("search")
    search.get_by_label("Priority").select_option("High")
    expect_titles(["Buy bread"])
    page.reload()
    expect_titles(["Buy bread"])
    search.get_by_label("Priority").select_option("Any priority")
    expect_titles(both)
    search.get_by_label("Sort by").select_option("Title")
    expect_titles(both[::-1])
    search.get_by_label("Search").fill("GRAND")
    expect_titles(both[:1])
    search.get_by_label("Search").fill("nothing like that")
    expect(page.get_by_text("No task is like that.")).to_be_visible()
    page.get_by_role("button", name="Show all tasks").click()
    expect_titles(both)
    row(page, "Buy bread").get_by_role("button", name="Show tasks tagged errand").click()
    expect_titles(["Buy bread"])
    search.get_by_role("button", name="No longer only tasks tagged errand").click()
    expect_titles(both)

    row(page, "Buy bread").get_by_role("button", name="Delete Buy bread").click()
    page.get_by_role("dialog").get_by_role("button", name="Keep it").click()
    expect_titles(both)
    row(page, "Buy bread").get_by_role("button", name="Delete Buy bread").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect_titles(both[:1])
    assert [task["title"] for task in ada.call("GET")] == both[:1]


@pytest.mark.parametrize(
    ("zone", "instant", "shown", "day", "moved"),
    [
        ("America/New_York", "2031-01-01T03:30", "Tue, Dec 31, 2030, 22:30", "2030-12-31", "2030-12-25T03:30"),
        ("Asia/Tokyo", "2030-12-31T15:30", "Wed, Jan 1, 2031, 00:30", "2031-01-01", "2030-12-23T15:30"),
    ],
)
def test_an_edit_keeps_the_time_and_shows_the_local_day(
    visit: Visit, zone: str, instant: str, shown: str, day: str, moved: str
) -> None:
    ada = visit(timezone_id=zone)
    ada.sign_up()
    ada.call("POST", title="Call", due_date=f"{instant}:00Z")
    ada.page.reload()
    expect(row(ada.page, "Call").get_by_text(shown)).to_be_visible()

    def edit(label: str, text: str) -> str:
        row(ada.page, "Call").get_by_role("button", name="Edit Call").click()
        dialog = ada.page.get_by_role("dialog", name="Edit task")
        expect(dialog.get_by_label("Due")).to_have_value(day)
        dialog.get_by_label(label).fill(text)
        dialog.get_by_role("button", name="Save").click()
        expect(dialog).to_be_hidden()
        return str(ada.call("GET")[0]["due_date"])

    assert edit("Description", "About the trip.") == f"{instant}:00.000000Z"
    assert edit("Due", "2030-12-24") == f"{moved}:00.000000Z"


def test_an_error_of_a_field_is_shown_at_the_field(ada: Visitor) -> None:
    ada.page.get_by_role("textbox", name="New task").fill(" " * 3)
    ada.page.get_by_role("button", name="Add", exact=True).click()
    title = ada.page.get_by_role("textbox", name="New task")
    expect(title).to_have_attribute("aria-invalid", "true")
    expect(title).to_have_accessible_description(re.compile("1 to 200 characters"))
    ada.forgive("422")
    ada.add("x" * 200)


def test_an_error_of_a_hidden_field_is_shown_too(ada: Visitor) -> None:
    page = ada.page
    page.get_by_text("Details").click()
    page.get_by_label("Tags").fill("home, Home")
    page.get_by_text("Details").click()
    page.get_by_role("textbox", name="New task").fill("Buy milk")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("alert").filter(has_text="Tag 2 is a duplicate")).to_be_visible()
    ada.forgive("422")


def test_a_long_list_loads_page_by_page(ada: Visitor) -> None:
    for number in range(45):
        ada.call("POST", title=f"Task {number}")
    ada.page.reload()
    for shown in (20, 40, 45):
        expect(ada.page.locator(".task")).to_have_count(shown)
        assert titles(ada.page) == [f"Task {number}" for number in range(44, 44 - shown, -1)]
        if shown < 45:
            ada.page.get_by_role("button", name="Load more").click()
    expect(ada.page.get_by_role("button", name="Load more")).to_be_hidden()
    row(ada.page, "Task 3").get_by_role("checkbox").check()
    expect(ada.page.get_by_text("Completed “Task 3”.")).to_be_visible()
    expect(ada.page.locator(".task")).to_have_count(45)


def test_an_expired_token_is_renewed_unnoticed(site: Site, visit: Visit) -> None:
    with Site(site.database, site.outside, token_lifetime="3s").serve() as short:
        ada = visit(short)
        refused: list[int] = []
        ada.page.on("response", lambda answer: refused.append(answer.status) if answer.status >= 400 else None)
        ada.sign_up()
        ada.add("Before")
        time.sleep(9)  # The token expires after three seconds, and the clocks may differ by five.
        ada.add("After")
        assert titles(ada.page) == ["After", "Before"]
        expect(ada.page.locator(".problem")).to_have_count(0)
        assert refused == [401]
        ada.forgive("401")


def test_an_outage_of_the_service_is_shown_and_ends_by_itself(ada: Visitor, visit: Visit) -> None:
    ada.add("Before")
    page = ada.page
    ada.site.stop_service()
    try:
        page.get_by_role("textbox", name="New task").fill("Meanwhile")
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.get_by_text("The task was not added")).to_be_visible()
        expect(page.get_by_role("textbox", name="New task")).to_have_value("Meanwhile")
        row(page, "Before").get_by_role("checkbox").click()
        expect(page.get_by_text("“Before” was not completed")).to_be_visible()
        expect(row(page, "Before").get_by_role("checkbox")).not_to_be_checked()
        newcomer = ada.open()
        expect(newcomer.get_by_text("Your tasks cannot be shown")).to_be_visible()
        expect(newcomer.get_by_text("The task service cannot be reached.")).to_be_visible()
    finally:
        ada.site.start_service()
    expect(row(newcomer, "Before")).to_be_visible()
    expect(newcomer.locator(".problem")).to_have_count(0)
    page.get_by_role("button", name="Try again").click()
    expect(row(page, "Before").get_by_role("checkbox")).to_be_checked()
    page.get_by_role("button", name="Add", exact=True).click()
    expect(row(page, "Meanwhile")).to_be_visible()
    expect(page.locator(".problem")).to_have_count(0)
    assert [task["title"] for task in ada.call("GET")] == ["Meanwhile", "Before"]
    ada.forgive("ERR_CONNECTION_REFUSED")


def test_an_outage_of_the_database_is_shown_and_ends_by_itself(ada: Visitor) -> None:
    ada.add("Before")
    database = ada.site.database
    database.server.run(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS false")
    try:
        database.server.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database.name}'")
        row(ada.page, "Before").get_by_role("checkbox").click()
        expect(ada.page.get_by_text("“Before” was not completed")).to_be_visible()
        # The example's words, not the service's.
        expect(ada.page.get_by_text("The task service is not available at the moment.").first).to_be_visible()
        newcomer = ada.open()
        expect(newcomer.get_by_text("The page cannot be shown")).to_be_visible()
    finally:
        database.server.run(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS true")
    expect(row(newcomer, "Before")).to_be_visible()
    ada.page.get_by_role("button", name="Try again").click()
    expect(ada.page.get_by_text("Completed “Before”.")).to_be_visible()
    expect(ada.page.locator(".problem")).to_have_count(0)
    ada.forgive("503")


def test_a_task_is_added_once_despite_lost_responses(ada: Visitor) -> None:
    lost: list[int] = []

    def lose(route: Route) -> None:
        if route.request.method == "POST":
            lost.append(route.fetch().status)
            route.abort()
        else:
            route.continue_()

    ada.page.route(f"{ada.site.service_url}/**", lose)
    ada.page.get_by_role("textbox", name="New task").fill("Buy milk")
    for _ in range(2):
        ada.page.get_by_role("button", name="Add", exact=True).click()
        expect(ada.page.get_by_text("The task was not added")).to_be_visible()
        expect(ada.page.locator(".new-task .primary")).to_have_attribute("aria-disabled", "false")
    assert lost == [201] * 6
    ada.page.unroute_all()
    ada.page.get_by_role("button", name="Add", exact=True).click()
    expect(ada.page.get_by_text("Added “Buy milk”.")).to_be_visible()
    assert titles(ada.page) == ["Buy milk"]
    ada.forgive("ERR_FAILED")


def test_sample_tasks_are_added_once_despite_lost_responses(visit: Visit) -> None:
    # UTC+14 from ten o'clock on, and UTC-11 before: the user's today is always another day than the one in UTC.
    ada = visit(timezone_id="Pacific/Kiritimati" if datetime.now(UTC).hour >= 10 else "Pacific/Pago_Pago")
    ada.sign_up()
    page, held = ada.page, list[Route]()

    def lose(route: Route) -> None:
        if route.request.method != "POST" or len(held) > 5:
            route.continue_()
        elif not held:
            held.append(route)  # Until the progress is visible.
        elif len(held) < 3:
            held.append(route)
            route.continue_()
        else:
            held.append(route)
            assert route.fetch().status == 201
            route.abort()

    page.route(f"{ada.site.service_url}/**", lose)
    page.get_by_role("button", name="Add sample tasks").dblclick()
    expect(page.get_by_role("progressbar", name="Adding sample tasks")).to_be_visible()
    held[0].continue_()
    failure = page.get_by_role("alert").filter(has_text="Not all sample tasks were added")
    expect(failure).to_contain_text("The task service cannot be reached.")
    expect(page.locator(".task")).to_have_count(4)
    failure.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("Added 11 sample tasks.")).to_be_visible()
    expect(page.locator(".task")).to_have_count(11)
    expect(page.locator(".problem")).to_have_count(0)
    marks = {
        "Pay the electricity bill": ["high priority", "(overdue)", "#home", "#money"],
        "Buy groceries": ["Today", "#shopping"],
        "Team meeting": ["Tomorrow, 09:30", "#work"],
    }
    for title, texts in marks.items():
        for text in texts:
            expect(row(page, title).get_by_text(text)).to_be_visible()
    assert [task["title"] for task in ada.call("GET") if task["completed"]] == ["Water the plants"]
    assert len({task["title"] for task in ada.call("GET")}) == 11
    ada.forgive("ERR_FAILED")


@pytest.mark.parametrize("choice", ["Save mine", "Use theirs"])
def test_a_conflicting_edit_shows_both_versions(ada: Visitor, choice: str) -> None:
    ada.add("Prepare the talk")
    tabs = [ada.page, ada.open()]
    for tab in tabs:
        row(tab, "Prepare the talk").get_by_role("button", name="Edit").click()
        expect(tab.get_by_role("dialog").get_by_label("Title")).to_have_value("Prepare the talk")
    first, second = (tab.get_by_role("dialog") for tab in tabs)
    first.get_by_label("Title").fill("Prepare Friday's talk")
    first.get_by_label("Priority").select_option("High")
    first.get_by_role("button", name="Save").click()
    expect(row(tabs[0], "Prepare Friday's talk")).to_be_visible()

    second.get_by_label("Title").fill("Write the talk")
    second.get_by_label("Description").fill("Fifteen minutes.")
    second.get_by_role("button", name="Save").click()
    conflict = second.get_by_role("alert")
    expect(conflict).to_contain_text("This task was changed meanwhile")
    expect(conflict).to_contain_text("now Prepare Friday's talk, yours Write the talk")
    expect(second.get_by_label("Title")).to_have_value("Write the talk")
    expect(second.get_by_label("Description")).to_have_value("Fifteen minutes.")
    [task] = ada.call("GET")
    assert (task["title"], task["description"]) == ("Prepare Friday's talk", None)

    second.get_by_role("button", name=choice).click()
    if choice == "Use theirs":
        expect(second.get_by_label("Title")).to_have_value("Prepare Friday's talk")
        second.get_by_label("Tags").fill("work")
        second.get_by_role("button", name="Save").click()
    expect(second).to_be_hidden()
    [task] = ada.call("GET")
    saved = {name: task[name] for name in ("title", "description", "priority", "tags")}
    mine = {"title": "Write the talk", "description": "Fifteen minutes.", "priority": "high", "tags": []}
    theirs = {"title": "Prepare Friday's talk", "description": None, "priority": "high", "tags": ["work"]}
    assert saved == (mine if choice == "Save mine" else theirs)
    ada.forgive("412")


def test_a_sign_in_elsewhere_never_shows_foreign_tasks(ada: Visitor) -> None:
    ada.add("A task of Ada's")
    other = ada.open()
    other.get_by_role("button", name="Sign out").click()
    other.get_by_role("heading", name="Welcome back").wait_for()
    ada.page.bring_to_front()
    expect(ada.page.get_by_role("heading", name="Welcome back")).to_be_visible()
    ada.sign_up("Bob")
    expect(ada.page.get_by_text("Bob")).to_be_visible()
    expect(ada.page.get_by_text("Nothing to do yet.")).to_be_visible()


def test_an_unknown_address_links_back(ada: Visitor) -> None:
    ada.page.goto("/nowhere")
    ada.forgive("404")
    ada.page.get_by_role("link", name="Go to your tasks").click()
    expect(ada.page.get_by_text("Nothing to do yet.")).to_be_visible()


def test_an_edited_address_shows_the_tasks_or_a_link_to_them(ada: Visitor) -> None:
    for search in ("?utm_source=mail", "?sort=title"):
        ada.page.goto(f"/{search}")
        expect(ada.page.get_by_text("Nothing to do yet.")).to_be_visible()
    ada.page.goto("/?sort=bogus")
    expect(ada.page.get_by_role("alert").filter(has_text="Your tasks cannot be shown")).to_be_visible()
    ada.page.get_by_role("button", name="Show all tasks").click()
    expect(ada.page.get_by_text("Nothing to do yet.")).to_be_visible()
    ada.forgive("422")


def create_address(visitor: Visitor) -> str:
    """Create a new address for calendars, in place of an earlier one. Return it."""
    visitor.page.get_by_role("button", name="Calendar").click()
    dialog = visitor.page.get_by_role("dialog", name="Tasks in your calendar")
    dialog.get_by_role("button", name=re.compile("(Create|New) address")).click()
    address = dialog.get_by_label("Address")
    expect(address).to_be_focused()
    shown = address.input_value()
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_be_hidden()
    return shown


def read(address: str, method: str = "GET", **headers: str) -> tuple[int, str, HTTPMessage]:
    """Request an address as a calendar program does. Return the status, the body and the headers."""
    url = urlsplit(address)
    connection = HTTPConnection(str(url.hostname), url.port, timeout=15)
    connection.request(method, url.path, headers=headers)
    response = connection.getresponse()
    answer = response.status, response.read().decode(), response.headers
    connection.close()
    return answer


def events(text: str) -> list[str]:
    """Return the titles of the events in a calendar file."""
    return sorted(re.findall(r"^SUMMARY:(.*)\r$", text, re.MULTILINE))


def test_a_calendar_reads_the_tasks_of_its_address(visit: Visit) -> None:
    ada, bob = visit(), visit(permissions=["clipboard-read", "clipboard-write"])
    addresses = []
    for name, visitor in (("Ada", ada), ("Bob", bob)):
        visitor.sign_up(name)
        visitor.call("POST", title=f"A task of {name}'s", due_date="2031-01-01")
        visitor.call("POST", title="Without a due date")
        addresses.append(create_address(visitor))
    for name, address in zip(("Ada", "Bob"), addresses, strict=True):
        status, text, headers = read(address)
        assert (status, events(text)) == (200, [f"A task of {name}'s"])
        assert headers["Content-Type"].startswith("text/calendar")
        assert "no-cache" in headers["Cache-Control"]
        assert (headers["X-Robots-Tag"], headers["Referrer-Policy"]) == ("noindex", "no-referrer")

    known = {"If-None-Match": headers["ETag"]}
    status, text, same = read(addresses[1], **known)
    assert (status, text, same["ETag"]) == (304, "", headers["ETag"])
    status, text, same = read(addresses[1], "HEAD")
    assert (status, text, same["ETag"]) == (200, "", headers["ETag"])
    bob.call("POST", title="Another", due_date="2031-01-02T10:00:00Z")
    status, text, _ = read(addresses[1], **known)
    assert (status, events(text)) == (200, ["A task of Bob's", "Another"])

    page = bob.page
    page.get_by_role("button", name="Calendar").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("It was last read on")
    dialog.get_by_role("button", name="New address").click()
    dialog.get_by_role("button", name="Copy").click()
    expect(dialog.get_by_text("The address is copied.")).to_be_visible()
    address = page.evaluate("navigator.clipboard.readText()")
    link = dialog.get_by_role("link", name="open a calendar program")
    expect(link).to_have_attribute("href", address.replace("http:", "webcal:"))
    never = read(f"{bob.site.url}/calendar/cal_{'x' * 32}.ics")
    assert never[0] == 404
    assert read(addresses[1])[:2] == never[:2]
    assert read(address)[0] == 200
    dialog.get_by_role("button", name="Remove address").click()
    expect(dialog.get_by_role("button", name="Create address")).to_be_focused()
    assert read(address)[:2] == never[:2]
    assert read(addresses[0])[0] == 200


def test_the_key_of_a_calendar_gives_no_other_access(ada: Visitor) -> None:
    site, address = ada.site, create_address(ada)
    key = address.rpartition("/")[2].removesuffix(".ics")
    for headers in (
        {"x-api-key": key},
        {"Authorization": f"Bearer {key}"},
        {"Cookie": f"better-auth.session_token={key}"},
    ):
        for path in ("/token", "/api-key/list"):
            assert read(f"{site.url}/api/auth{path}", **headers)[0] == 401
        assert read(f"{site.url}/api/auth/get-session", **headers)[:2] == (200, "null")
        assert call(site.service_port, "GET", "/api/tasks", **headers).status == 401
    assert read(address, "POST")[0] == read(address, "DELETE")[0] == 405
    assert "eyJ" not in str(read(address)[2])

    statuses = [read(address)[0] for _ in range(30)]
    assert set(statuses) == {200, 429}
    time.sleep(1.1)  # The limit counts anew after a pause of a second.
    assert read(address)[0] == 200
    logs = [
        site.outside.with_name(f"{name}.log").read_text()
        for name in (f"frontend-{site.port}", f"service-{site.service_port}")
    ]
    assert [log for log in logs if key in log] == []
    user = ada.context.request.get("/api/auth/get-session").json()["user"]["id"]
    site.database.run("DELETE FROM public.user WHERE id = %s", (user,))
    assert read(address)[0] == 404


def test_a_calendar_is_told_to_retry_during_an_outage(ada: Visitor) -> None:
    address, database = create_address(ada), ada.site.database
    ada.site.stop_service()
    try:
        status, _, headers = read(address)
        assert (status, headers["Retry-After"]) == (503, "60")
    finally:
        ada.site.start_service()
    database.server.run(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS false")
    try:
        database.server.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database.name}'")
        status, _, headers = read(address)
        assert (status, headers["Retry-After"]) == (503, "60")
    finally:
        database.server.run(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS true")
    assert read(address)[0] == 200
