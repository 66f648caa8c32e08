"""Options mean the same in every command, and what a model folder says itself is asked for nowhere."""

from __future__ import annotations

from typing import Any

import pytest
from typer.main import get_command

from qfae_monai import cli

COMMANDS: dict[str, Any] = get_command(cli.app).commands  # type: ignore[attr-defined]
OF_MODELS = ("predict", "evaluate", "calibrate", "export")


@pytest.mark.parametrize("name", OF_MODELS)
def test_a_model_folder_is_all_that_is_needed(name: str) -> None:
    options = {option for one in COMMANDS[name].params for option in one.opts}
    assert {"-m", "--model", "--set", "--trust"} <= options
    assert not options & {"--preset", "--config", "--bundle", "--checkpoint", "--weights", "--calibration"}


def test_one_name_has_one_help() -> None:
    said: dict[str, set[str]] = {}
    for command in COMMANDS.values():
        for one in (
            *command.params,
            *(sub for name in getattr(command, "commands", {}).values() for sub in name.params),
        ):
            if (
                one.name in ("model", "set_", "trust", "preset", "patient", "image", "show_command")
                and one.opts[0][0] == "-"
            ):
                said.setdefault(one.name, set()).add(one.help)
    assert {name: len(texts) for name, texts in said.items() if name != "preset"} == dict.fromkeys(
        ("model", "set_", "trust", "patient", "image", "show_command"), 1
    )
