"""All studies one after another: each is done, kept from an earlier run, or reported; none stops the others."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from monai.data import MetaTensor

from qfae_monai.data.pictures import picture_of
from qfae_monai.files import write_csv, write_json, write_whole
from qfae_monai.model.scan_features import features_of
from qfae_monai.predict.finding import tensor_of
from qfae_monai.predict.model import Model, Prediction
from qfae_monai.predict.overlay import overlay_png
from qfae_monai.predict.result import (
    IMAGE_AFFINE,
    SCORES,
    SUMMARY,
    check_own,
    read_scores,
    save_image,
    save_volume,
    scores_of,
    whole_folder,
)
from qfae_monai.predict.studies import Study
from qfae_monai.privacy.identifiers import reason_of, root_message, without_identifiers
from qfae_monai.privacy.pseudonyms import Pseudonyms
from qfae_monai.reading import Series
from qfae_monai.reading.background import background_of, evenly_taken
from qfae_monai.reading.left_aside import LeftAside, counted_kinds
from qfae_monai.reading.nifti_grid import is_sheared
from qfae_monai.reading.quiet_libraries import quiet_libraries

if TYPE_CHECKING:
    from qfae_monai.predict.dicom_results import DicomResults

FILES = ("image.nii.gz", "anomaly_map.nii.gz", "overlay.png")
NAMED_BY_USER = ("NIfTI", "NRRD", "MetaImage", "image")  # files of others keep their number alone

Progress = Callable[[int, int], None]
Scores = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """A row of the summary.

    status: `done`, `kept` (complete from an earlier run) or `failed`. reason: of the failure, or why further outputs
    such as DICOM objects are missing; without identifiers.
    warnings: what of the scan lies outside of the training scans. scored, empty, outside: numbers of slices.
    """

    study: str
    status: Literal["done", "kept", "failed"]
    score: float | None = None
    p_value: float | None = None
    above_threshold: bool | None = None
    reason: str = ""
    warnings: tuple[str, ...] = ()
    scored: int | None = None
    empty: int | None = None
    outside: int | None = None


COLUMNS = ("study", "status", "score", "p_value", "above_threshold", "reason", "warnings", "scored", "empty", "outside")


def predict_study(
    study: Study,
    model: Model,
    output: Path,
    *,
    allow: Collection[str] = (),
    dicom: DicomResults | None = None,
    progress: Progress = lambda done, total: None,
) -> Outcome:
    """Score one study and write its folder, unless a complete one of the same input and model is there.

    Args:
        study: what to read.
        model: what scores it.
        output: folder that holds a folder for each study.
        allow: risks that may pass.
        dicom: what writes the DICOM objects of a DICOM series; None where none are wanted.
        progress: as in `Model.__call__`.
    """
    try:
        with quiet_libraries():
            return _predict(study, model, output, allow=allow, dicom=dicom, progress=progress)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # whatever is wrong with one study, memory or a codec, does not stop the others
        return Outcome(study.name, "failed", reason=reason_of(error, study.files, names=_names_stand(study)))


def _predict(
    study: Study,
    model: Model,
    output: Path,
    *,
    allow: Collection[str],
    dicom: DicomResults | None,
    progress: Progress,
) -> Outcome:
    target = output / study.name
    check_own(target)
    earlier = read_scores(target)
    if earlier is None and study.refusal is not None:
        raise ValueError(study.refusal)  # its bytes, which may be without end, are of no use
    identity = study.identity()
    wanted = dicom if study.kind == "DICOM" else None
    made_with = {
        "allow": sorted(allow),
        "extras": {} if wanted is None else {wanted.name: wanted.made_with},
        "fingerprint_sha256": None if model.fingerprint is None else model.fingerprint.sha256,
    }
    if earlier is not None and _same(earlier, model, identity, target, made_with):
        return _outcome("kept", earlier)
    if earlier is not None and earlier["input_sha256"] != identity:
        shutil.rmtree(target)  # of another input: not to be taken for this one's, should it fail
    read, found, scores = score_study(study, model, identity, allow=allow, progress=progress)
    scores |= made_with
    with whole_folder(target) as folder:
        scores["not_written"] = (
            {} if wanted is None else _write_dicom(wanted, folder, study, read, found=found, scores=scores)
        )
        _write(folder, read, model, found, scores)
    return _outcome("done", scores)


def score_study(
    study: Study,
    model: Model,
    identity: str,
    *,
    allow: Collection[str] = (),
    progress: Progress = lambda done, total: None,
) -> tuple[Series | Path, Prediction, dict[str, Any]]:
    """Score one study: returns the input as read, the prediction, and the content of its `scores.json`.

    Args:
        study: what to read.
        model: what scores it.
        identity: of the study's input, as it is to be told again.
        allow: risks that may pass.
        progress: as in `Model.__call__`.

    Raises:
        ValueError: if the study is refused or cannot be scored.
    """
    if study.is_image != model.images:
        kinds = ("a volume", "a single image")
        raise ValueError(f"expected {kinds[model.images]}, as the model was trained on, got {kinds[not model.images]}")
    read = study.files[0] if study.kind == "image" else study.read(allow)
    found = model(_pixels(read, study), progress)
    risks = [] if isinstance(read, Path) else [written(note, study) for note in (*read.risks, *read.taken)]
    warnings = model.warnings_on(features_of(read), found.axis)
    scores = scores_of(study, model, found, identity, risks=risks, warnings=warnings)
    scores["background"] = None if isinstance(read, Path) else str(background_of(evenly_taken(read.array)))
    scores["qform_code"] = 0 if not isinstance(read, Path) and is_sheared(read.affine) else 1
    return read, found, scores


def write_summary(
    output: Path,
    outcomes: Iterable[Outcome],
    model: Model,
    pseudonyms: Pseudonyms | None = None,
    aside: Iterable[LeftAside] = (),
) -> dict[str, int]:
    """`summary.json` and `summary.csv`; returns how many studies there are of each status.

    Args:
        output: folder of the results.
        outcomes: of all studies.
        model: what scored them.
        pseudonyms: what they are named by; None where by their own names.
        aside: what of the input was no study; files are counted, not named.
    """
    rows = [{column: getattr(outcome, column) for column in COLUMNS} for outcome in outcomes]
    counts = {status: sum(row["status"] == status for row in rows) for status in ("done", "kept", "failed")}
    content = {"version": 1, "model": model.identity, "settings": model.settings, "counts": counts, "studies": rows}
    content["left_aside"] = counted_kinds(aside)
    content["pseudonyms"] = None if pseudonyms is None else pseudonyms.fingerprint
    write_json(output / SUMMARY, content)
    table = [list({**row, "warnings": "; ".join(row["warnings"])}.values()) for row in rows]
    write_csv(output / "summary.csv", COLUMNS, table)
    return counts


def written(text: str, study: Study) -> str:
    """Message without identifiers: file names of volumes and images may stay, nothing of a header or path."""
    return without_identifiers(text, study.files, names=_names_stand(study))


def message_of(error: BaseException) -> str:
    """Message of the first error, unchanged: for readers who may see the source."""
    return root_message(error)


def _names_stand(study: Study) -> bool:
    return study.kind in NAMED_BY_USER and study.pseudonyms is None


def _write(folder: Path, read: Series | Path, model: Model, found: Prediction, scores: dict[str, Any]) -> None:
    affine = IMAGE_AFFINE if isinstance(read, Path) else read.affine
    save_image(folder / "image.nii.gz", read)
    save_volume(folder / "anomaly_map.nii.gz", found.anomaly_map, affine)
    if found.mask is not None:
        save_volume(folder / "mask.nii.gz", found.mask, affine)
    write_whole(folder / "overlay.png", overlay_png(found, model.pixel_threshold))
    write_json(folder / SCORES, scores)


def _pixels(read: Series | Path, study: Study) -> Path | MetaTensor:
    """Model input of a study that was read."""
    if isinstance(read, Path):
        return read
    return picture_of(read, study.name) if study.is_image else tensor_of(read.array, read.affine, study.name)


def _write_dicom(
    dicom: DicomResults, folder: Path, study: Study, read: Series | Path, *, found: Prediction, scores: Scores
) -> dict[str, str]:
    """Write DICOM objects; what a source cannot carry costs these alone: their folder's name -> the reason."""
    try:
        dicom.write(folder, study, read, found, scores)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # highdicom raises whatever a header leads it to
        if (folder / dicom.name).exists():
            shutil.rmtree(folder / dicom.name)
        return {dicom.name: reason_of(error, study.files, names=_names_stand(study))}
    return {}


