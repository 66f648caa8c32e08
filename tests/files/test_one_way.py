"""One writer of CSV and JSON, one of whole files, one way to the screen: whoever goes another way is found here."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*(ROOT / "qfae_monai").rglob("*.py"), *(ROOT / "preprocessing").glob("*.py")])
WAYS = {
    "csv.writer": ("files/tables.py",),
    "csv.DictWriter": (),
    "json.dump": (),
    "typer.echo": ("screen.py",),
    "typer.secho": (),
    "click.echo": (),
    "print": (),
    "nib.save": (),  # reading/nifti_file.py writes NIfTI
    "nib.nifti1.save": (),
    "SaveImage": (),
    "os.replace": ("files/whole.py", "weights/checksums.py"),  # of a folder that is removed as a whole
}
WITHIN = ("torch.save", "write_text", "write_bytes")  # each inside of `with whole_file(...)`


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nobody_goes_another_way(source: Path) -> None:
    tree = ast.parse(source.read_text(encoding="utf-8"))
    for name, call in calls(tree):
        allowed = WAYS.get(name)
        by_hand = name == "write_whole" and "json.dumps" in ast.unparse(call)
        assert not by_hand or source.name == "whole.py", f"no write_json in line {call.lineno}"
        assert allowed is None or source.as_posix().endswith(allowed or "-"), f"{name} in line {call.lineno}"


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_other_libraries_write_to_a_file_that_is_whole_or_absent(source: Path) -> None:
    tree = ast.parse(source.read_text(encoding="utf-8"))
    whole = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.With) and any("whole_file(" in ast.unparse(item) for item in node.items)
        for inner in ast.walk(node)
    }
    for name, call in calls(tree):
        assert not name.endswith(WITHIN) or call in whole, f"{name} in line {call.lineno}"
