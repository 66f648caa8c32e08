"""Training, evaluation and inference in two processes on the CPU, on one host and as two nodes; and what fails, how."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch

from tests.bundles.conftest import TINY, run_bundle, weights
from tests.bundles.torchrun import finish, start
from tests.forked import in_two_processes

pytestmark = pytest.mark.cpu
TRAIN = (*TINY, "distributed")
PLAIN: dict[str, Any] = {"jitter": 0.0, "changes::qformer_dropout": 0.0}  # what is left is arithmetic
LAST = "training/resume_checkpoint_epoch=1.pt"
DYING = {"_target_": "tests.bundles.dying_rank.DyingRank", "rank": "@rank", "dies": 1, "epoch": 2}


def training(cohort: Path, folder: Path, **settings: Any) -> dict[str, Any]:
    return {
        "run_id": "training",
        "dataset_dir": cohort,
        "model_dir": folder,
        "max_epochs": 2,
        "val_interval": 1,
        "checkpoint_handlers::1::n_saved": 2,
        **settings,
    }


def assert_same_weights(folder: Path, other: Path, atol: float = 0.0) -> None:
    expected, found = weights(folder), weights(other)
    assert expected.keys() == found.keys()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, atol=atol, rtol=0, msg=key)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """What runs in this process is compared digit by digit with processes of one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def straight(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the checkpoints of two processes that trained for two epochs without trouble."""
    folder = tmp_path_factory.mktemp("straight")
    finish(start(*TRAIN, **training(cohort, folder)))
    return folder


def test_checkpoints_of_several_processes_are_those_of_one(straight: Path, trained: Path) -> None:
    assert weights(straight).keys() == weights(trained).keys()
    files = [
        {
            path.relative_to(folder).as_posix()
            for path in folder.rglob("*")
            if path.is_file() and "logs" not in path.parts
        }
        for folder in (straight, trained)
    ]
    assert files[0] == files[1]


def test_batch_size_is_a_process_and_the_learning_rate_is_not_scaled(cohort: Path, tmp_path: Path) -> None:
    """Two processes with four slices each take the steps of one process with eight.

    They validate on 17 slices, three batches for one process and two for the other, and do not wait for each other.
    """
    settings = {
        "max_epochs": 1,
        **PLAIN,
        "validate::dataset::index_range": [3, 19],
        "validate::dataset::data": "$data.volume_datalist(@datalist, 'validation')[:1]",
    }
    one, two = tmp_path / "one", tmp_path / "two"
    sequential = {"_target_": "torch.utils.data.SequentialSampler", "data_source": "@train::dataset"}
    in_turn: dict[str, Any] = {"batch_size": 8, "train::sampler": sequential}
    run_bundle(*TINY, **training(cohort, one, **settings, **in_turn))
    shared = {
        "_target_": "monai.data.DistributedSampler",
        "dataset": "@train::dataset",
        "even_divisible": True,
        "shuffle": False,
    }
    in_turn = {"batch_size": 4, "train::sampler": shared}
    in_two_processes(partial(run_bundle, *TRAIN, **training(cohort, two, **settings, **in_turn)), tmp_path)
    states = [torch.load(folder / LAST, weights_only=True) for folder in (one, two)]
    assert states[0]["trainer"]["iteration"] == states[1]["trainer"]["iteration"] == 9
    assert states[0]["lr_scheduler"]["_last_lr"] == states[1]["lr_scheduler"]["_last_lr"]
    assert_same_weights(one, two, atol=2e-4)  # a fifth of one step of Adam


def test_two_nodes_train_as_one_host_does(straight: Path, cohort: Path, tmp_path: Path) -> None:
    in_two_processes(partial(run_bundle, *TRAIN, **training(cohort, tmp_path)), tmp_path / "logs", nodes=2)
    assert_same_weights(straight, tmp_path)


def test_a_dead_process_ends_the_job_which_can_be_resumed(straight: Path, cohort: Path, tmp_path: Path) -> None:
    dying = tmp_path / "dying.json"
    dying.write_text(json.dumps({"+train::handlers": [DYING]}))
    finish(start(*TRAIN, dying, **training(cohort, tmp_path)), succeeds=False)
    assert not (tmp_path / "model.json").exists()  # an unfinished run does not look finished
    (checkpoint,) = tmp_path.rglob("*.pt")
    assert checkpoint.name == "resume_checkpoint_epoch=1.pt"
    in_two_processes(partial(run_bundle, *TRAIN, **training(cohort, tmp_path, resume=checkpoint)), tmp_path / "printed")
    assert_same_weights(straight, tmp_path)


def test_resuming_with_another_number_of_processes_is_refused(straight: Path, cohort: Path, tmp_path: Path) -> None:
    checkpoint = straight / "training" / "resume_checkpoint_epoch=1.pt"
    with pytest.raises(RuntimeError) as error:
        run_bundle(*TINY, dataset_dir=cohort, model_dir=tmp_path, max_epochs=2, resume=checkpoint)
    assert "expected 4 batches an epoch, as in the run that is resumed, got 9" in str(error.value.__cause__)
    assert not (tmp_path / "model.json").exists()


def table(path: Path) -> list[dict[str, str]]:
    """Rows in an order that does not depend on who scored them."""
    return sorted(csv.DictReader(path.open()), key=lambda row: (row["case"], int(row.get("slice", 0))))


def numbers(path: Path) -> dict[str, float]:
    return {name: float(value) for name, value in csv.reader(path.open())}


def test_evaluation_in_two_processes_equals_one(trained: Path, cohort: Path, tmp_path: Path) -> None:
    saver = {"_target_": "monai.handlers.MetricsSaver", "save_dir": "@output_dir", "metrics": "*", "delimiter": ","}
    settings: dict[str, Any] = {
        "dataset_dir": cohort,
        "model_dir": trained,
        "validate::handlers": ["@load", "@case_tables", "@run_record", saver],
    }
    one, two = tmp_path / "one", tmp_path / "two"
    run_bundle(*TINY, "evaluate", run_id="evaluating", **settings, output_dir=one)
    names = (*TINY, "evaluate", "distributed")
    in_two_processes(partial(run_bundle, *names, run_id="evaluating", **settings, output_dir=two), tmp_path)
    for name in ("slices.csv", "volumes.csv", "lesions.csv"):
        assert table(one / name) == table(two / name)
    assert numbers(one / "metrics.csv") == pytest.approx(numbers(two / "metrics.csv"))
    records = [json.loads((folder / "run.json").read_text()) for folder in (one, two)]
    assert [record["processes"] for record in records] == [1, 2]
    assert records[0]["slices"] == records[1]["slices"]
    assert_same_maps(one, two)


def test_a_cohort_is_scored_by_two_processes_as_by_one(trained: Path, cohort: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"dataset_dir": cohort / "image", "bundle_root": trained, "preset": None}
    names, one, two = (trained / "configs" / "inference.yaml",), tmp_path / "one", tmp_path / "two"
    run_bundle(*names, run_id="run", **settings, output_dir=one)
    in_two_processes(partial(run_bundle, *names, "distributed", run_id="run", **settings, output_dir=two), tmp_path)
    assert table(one / "slices.csv") == table(two / "slices.csv")
    assert table(one / "volumes.csv") == table(two / "volumes.csv")
    assert_same_maps(one, two)


def assert_same_maps(one: Path, two: Path) -> None:
    names = {path.name for path in one.glob("*.nii.gz")}
    assert names
    assert names == {path.name for path in two.glob("*.nii.gz")}
    for name in names:
        expected, found = (nib.Nifti1Image.from_filename(folder / name).get_fdata() for folder in (one, two))
        np.testing.assert_array_equal(found, expected)
