"""Picture of the viewer for the documentation: `python -m tests.viewer.screenshot OUTPUT PNG`."""

from __future__ import annotations

import argparse
from pathlib import Path
from threading import Thread

from playwright.sync_api import sync_playwright

from qfae_monai.viewer.output_folder import OutputFolder
from qfae_monai.viewer.server import ViewerServer
from tests.viewer.browser import CHROMIUM, TIMEOUT_MS, WEBGL
from tests.viewer.output_factory import make_output

STUDIES = [f"sub-{number:02d}_T1w" for number in (4, 11, 2, 9, 7)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="output folder of `qfae predict`; made up if there is none")
    parser.add_argument("png", type=Path)
    asked = parser.parse_args()
    if not asked.output.exists():
        make_output(asked.output, STUDIES, shape=(160, 196, 32), spacing=(1.1, 1.1, 5.5))
    with ViewerServer(OutputFolder(asked.output), "127.0.0.1", 0) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        take(server.url, asked.png)
        server.shutdown()


def take(url: str, png: Path) -> None:
    """Write what a window of 1440 by 860 shows once the first study is there."""
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=WEBGL)
        page = chromium.new_page(viewport={"width": 1440, "height": 860})
        page.set_default_timeout(TIMEOUT_MS)
        page.goto(url)
        page.locator("#message").wait_for(state="hidden")
        page.wait_for_timeout(500)
        page.screenshot(path=png)
        chromium.close()


if __name__ == "__main__":
    main()
