"""The documentation site: built without a warning, complete, and at home on a disk without a network."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import qfae_monai
from tests.viewer.browser import CHROMIUM

for needed in ("material", "mkdocs", "mkdocstrings", "nbconvert"):
    pytest.importorskip(needed, reason="builds the site")

ROOT = Path(__file__).parents[2]
LOADED = re.compile(r'<(?:script|img|iframe|source)\b[^>]*\ssrc="([^"]*)|<link\b[^>]*\shref="([^"]*)')
LINKED = re.compile(r'<a\b[^>]*\shref="([^"]*)')


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the built site."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert not re.search("^(WARNING|ERROR) +-", done.stderr, re.MULTILINE), done.stderr[-2000:]
    return folder


def built_with(name: str) -> ModuleType:
    """A module of docs/site, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / "site" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pages(site: Path) -> dict[str, str]:
    return {str(path.relative_to(site)): path.read_text(encoding="utf-8") for path in site.rglob("*.html")}


def test_every_page_is_in_it(site: Path) -> None:
    for source in [*(ROOT / "docs").rglob("*.md"), *(ROOT / "docs").rglob("*.ipynb")]:
        name = source.relative_to(ROOT / "docs").with_suffix(".html")
        assert (site / name.parent / name.name.replace("README", "index")).is_file(), name
    assert (site / "repository" / "SECURITY.html").is_file()


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for name, text in pages(site).items():
        loaded = ["".join(found) for found in LOADED.findall(text)]
        assert loaded
        assert [one for one in loaded if re.match(r"\w+:|//", one) and not one.startswith("data:")] == [], name
        assert 'class="mermaid"' not in text, f"{name}: the theme fetches a library for it"
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//|@import", style.read_text(encoding="utf-8")), style.name


def test_links_lead_somewhere_and_to_no_machine(site: Path) -> None:
    for name, text in pages(site).items():
        for link in LINKED.findall(text):
            if re.match(r"https?://", link):
                assert not re.match(r"https?://(localhost|[\d.]+|\[)", link), f"{name}: {link}"
            elif not link.startswith(("#", "mailto:")) and name != "404.html":
                target = (site / name).parent / link.partition("#")[0]
                assert target.resolve().is_file(), f"{name}: {link}"


def test_the_front_door_is_described(site: Path) -> None:
    found = "".join(text for name, text in pages(site).items() if name.startswith("reference/"))
    missing = [name for name in qfae_monai.__all__ if not re.search(rf'id="qfae_monai\.[\w.]*\b{name}"', found)]
    assert missing == []


PLACES = [
    ["docs/reading.md", "reading.md"],
    ["docs/images/demo.png", "images/demo.png"],
    ["docs/tutorials/one.ipynb", "tutorials/one.md"],
    ["README.md", "repository/README.md"],
    ["bundles/qfae/docs/README.md", "repository/bundles/qfae/docs/README.md"],
    ["qfae_monai/rates.py", "repository/qfae_monai/rates.py.md"],
    ["benchmarks/results/speed.png", "repository/benchmarks/results/speed.png"],
]


@pytest.mark.parametrize(("path", "expected"), PLACES)
def test_every_file_has_one_place(path: str, expected: str) -> None:
    assert built_with("pages").place_of(path) == expected


LINKS = [
    ["speed.md", "../benchmarks/RESULTS.md", "benchmarks/RESULTS.md"],
    ["tutorials/one.md", "../data.md", "docs/data.md"],
    ["repository/README.md", "docs/data.md", "docs/data.md"],
    ["repository/benchmarks/RESULTS.md", "results/scale.md", "benchmarks/results/scale.md"],
]


@pytest.mark.parametrize(("source", "link", "expected"), LINKS)
def test_links_lead_where_they_do_in_the_repository(source: str, link: str, expected: str) -> None:
    assert built_with("pages").target_of(source, link) == expected


DOCSTRINGS = [
    ["A :class:`Series`, of :func:`~a.read`.", "A `Series`, of `a.read`."],
    ["Use::\n\n    call()", "Use:\n\n    call()"],
    ["One.\n\n>>> 1 + 1\n2\n\nTwo.", "One.\n\n```pycon\n>>> 1 + 1\n2\n```\n\nTwo."],
    [
        "Args:\n    a, b: sizes of\n        blocks.",
        "Args:\n    a: sizes of\n        blocks.\n    b: sizes of\n        blocks.",
    ],
    ["Sizes: a, b: both.", "Sizes: a, b: both."],
]


@pytest.mark.parametrize(("text", "expected"), DOCSTRINGS)
def test_docstrings_become_markdown(text: str, expected: str) -> None:
    assert built_with("docstrings").as_markdown(text) == expected


def test_docstrings_have_no_marks_of_other_languages(site: Path) -> None:
    for name, text in pages(site).items():
        if name.startswith("reference/"):
            assert not re.search(r":(attr|class|data|func|meth|mod):", text), name
            assert "<blockquote>" not in text, f"{name}: an example that is no code"
            assert not re.search(r"<p>[^<]*::\s*</p>", text), name


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")
def test_it_is_searched_from_a_disk(site: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM)
        page = browser.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto((site / "index.html").as_uri())
        page.click(".md-search__input")
        page.keyboard.type("calibrate")
        page.wait_for_selector(".md-search-result__item")
        browser.close()
    assert [url for url in asked if not url.startswith(("file:", "data:", "about:", "blob:"))] == []
