"""DICOM objects cost a study nothing where its source cannot carry them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from qfae_monai.files import machine_memory
from qfae_monai.files.machine_memory import TooLarge
from qfae_monai.predict import study_steps
from qfae_monai.predict.outcome import outcome_of
from qfae_monai.predict.studies import Study

STUDY = Study("MR-1", "DICOM", Path("in"), (Path("in/Doe-Jane.dcm"),))


class Refusing:
    """DICOM objects that begin their folder, and fail."""

    name = "dicom"

    def __init__(self, error: Exception) -> None:
        self.error = error

    def write(self, folder: Path, *rest: Any) -> None:
        (folder / "dicom").mkdir()
        (folder / "dicom" / "segmentation.dcm").touch()
        raise self.error


def written(folder: Path, error: Exception) -> dict[str, str]:
    dicom, nothing = (cast(Any, one) for one in (Refusing(error), None))
    return study_steps._write_dicom(dicom, folder, STUDY, nothing, found=nothing, scores={})


@pytest.mark.parametrize("error", [ValueError("in/Doe-Jane.dcm: expected a FrameOfReferenceUID"), AttributeError("x")])
def test_the_reason_stands_in_the_row(tmp_path: Path, error: Exception) -> None:
    reasons = written(tmp_path, error)
    assert not list(tmp_path.iterdir())
    assert "Doe" not in reasons["dicom"]
    scores = {
        "study": "MR-1",
        "score": 1.0,
        "p_value": None,
        "above_threshold": None,
        "not_written": reasons,
        "slices": [],
        "skipped": {"empty": 0, "outside": 0},
    }
    outcome = outcome_of("done", scores)
    assert outcome.status == "done"
    assert outcome.reason.startswith("dicom not written: ")


def test_a_full_disk_fails_the_study(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="full"):
        written(tmp_path, OSError("full"))


def test_what_does_not_fit_into_memory_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A header's size is enough: 16 bytes of a voxel at the peak, with the figure of what there is."""
    monkeypatch.setattr(machine_memory, "available_memory", lambda: 10**9)
    volumes = cast(Any, SimpleNamespace(images=False))
    with pytest.raises(
        ValueError, match=r"at most the 1.0 GB .* 1000 x 1000 x 100 voxels to score, which takes 1.6 GB"
    ):
        study_steps.opened(
            Study("a", "NIfTI", Path("in"), (Path("no-such-file.nii"),), shape=(1000, 1000, 100)), volumes, ()
        )


@pytest.mark.parametrize(
    ("error", "short"),
    [
        (MemoryError(), True),
        (TooLarge("a.nii: expected"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"), True),
        (ValueError("damaged"), False),
    ],
)
def test_a_failure_for_want_of_memory_is_told_from_others(error: Exception, short: bool) -> None:
    wrapped = ValueError("applying transform")
    wrapped.__cause__ = error
    assert study_steps._short_of_memory(error) == study_steps._short_of_memory(wrapped) == short
