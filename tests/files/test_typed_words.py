from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from qfae_monai.files.typed_words import check_words

PROGRAM = "lib/monai/bundle/__main__.py"
CONFIG = ["--config_file", "['train.yaml','datasets/bmad.yaml']"]


@pytest.mark.parametrize(
    ("typed", "option", "word", "meant"),
    [
        (["--save_maps", "false"], "--save_maps", "false", "False"),
        (["--save_maps=false"], "--save_maps", "false", "False"),
        (["--compile", "TRUE", "--preset", "tiny"], "--compile", "TRUE", "True"),
        (["--run_record::duplicates", "null"], "--run_record::duplicates", "null", "'$None'"),
        (["--slice_range", "[3,null]"], "--slice_range", "null", "None"),
        (["--changes", "{score_body: true, dim: 16}"], "--changes", "true", "True"),
        (["-compile=false"], "-compile", "false", "False"),
        (["-x", "false"], "-x", "false", "False"),
    ],
)
def test_words_that_monai_reads_as_text_are_refused(typed: list[str], option: str, word: str, meant: str) -> None:
    with pytest.raises(
        ValueError, match=re.escape(f"{option}: expected a value of Python, got the text '{word}'; write {meant}, or")
    ):
        check_words([PROGRAM, "run", "training", *CONFIG, *typed])


@pytest.mark.parametrize(
    "command",
    [
        [
            PROGRAM,
            "run",
            "training",
            *CONFIG,
            "--save_maps",
            "False",
            "--views",
            "$None",
            "--dim",
            "3",
            "--slice_range",
            "[3,None]",
        ],
        [PROGRAM, "run", "training", "--name", "'null'", "--changes", "{a: 'true', b: null.gz}", "--level", "-3"],
        [PROGRAM, "run", "training", "--score_consensus", "none", "--dataset_dir", "/data/null/true.nii.gz"],
        ["bin/qfae", "train", "SCANS", "--set", "least_gain=null", "--name", "null"],
        [],
    ],
)
def test_other_words_and_commands_are_left_alone(command: list[str]) -> None:
    check_words(command)


def test_none_is_refused_as_monai_leaves_it_out() -> None:
    with pytest.raises(ValueError, match=re.escape("--least_gain: expected a value that MONAI does not leave out")):
        check_words([PROGRAM, "run", "training", *CONFIG, "--least_gain", "None"])


def test_a_run_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    configs = Path(__file__).parents[2] / "bundles" / "qfae" / "configs"
    files = [str(configs / name) for name in ("train.yaml", "datasets/phantoms.yaml")]
    command = ["-m", "monai.bundle", "run", "training", "--config_file", str(files), "--bundle_root", str(tmp_path)]
    ran = subprocess.run(
        [sys.executable, *command, "--preset", "tiny", "--include_weights", "null"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode != 0
    assert "--include_weights: expected a value of Python, got the text 'null'; write '$None'" in ran.stderr
    assert not list(tmp_path.iterdir())
