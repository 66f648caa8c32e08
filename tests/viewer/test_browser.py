"""The viewer in a real browser: Chromium without a window, driven through Playwright, against a running server."""

from __future__ import annotations

from collections.abc import Iterator
from gzip import decompress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pytest

from qfae_monai.viewer.output_folder import OutputFolder
from qfae_monai.viewer.server import ViewerServer
from tests.viewer.browser import CHROMIUM, NAMES, WEBGL, Visit
from tests.viewer.conftest import STUDIES
from tests.viewer.output_factory import PIXEL_THRESHOLD, make_output

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ViewportSize

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason=f"no Chromium on the PATH; looked for {', '.join(NAMES)}"),
]
SMALL: ViewportSize = {"width": 900, "height": 560}  # WebGL is drawn by the processor


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=WEBGL)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Browser, server: ViewerServer) -> Iterator[Visit]:
    page = browser.new_page(viewport=SMALL)
    yield Visit(page, server.url)
    page.close()


def test_the_page_loads_without_errors_or_requests_elsewhere(visit: Visit) -> None:
    visit.open("head-1")
    assert visit.errors == []
    assert [address for address in visit.requests if not address.startswith((visit.url, "data:", "blob:"))] == []
    assert visit.text("notice").startswith("Research use only")


def test_the_policy_stops_what_would_leave(visit: Visit) -> None:
    visit.page.evaluate("fetch('http://192.0.2.1/a').catch(() => {})")
    visit.page.evaluate("document.body.append(Object.assign(new Image(), {src: 'http://192.0.2.1/a.png'}))")
    visit.page.wait_for_timeout(100)
    assert sum("Content Security Policy" in text for text in visit.errors) >= 2


def test_the_highest_score_is_first_and_open(visit: Visit) -> None:
    names = visit.page.locator("#studies .name").all_inner_texts()
    assert names == [STUDIES[2], STUDIES[1], STUDIES[0]]
    visit.page.locator("#study-name:not(:empty)").wait_for()  # set when the study is there, after the list
    assert visit.text("study-name") == STUDIES[2]
    assert visit.page.locator("#studies [aria-current=true] .name").inner_text() == STUDIES[2]
    assert visit.text("counts") == "3 studies, 2 above threshold"
    assert visit.text("failed").startswith("1 without a result")


def test_the_canvas_shows_image_map_and_mask(visit: Visit) -> None:
    shown = visit.canvas()
    grey = (np.ptp(shown, axis=-1) < 8) & (shown.max(axis=-1) > 60)
    assert grey.mean() > 0.05
    assert visit.coloured() > 1000
    assert visit.outlined() > 100


def test_threshold_and_opacity_change_what_is_seen_of_the_map(visit: Visit) -> None:
    visit.page.locator("#threshold-text:text-is('1.25')").wait_for()  # set when the study is there
    assert float(visit.page.locator("#threshold").input_value()) == pytest.approx(PIXEL_THRESHOLD, abs=0.02)
    assert visit.text("threshold-text") == "1.25"
    at_start = visit.coloured()
    visit.set("threshold", 2.5)
    higher = visit.coloured()
    assert 0 < higher < 0.8 * at_start
    visit.set("threshold", float(visit.page.locator("#threshold").get_attribute("max") or "nan"))
    assert visit.coloured() < 0.05 * at_start
    visit.page.locator("#calibrated").click()
    assert visit.coloured() == at_start
    before = visit.canvas()
    visit.set("opacity", 1)
    assert np.abs(visit.canvas() - before).max() > 30
    visit.set("opacity", 0)
    assert visit.coloured() == 0


def test_the_mask_stays_when_the_map_is_thresholded_and_goes_when_switched_off(visit: Visit) -> None:
    visit.page.locator("#map-shown").uncheck()
    outline = visit.outlined()
    assert outline > 100
    visit.set("threshold", 3)
    assert visit.outlined() == outline
    visit.page.locator("#mask-shown").uncheck()
    assert visit.outlined() == 0


