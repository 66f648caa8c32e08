"""Picture of `qfae check` on one of each kind: `python -m tests.reading.check_picture docs/images/check.png`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

from qfae_monai.cli.check_page import page_of
from qfae_monai.data.examination import examine
from tests.reading.kinds import make_all

WIDTH = 132  # letters of a wide terminal
SIZE, LINE, MARGIN = 15, 19, 16  # pixels
FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSansMono.ttf"
PAPER, INK, TITLE = "#ffffff", "#222222", "#0b5394"


def draw(lines: list[str], path: Path) -> None:
    """A page of text as an image."""
    font = ImageFont.truetype(str(FONT), SIZE)
    width = int(max(font.getlength(line) for line in lines)) + 2 * MARGIN
    picture = Image.new("RGB", (width, LINE * len(lines) + 2 * MARGIN), PAPER)
    pen = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        pen.text((MARGIN, MARGIN + LINE * number), line, TITLE if line[:3].isupper() and line[0] != " " else INK, font)
    picture.quantize(32).save(path, optimize=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "archive"
        make_all(folder)
        draw(["$ qfae check archive", "", *page_of(examine(folder), folder, WIDTH)], Path(sys.argv[1]))
