"""A visit to the viewer in Chromium, without a window and with WebGL drawn by the processor."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CHROMIUM = next((found for name in NAMES if (found := shutil.which(name))), None)
WEBGL = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
TIMEOUT_MS = 120_000  # a busy processor draws slowly
VOXEL = re.compile(r"\d+, \d+, \d+")


@dataclass
class Visit:
    """An open viewer and what went wrong in it."""

    page: Page
    url: str
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.set_default_timeout(TIMEOUT_MS)
        self.page.goto(self.url)
        self.ready()

    def _note(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def text(self, name: str) -> str:
        return self.page.locator(f"#{name}").inner_text()

    def set(self, slider: str, value: float) -> None:
        self.page.locator(f"#{slider}").fill(str(value))

    def slice(self) -> int:
        """Under the crosshair, along the axis of the scores."""
        # waits for three numbers: a click is answered when the browser has the time
        return int(self.page.locator("#at-voxel", has_text=VOXEL).inner_text().split(", ")[2])

    def canvas(self) -> NDArray[np.int16]:
        """What the canvas shows now: (rows, columns, 3)."""
        self.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        png = self.page.locator("#canvas").screenshot()
        return np.asarray(Image.open(BytesIO(png)).convert("RGB")).astype(np.int16)

    def coloured(self) -> int:
        """Pixels in the colours of the map, which alone are more red than blue."""
        red, _, blue = np.moveaxis(self.canvas(), -1, 0)
        return int((red - blue > 60).sum())

    def outlined(self) -> int:
        """Pixels in the light blue of the mask's outline."""
        red, green, blue = np.moveaxis(self.canvas(), -1, 0)
        return int(((blue - red > 60) & (green - red > 40)).sum())

    def open(self, study: str) -> None:
        self.page.get_by_title(study, exact=True).click()
        self.ready()

    def ready(self) -> None:
        self.page.locator("#message").wait_for(state="hidden")