def _same(earlier: Scores, model: Model, identity: str, folder: Path, made_with: dict[str, Any]) -> bool:
    """Whether an earlier result is complete and was made of the same input, by the same model, as it is asked for."""
    now = {"input_sha256": identity, "model": model.identity, "settings": model.settings, **made_with}
    missing = earlier.get("not_written") or {}
    extras = [name for name in made_with["extras"] if name not in missing]
    names = [*FILES, *(["mask.nii.gz"] if model.pixel_threshold is not None else []), *extras]
    return all(earlier.get(key) == value for key, value in json.loads(json.dumps(now)).items()) and all(
        (folder / name).exists() for name in names
    )


def _outcome(status: Literal["done", "kept"], scores: dict[str, Any]) -> Outcome:
    p_value = scores["p_value"]
    known = None if p_value is None else float(p_value)  # of an earlier run they are a file's, which may hold anything
    warnings = tuple(map(str, scores.get("warnings") or ()))  # absent from what an older version wrote
    score, above = float(scores["score"]), scores["above_threshold"]
    reason = "; ".join(f"{name} not written: {why}" for name, why in (scores.get("not_written") or {}).items())
    counts = (len(scores["slices"]), *(int(scores["skipped"][key]) for key in ("empty", "outside")))
    return Outcome(scores["study"], status, score, known, above, reason, warnings, *counts)
