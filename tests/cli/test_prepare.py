"""`qfae prepare`: names, help and errors; what the recipes do, tests/preprocessing holds."""

from __future__ import annotations

import sys

import pytest

from qfae_monai import cli
from qfae_monai.files.installed import recipes


def code_of(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["qfae", "prepare", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return int(stop.value.code or 0)


@pytest.mark.parametrize("arguments", [(), ("--help",)])
def test_it_lists_the_recipes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert code_of(monkeypatch, *arguments) == 0
    shown = capsys.readouterr().out
    assert all(f"{name} " in shown and first in shown for name, first in recipes().items())


@pytest.mark.parametrize("name", recipes())
def test_each_has_a_help_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert code_of(monkeypatch, name, "--help") == 0
    assert f"qfae prepare {name}" in capsys.readouterr().out


def test_an_unknown_one_is_named_beside_those_that_there_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of(monkeypatch, "command", "in", "out") == 1
    assert (
        "expected a recipe (brats2021, liver_ct, resc_oct, rsna_cxr, volumes), got 'command'" in capsys.readouterr().err
    )


def test_options_are_the_recipes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of(monkeypatch, "volumes", "nothing", "out", "--axis", "3") == 2
    assert "axis" in capsys.readouterr().err
