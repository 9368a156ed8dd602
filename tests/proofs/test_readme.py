"""The README as GitHub shows it, in Chromium, with screenshots in the folder SCREENSHOTS."""

import shutil
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.support.commands import ROOT
from tests.support.frontend import SCREENSHOTS, Visit, find_missing
from tests.support.github import COLUMN, render

pytestmark = pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed")

DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
# A desktop and a phone beside each other, as wide as the column.
PICTURE = """
<style>
  body { margin: 0; width: 832px; height: 478px; position: relative }
  img { position: absolute; box-sizing: border-box; border: 1px solid #818b9866; border-radius: 10px }
  .desktop { left: 0; top: 0; width: 660px; height: 478px; object-fit: cover; object-position: top }
  .phone { right: 0; bottom: 0; width: 206px; border-width: 3px; border-radius: 20px }
</style>
"""
SHOWN = "Promise.all([...document.images].map((image) => image.decode().then(() => '', () => image.src)))"
Show = Callable[..., Page]


@pytest.fixture
def show(browser: Browser, tmp_path: Path) -> Iterator[Show]:
    """Open a page of the repository in a window."""
    contexts = []

    def show(page: Path, **options: Any) -> Page:
        contexts.append(browser.new_context(**options))
        rendered = tmp_path / f"{page.stem}.html"
        rendered.write_text(render(page))
        opened = contexts[-1].new_page()
        opened.goto(rendered.as_uri())
        return opened

    yield show
    for context in contexts:
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_first_screen_of_the_readme_says_how_to_run_it(show: Show, scheme: str) -> None:
    page = show(ROOT / "README.md", color_scheme=scheme, viewport=DESKTOP)
    assert [source for source in page.evaluate(SHOWN) if source] == []
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"readme-{scheme}.png")
    page.screenshot(path=SCREENSHOTS / f"readme-whole-{scheme}.png", full_page=True)
    commands, picture = page.locator("pre").first.bounding_box(), page.locator("img").first.bounding_box()
    assert commands
    assert picture
    assert commands["width"] == COLUMN
    assert "make run" in page.locator("pre").first.inner_text()
    # GitHub's bars take 150 of the 800 pixels.
    assert commands["y"] + commands["height"] < 650
    assert picture["y"] + picture["height"] / 2 < 650


def test_the_readme_fits_on_a_phone(show: Show) -> None:
    page = show(ROOT / "README.md", viewport=PHONE, device_scale_factor=2)
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / "readme-phone.png", full_page=True)


def test_no_page_has_a_missing_image(show: Show) -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").glob("*/README.md")]
    with_images = [page for page in pages if "<img" in (text := page.read_text()) or "![" in text]
    assert len(with_images) > 2
    for page in with_images:
        assert [source for source in show(page).evaluate(SHOWN) if source] == [], page.name


@pytest.mark.skipif(find_missing() is not None, reason=str(find_missing()))
@pytest.mark.parametrize(("scheme", "name"), [("light", "frontend"), ("dark", "frontend-dark")])
def test_the_picture_of_the_readme_is_the_frontend(visit: Visit, browser: Browser, scheme: str, name: str) -> None:
    """Draws the picture. If the frontend's looks have changed, copy it to docs/ (CONTRIBUTING.md)."""
    images = []
    for kind, viewport in (("desktop", {"width": 820, "height": 592}), ("phone", PHONE)):
        ada = visit(color_scheme=scheme, viewport=viewport, device_scale_factor=2, is_mobile=kind == "phone")
        ada.sign_up()
        for task in list_tasks():
            ada.call("POST", **task)
        ada.page.reload()
        ada.page.get_by_text("Prepare the talk").first.wait_for()
        ada.page.evaluate("scrollTo(0, 0)")
        image = b64encode(ada.page.screenshot()).decode()
        images.append(f'<img class="{kind}" src="data:image/png;base64,{image}">')
    page = browser.new_page(device_scale_factor=2, viewport={"width": COLUMN, "height": 478})
    page.set_content(PICTURE + "".join(images))
    assert page.evaluate(SHOWN) == ["", ""]
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", omit_background=True)
    page.close()


def list_tasks() -> list[dict[str, Any]]:
    """Return the tasks of a typical week, the last one first."""

    def day(days: int) -> str:
        return (date.today() + timedelta(days=days)).isoformat()  # noqa: DTZ011 - the browser's day too

    return [
        {"title": "Renew the passport", "priority": "low", "tags": ["errand"], "due_date": day(40)},
        {"title": "Book the train to Lisbon", "tags": ["travel"], "completed": True},
        {"title": "Call grandmother", "priority": "medium", "tags": ["family"], "due_date": day(1)},
        {"title": "Water the plants", "tags": ["home"], "due_date": day(0)},
        {"title": "Pay the electricity bill", "priority": "high", "tags": ["home", "money"], "due_date": day(-1)},
        {"title": "Prepare the talk", "description": "Fifteen minutes.", "tags": ["work"], "due_date": day(3)},
    ]
