"""What a reader of the bundle's configurations meets: how much there is, and a comment for whatever may be changed."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from tests.bundles.conftest import CONFIGS

FILES = sorted(CONFIGS.rglob("*.yaml"))
ROWS = sorted((CONFIGS / "experiments").glob("*.yaml"))
"""Of the paper's tables and of ablations: one overlay each, so their number is the number of rows."""
PLAIN = bool | int | float | str | None


def top_level(path: Path) -> dict:
    return {
        key.lstrip("+"): value for key, value in yaml.safe_load(path.read_text()).items() if not key.startswith("_")
    }


def is_for_users(key: str, value: object) -> bool:
    """A plain value, or a list of such, under a name of its own."""
    values = value if isinstance(value, list) else [value]
    plain = all(isinstance(one, PLAIN) and not str(one).startswith(("$", "@", "%")) for one in values)
    return plain and "::" not in key and key != "run"


def commented(text: str) -> set[str]:
    """Keys with a comment behind them, or a line of comment above."""
    return set(re.findall(r"^([a-z_]+):.* # \S", text, re.M)) | set(re.findall(r"^# .*\n([a-z_]+):", text, re.M))


def count_lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def test_there_are_few_lines_and_keys() -> None:
    keys = {key.split("::")[0] for file in FILES for key in top_level(file)}
    assert sum(count_lines(file) for file in FILES if file not in ROWS) <= 908
    assert len(keys) <= 201
    assert [file.name for file in ROWS if count_lines(file) > 15] == []


def test_every_key_that_a_user_may_change_has_a_comment() -> None:
    said = set().union(*(commented(file.read_text()) for file in FILES))
    for_users = {key for file in FILES for key, value in top_level(file).items() if is_for_users(key, value)}
    assert sorted(for_users - said) == []


def test_every_overlay_says_what_it_is_for() -> None:
    silent = [file.name for file in FILES if not file.read_text().startswith(("# ", "_row_:"))]
    assert silent == []
