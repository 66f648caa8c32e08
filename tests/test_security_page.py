"""SECURITY.md names what exists: every file, every test; and each of its points has tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)))
FILES = sorted(set(re.findall(r"`((?:qfae_monai|deploy|preprocessing|benchmarks)/[\w/]+\.py)`", PAGE)))


@pytest.mark.parametrize(("file", "name"), TESTS)
def test_a_test_that_is_named_exists(file: str, name: str) -> None:
    path = ROOT / file
    assert path.is_file(), file
    if name:
        assert re.search(rf"^def {name}\(", path.read_text(encoding="utf-8"), re.MULTILINE), f"{file}::{name}"


@pytest.mark.parametrize("file", FILES)
def test_a_module_that_is_named_exists(file: str) -> None:
    assert (ROOT / file).is_file()


@pytest.mark.parametrize("point", re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:])
def test_every_point_names_its_modules_and_tests(point: str) -> None:
    if point[0].isdigit():
        rows = [line for line in point.splitlines() if line.startswith("| ")][1:]
        assert rows
        for row in rows:
            _, checked, tests = row.strip("| ").split(" | ")
            assert ".py`" in checked
            assert "`tests/" in tests


def test_every_path_is_one_that_is_looked_at() -> None:
    """No path stands in the page in a form that the tests above pass over."""
    named = {path for path in re.findall(r"[\w/]+\.py\b", PAGE) if "/" in path}
    assert named == {file for file, _ in TESTS} | set(FILES)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_the_page_is_linked(page: str) -> None:
    assert "(SECURITY.md)" in (ROOT / page).read_text(encoding="utf-8")
