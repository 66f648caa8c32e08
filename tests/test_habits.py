"""What people expect of a project is there and says what is so: hooks, templates, answers on where to change."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
TEMPLATES = sorted(path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config")
ROW = re.compile(r"^\| (?P<what>[^|]+) \| (?P<where>.+) \|$", re.MULTILINE)


def test_hooks_are_what_make_lint_runs() -> None:
    lint = re.findall(r"^\t\$\(BIN\)/([\w-]+(?: check| format)?)", _section("Makefile", "lint:"), re.MULTILINE)
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [repository["repo"] for repository in hooks] == ["local"]  # another is fetched from a server
    assert [hook["name"] for hook in hooks[0]["hooks"]] == lint
    for hook in hooks[0]["hooks"]:
        assert hook["language"] == "system"
        assert hook["entry"].startswith(f".venv/bin/{hook['name']}")


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_templates_ask_for_something(path: Path) -> None:
    template = yaml.safe_load(path.read_text())
    assert template["name"]
    assert template["description"]
    kinds = {"markdown", "input", "textarea", "dropdown", "checkboxes"}
    assert {part["type"] for part in template["body"]} <= kinds
    asked = [part for part in template["body"] if part["type"] != "markdown"]
    assert len({part["id"] for part in asked}) == len(asked)
    assert all(part["attributes"]["label"] for part in asked)
    assert any(part.get("validations", {}).get("required") for part in asked)


def test_a_stranger_finds_where_to_change() -> None:
    """Each answer's file is there, and so is the name that it has to have."""
    answers = {row["what"]: row["where"] for row in ROW.finditer(_section("CONTRIBUTING.md", "## Where to change"))}
    for wanted in ("anomaly map", "missing slice", "volumes.csv", "learning rate", "recipe"):
        assert any(wanted in what for what in answers), wanted
    for where in answers.values():
        for file in re.findall(r"`(\w+/[\w/]+\.\w+)`", where):
            assert (ROOT / file).is_file(), file
        for name, file in re.findall(r"`([\w.]+)`s? in\s+`([\w/]+\.py)`", where):
            text = (ROOT / file).read_text(encoding="utf-8")
            for part in name.split("."):
                assert re.search(rf"^\s*(?:def |class )?{part}\b", text, re.MULTILINE), f"{file}: {name}"


def _section(file: str, heading: str) -> str:
    """Text from a heading, or a target, to the next one."""
    text = (ROOT / file).read_text(encoding="utf-8")
    start = text.index(f"\n{heading}") + 1
    end = re.search(r"\n(?:## |\S+:(?: |$))", text[start + len(heading) :])
    return text[start : start + len(heading) + end.start()] if end else text[start:]
