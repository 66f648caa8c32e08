from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import jinja2
import pytest

from qfae_monai.evaluation import rendering
from qfae_monai.evaluation.rendering import UNDEFINED, bar, interval, number, percent, write_page

TEMPLATE = (
    '{% from "parts.html.jinja" import head with context %}{{ head("t", policy, style) }}'
    "<p>{{ name }}</p><script>{{ script }}</script>"
)


@pytest.fixture
def templates(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A template of the test's own beside the package's."""
    loader = jinja2.ChoiceLoader(
        [jinja2.DictLoader({"own.html.jinja": TEMPLATE}), jinja2.PackageLoader("qfae_monai.evaluation", ".")]
    )
    monkeypatch.setattr(rendering.jinja2, "PackageLoader", lambda *_: loader)
    rendering._environment.cache_clear()
    yield
    rendering._environment.cache_clear()


@pytest.mark.usefixtures("templates")
def test_the_policy_allows_this_script_and_no_request(tmp_path: Path) -> None:
    page = write_page(tmp_path / "page.html", "own.html.jinja", "report.js", name="a").read_text()
    script = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)[0]
    digest = b64encode(sha256(script.encode()).digest()).decode()
    assert "default-src &#39;none&#39;" in page
    assert f"script-src &#39;sha256-{digest}&#39;" in page


@pytest.mark.usefixtures("templates")
def test_what_comes_from_data_is_escaped(tmp_path: Path) -> None:
    page = write_page(tmp_path / "page.html", "own.html.jinja", name="</p><script>alert(1)</script>").read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_a_page_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    old = tmp_path / "page.html"
    old.write_text("old")
    with pytest.raises(ValueError, match="expected what the page shows"):
        write_page(old, "page.html.jinja")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (number(0.12345), "0.123"),
        (number(-0.5), "\N{MINUS SIGN}0.500"),
        (number(None), UNDEFINED),
        (number(float("nan")), UNDEFINED),
        (percent(0.05), "5.0 %"),
        (interval({"value": 0.0, "low": -0.1, "high": 0.1}), "\N{MINUS SIGN}0.100 to 0.100"),
        (interval({"value": None, "low": None, "high": None}), UNDEFINED),
        (bar({"value": None, "low": None, "high": None}), ""),
    ],
)
def test_numbers_as_read(found: Any, expected: str) -> None:
    assert found == expected


def test_the_bar_spans_the_interval() -> None:
    drawing = bar({"value": 0.5, "low": 0.25, "high": 1.0})
    assert 'd="M31.0 7H118.0"' in drawing  # 2 + 116 * 0.25 and 2 + 116
    assert 'cx="60.0"' in drawing
