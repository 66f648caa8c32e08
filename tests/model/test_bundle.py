"""Configurations read, merged and overridden in one way; what is wrong is said without MONAI's words."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from fire.parser import DefaultParseValue

from qfae_monai.model.bundle import Bundle, parse_settings


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a=false", False),
        ("a=1e-3", 0.001),
        ("a=[1, 2]", [1, 2]),
        ("a=null", None),
        ("a=light", "light"),
        ("a=", ""),
        ("a=x=y", "x=y"),
        ('a="7"', "7"),
        ("a={not json", "{not json"),
        ("a=False", False),
        ("a=None", None),
        ("a=[1, None, 'x']", [1, None, "x"]),
        ("a=none", "none"),
        ("a=1_000", "1_000"),
        ("a={{}}", "{{}}"),
        ("a='x'", "'x'"),
        ("a=__import__('os')", "__import__('os')"),
    ],
)
def test_a_value_is_json_or_text(text: str, value: object) -> None:
    assert parse_settings([text]) == {"a": value}


@pytest.mark.parametrize("text", ["", "a", "=1"])
def test_what_is_no_setting_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="--set: expected KEY=VALUE"):
        parse_settings([text])


def test_settings_count_more_than_overlays_and_those_more_than_the_first() -> None:
    assert Bundle(["train"], {"preset": "tiny"}).plain("slice_range") is None
    assert Bundle(["train", "datasets/phantoms"]).plain("slice_range") == [3, 20]
    assert Bundle(["train", "datasets/phantoms"], {"slice_range": [1, 2]}).plain("slice_range") == [1, 2]
    assert Bundle(["train"], {"preset": "tiny", "changes::dim": 64}).plain("model")["dim"] == 64


def test_a_missing_configuration_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"brats\.yaml: expected a configuration of \[.*'brats2015'"):
        Bundle(["train", "datasets/brats"])
    with pytest.raises(FileNotFoundError, match=r"own\.yaml: expected a configuration, found none"):
        Bundle(["train", tmp_path / "own.yaml"])
    (tmp_path / "own.yaml").write_text("- 1")
    with pytest.raises(ValueError, match=r"own\.yaml: expected a configuration"):
        Bundle(["train", tmp_path / "own.yaml"])


def test_what_is_wrong_is_said_and_not_where_monai_met_it() -> None:
    with pytest.raises(ValueError, match=r"^changes: expected names of"):
        Bundle(["train"], {"preset": "tiny", "changes::dimm": 64}).part("network_def")


def test_the_command_has_every_setting() -> None:
    settings = {
        "preset": "tiny",
        "slice_range": [1, 2],
        "compile": True,
        "changes": {"score_body": False, "score_layers": None, "name": "false"},
        "patient_pattern": "false",
        "log_dir": "knee #2",
        "run_name": "7",
    }
    words = shlex.split(
        Bundle(["train", "datasets/phantoms"], settings).command("training").replace("\\\n", " "),
    )
    assert words[:5] == ["python", "-m", "monai.bundle", "run", "training"]
    read = {key: DefaultParseValue(words[words.index(f"--{key}") + 1]) for key in settings}  # as MONAI reads it
    assert read == settings
