"""The example frontend by keyboard, on a phone, in light and dark, with screenshots in the folder SCREENSHOTS."""

from datetime import date, timedelta

import pytest
from playwright.sync_api import Page, expect

from tests.support.frontend import FOLDER, SCREENSHOTS, Site, Visit, Visitor, find_missing, row

missing = find_missing()
pytestmark = pytest.mark.skipif(missing is not None, reason=str(missing))

AXE = FOLDER / "node_modules" / "axe-core" / "axe.min.js"
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}


def test_the_keyboard_is_enough(ada: Visitor) -> None:
    page = ada.page

    def tab_to(name: str) -> None:
        for _ in range(40):
            page.keyboard.press("Tab")
            focused = page.locator(":focus")
            if focused.count() and name in focused.evaluate(
                "one => one.ariaLabel ?? one.labels?.[0]?.innerText ?? one.innerText"
            ):
                outline = focused.evaluate("one => getComputedStyle(one).outlineStyle")
                assert outline != "none", f"the focus on {name} is invisible"
                return
        raise AssertionError(f"Tab does not reach {name}")

    tab_to("New task")
    page.keyboard.type("Buy milk")
    page.keyboard.press("Enter")
    expect(row(page, "Buy milk")).to_be_visible()
    tab_to("Buy milk")
    page.keyboard.press("Space")
    expect(page.get_by_text("Completed “Buy milk”.")).to_be_visible()
    assert ada.call("GET")[0]["completed"]
    tab_to("Edit Buy milk")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog").get_by_label("Title")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.get_by_role("button", name="Edit Buy milk")).to_be_focused()
    tab_to("Delete Buy milk")
    page.keyboard.press("Enter")
    tab_to("Delete")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Nothing to do yet.")).to_be_visible()
    assert page.evaluate("document.activeElement !== document.body")


@pytest.mark.parametrize("width", [320, 390])
def test_a_phone_needs_no_horizontal_scrolling(visit: Visit, width: int) -> None:
    ada = visit(**(PHONE | {"viewport": {"width": width, "height": 700}}))

    def check() -> None:
        assert ada.page.evaluate("document.documentElement.scrollWidth") == width

    check()
    ada.sign_up("A person with quite a long name")
    heading = ada.page.get_by_role("heading", name="Tasks", exact=True).bounding_box()
    assert heading
    assert heading["height"] < 30  # One line.
    ada.call("POST", title="Donaudampfschifffahrtsgesellschaft" * 5, tags=["x" * 50] * 1, priority="medium")
    ada.call("POST", title="y" * 200, description="z" * 1000, due_date="2020-01-01T12:00:00Z", priority="high")
    ada.page.reload()
    expect(ada.page.locator(".task")).to_have_count(2)
    ada.page.get_by_text("Details").click()
    check()
    ada.page.get_by_role("button", name="Edit yyy").click()
    expect(ada.page.get_by_role("dialog").get_by_label("Title")).to_be_visible()
    check()
    ada.page.keyboard.press("Escape")
    open_calendar(ada.page)
    ada.page.get_by_role("button", name="Create address").click()
    expect(ada.page.get_by_label("Address")).to_be_focused()
    check()


def test_every_state_is_accessible_in_light_and_dark(site: Site, visit: Visit) -> None:
    for scheme in ("light", "dark"):
        ada = visit(color_scheme=scheme, reduced_motion="reduce", viewport={"width": 1100, "height": 860})
        page = ada.page

        def check(state: str, page: Page = page, scheme: str = scheme) -> None:
            check_accessibility(page)
            take_picture(page, f"{state}-{scheme}", whole=state == "tasks")

        check("sign-in")
        page.get_by_role("button", name="Create an account").click()
        check("sign-up")
        ada.sign_up()
        expect(page.get_by_text("Nothing to do yet.")).to_be_visible()
        check("empty")
        fill(ada)
        check("tasks")
        page.get_by_role("button", name="Show tasks tagged home").first.click()
        expect(page.locator(".task")).to_have_count(2)
        page.get_by_text("Details").click()
        check("details")
        page.get_by_role("button", name="Edit Water the plants").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Title").fill("Water all the plants")
        check("edit")
        [task] = ada.call("GET", "/api/tasks?search=plants")
        ada.call("PATCH", f"/api/tasks/{task['id']}", title="Water the roses")
        dialog.get_by_role("button", name="Save").click()
        expect(dialog.get_by_text("changed meanwhile")).to_be_visible()
        check("conflict")
        ada.forgive("412")
        dialog.get_by_role("button", name="Cancel").click()
        page.get_by_role("button", name="Delete Water the plants").click()
        check("delete")
        page.keyboard.press("Escape")
        open_calendar(page)
        check("calendar")
        page.get_by_role("button", name="Create address").click()
        expect(page.get_by_label("Address")).to_be_focused()
        check("calendar-address")
        page.keyboard.press("Escape")
        site.stop_service()
        page.reload()
        expect(page.get_by_text("Your tasks cannot be shown")).to_be_visible()
        check("error")
        site.start_service()
        expect(page.locator(".task")).to_have_count(2)
        ada.forgive("ERR_CONNECTION_REFUSED")
    phone = visit(color_scheme="dark", **PHONE)
    phone.sign_up()
    fill(phone)
    check_accessibility(phone.page)
    take_picture(phone.page, "phone-dark")


def open_calendar(page: Page) -> None:
    """Open the dialog with the address for calendars, and wait for its button."""
    page.get_by_role("button", name="Calendar", exact=True).click()
    expect(page.get_by_role("dialog").get_by_role("button", name="Create address")).to_be_focused()


def fill(visitor: Visitor) -> None:
    """Add the tasks of a typical week."""

    def day(days: int) -> str:
        return (date.today() + timedelta(days=days)).isoformat()  # noqa: DTZ011 - the browser's day too

    for task in (
        {"title": "Renew the passport", "priority": "low", "tags": ["errand"], "due_date": day(40)},
        {"title": "Book the train to Lisbon", "tags": ["travel"], "completed": True},
        {"title": "Call grandmother", "priority": "medium", "tags": ["family"], "due_date": day(1)},
        {
            "title": "Water the plants",
            "description": "The ones upstairs too; the fern only a little.",
            "tags": ["home"],
            "due_date": day(0),
        },
        {"title": "Pay the electricity bill", "priority": "high", "tags": ["home", "money"], "due_date": day(-1)},
        {
            "title": "Prepare the talk",
            "description": "Fifteen minutes. Begin with the picture of the engine.",
            "priority": "high",
            "tags": ["work"],
            "due_date": day(3),
        },
    ):
        visitor.call("POST", **task)
    visitor.page.reload()
    expect(visitor.page.locator(".task")).to_have_count(6)


def check_accessibility(page: Page) -> None:
    """Check with axe-core: WCAG 2.2 A and AA, and its best practices."""
    page.evaluate(AXE.read_text())
    result = page.evaluate("axe.run()")
    found = [(one["id"], [node["html"] for node in one["nodes"]]) for one in result["violations"]]
    assert found == []
    assert len(result["passes"]) > 10


def take_picture(page: Page, name: str, *, whole: bool = False) -> None:
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=whole)
