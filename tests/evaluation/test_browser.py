"""The report in a real browser: Chromium without a window, driven through Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from qfae_monai.evaluation.evaluation_report import summarise
from qfae_monai.evaluation.page import write_report
from tests.evaluation.run_folder_factory import make_run_folder

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CHROMIUM = next((found for name in NAMES if (found := shutil.which(name))), None)
WIDTH = 1280

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason=f"no Chromium on the PATH; looked for {', '.join(NAMES)}"),
]


@dataclass
class Visit:
    """An open report and what went wrong in it."""

    page: Page
    address: str
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_run_folder(tmp_path_factory.mktemp("run"), cases=6)
    summarise(folder)
    return write_report(folder)


@pytest.fixture
def visit(browser: Browser, report: Path) -> Iterator[Visit]:
    page = browser.new_page(viewport={"width": WIDTH, "height": 900})
    found = Visit(page, report.as_uri())
    page.on("request", lambda request: found.requests.append(request.url))
    page.on("console", lambda message: found.errors.append(message.text))
    page.on("pageerror", lambda error: found.errors.append(str(error)))
    page.goto(found.address)
    yield found
    page.close()


def first_card(visit: Visit) -> Locator:
    card = visit.page.locator(".case").first
    card.scroll_into_view_if_needed()
    return card


def test_no_request_leaves_the_page_and_no_error_comes(visit: Visit) -> None:
    visit.page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    first_card(visit).locator("input[type=range]").press("ArrowRight")
    outside = [url[:80] for url in visit.requests if url != visit.address and not url.startswith("data:")]
    assert outside == []
    assert visit.errors == []


def test_the_policy_stops_what_would_leave(visit: Visit) -> None:
    """Should a picture from elsewhere ever get in, the browser does not ask for it."""
    visit.page.evaluate("document.body.append(Object.assign(new Image(), {src: 'http://192.0.2.1/a.png'}))")
    visit.page.wait_for_timeout(100)
    assert any("Content Security Policy" in text for text in visit.errors)


def test_the_slider_changes_picture_and_caption(visit: Visit) -> None:
    card = first_card(visit)
    views, caption, slider = card.locator(".views"), card.locator(".caption"), card.locator("input[type=range]")
    slider.fill("0")
    before = views.screenshot(), caption.inner_text(), card.locator(".here").get_attribute("x1")
    slider.fill("5")
    after = views.screenshot(), caption.inner_text(), card.locator(".here").get_attribute("x1")
    assert all(old != new for old, new in zip(before, after, strict=True))
    assert "slice 6" in caption.inner_text()  # the first slice of the phantoms is empty: slices 1, 2, ...
    assert slider.get_attribute("aria-valuetext") == caption.inner_text()


def test_arrow_keys_move_the_slices_with_and_without_focus(visit: Visit) -> None:
    card = first_card(visit)
    slider = card.locator("input[type=range]")
    slider.fill("4")
    slider.press("ArrowLeft")
    assert slider.input_value() == "3"
    slider.blur()
    visit.page.keyboard.press("ArrowRight")
    visit.page.keyboard.press("ArrowRight")
    assert slider.input_value() == "5"


def test_the_trace_leads_to_the_slice_under_the_pointer(visit: Visit) -> None:
    card = first_card(visit)
    trace = card.locator(".trace")
    box = trace.bounding_box()
    assert box is not None
    trace.click(position={"x": box["width"] * 3 / 11, "y": 10})  # slices 0 to 11
    assert "slice 3" in card.locator(".caption").inner_text()


def test_volumes_are_filtered_and_ordered(visit: Visit) -> None:
    page = visit.page
    page.select_option("#filter-label", "normal")
    shown = page.locator(".case:visible")
    assert {card.get_attribute("data-label") for card in shown.all()} == {"normal"}
    assert page.locator("#shown").inner_text() == "3 of 6 shown"
    page.select_option("#sort", "lowest")
    scores = [float(card.get_attribute("data-score") or "nan") for card in shown.all()]
    assert scores == sorted(scores)
    page.fill("#filter-text", "CASE003")
    assert [card.get_attribute("data-case") for card in shown.all()] == ["case003"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_window(visit: Visit, scheme: str) -> None:
    visit.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= WIDTH
    background = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")


def test_on_paper_nothing_is_folded_and_no_control_is_printed(visit: Visit) -> None:
    assert visit.page.pdf(prefer_css_page_size=True).startswith(b"%PDF")
    assert visit.page.locator("details:not([open])").count() == 0
    visit.page.emulate_media(media="print")
    assert not visit.page.locator("input:visible, select:visible, nav:visible").count()
    assert visit.page.locator(".views:visible").count() == 6