def test_another_study_brings_its_own_image_and_scores(visit: Visit) -> None:
    before = visit.canvas(), visit.text("score")
    visit.open("head-1")
    assert visit.text("study-name") == "head-1"
    assert visit.text("verdict").startswith("Not above threshold")
    assert visit.text("score") != before[1]
    assert (visit.canvas() != before[0]).mean() > 0.02
    assert visit.coloured() == 0  # nothing of a normal head is above the pixel threshold
    visit.page.reload()
    visit.ready()
    assert visit.text("study-name") == "head-1"  # the address says which study is open


def test_the_strip_leads_to_the_slice_under_the_pointer(visit: Visit) -> None:
    before = visit.canvas()
    strip = visit.page.locator("#strip")
    box = strip.bounding_box()
    assert box is not None
    strip.click(position={"x": box["width"] * 6.5 / 24, "y": 20})  # slices 0 to 23
    assert visit.text("slice-text").startswith("Slice 6 (0 to 23): score")
    assert (visit.canvas() != before).mean() > 0.01
    strip.click(position={"x": 2, "y": 20})
    assert visit.text("slice-text") == "Slice 0 (0 to 23): not scored"


def test_keys_move_slices_studies_and_switches(visit: Visit) -> None:
    page = visit.page
    page.locator("#canvas").click(position={"x": 100, "y": 100})
    first = visit.slice()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert visit.slice() == first + 1
    page.keyboard.press("ArrowDown")
    page.locator("#study-name:text-is('head-2')").wait_for()
    visit.ready()
    page.keyboard.press("m")
    page.keyboard.press("a")
    assert visit.outlined() == visit.coloured() == 0
    page.keyboard.press("]")
    assert visit.text("threshold-text") != "1.25"
    page.keyboard.press("c")
    assert visit.text("threshold-text") == "1.25"
    page.keyboard.press("3")
    assert page.locator("#layout :checked").get_attribute("value") == "1"
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    assert visit.errors == []


def test_the_crosshair_reads_the_voxel_of_the_file(visit: Visit) -> None:
    """The highest voxel of the file's highest slice: its place in patient space, its value, and within the mask."""
    visit.open("head-2")
    answer = visit.page.request.get(f"{visit.url}studies/head-2/anomaly_map.nii.gz")
    volume = nib.Nifti1Image.from_bytes(decompress(answer.body()))
    values, shown = volume.get_fdata(), visit.slice()
    best = np.unravel_index(values[..., shown].argmax(), values.shape[:2])
    place = (volume.affine @ [*best, shown, 1])[:3]
    assert visit.text("at-mm").replace("\N{MINUS SIGN}", "-") == ", ".join(f"{value:.1f}" for value in place)
    assert float(visit.text("at-map")) == pytest.approx(values[(*best, shown)], rel=0.01)
    assert visit.text("at-mask") == "inside"


def test_images_flipped_volumes_and_models_without_calibration(browser: Browser, tmp_path: Path) -> None:
    """A single image has no slices to choose; a volume stored from the head down opens at the slice of the scores."""
    output = make_output(tmp_path / "output", ["normal", "down"], calibrated=False, flips=(1, -1, -1))
    make_output(output, ["other", "image"], shape=(48, 56, 1))
    with ViewerServer(OutputFolder(output), "127.0.0.1", 0) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        visit = Visit(browser.new_page(viewport=SMALL), server.url)
        visit.open("down")
        rows = visit.page.request.get(f"{server.url}studies/down/scores.json").json()["slices"]
        assert visit.slice() == max(rows, key=lambda row: row["score"])["slice"]
        assert visit.text("mask-text") == "Not calibrated: no mask"
        assert visit.text("verdict") == "Not calibrated: no threshold"
        assert visit.outlined() == 0 < visit.coloured()
        visit.open("image")
        assert not visit.page.locator("#trace").is_visible()
        assert not visit.page.locator("#layout").is_visible()
        assert visit.outlined() > 50
        assert visit.errors == []
        visit.page.close()
        server.shutdown()
