"""The steps of one study: reading and writing need no network, and fail no other study."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from math import prod
from pathlib import Path
from threading import current_thread, main_thread
from typing import TYPE_CHECKING, Any, TypeVar, cast

from monai.data import MetaTensor

from qfae_monai.data.pictures import picture_of
from qfae_monai.files import write_json, write_whole
from qfae_monai.files.machine_memory import TooLarge, check_memory
from qfae_monai.model.scan_features import features_of
from qfae_monai.predict.finding import tensor_of
from qfae_monai.predict.model import INTEGER_BYTES, Model
from qfae_monai.predict.outcome import Outcome, outcome_of
from qfae_monai.predict.overlay import overlay_png
from qfae_monai.predict.prediction import Prediction, Prepared
from qfae_monai.predict.result import (
    IMAGE_AFFINE,
    SCORES,
    check_own,
    read_scores,
    save_image,
    save_volume,
    scores_of,
    whole_folder,
)
from qfae_monai.predict.studies import Study
from qfae_monai.privacy.identifiers import reason_of, root_message, without_identifiers
from qfae_monai.reading import Series
from qfae_monai.reading.background import background_of, evenly_taken
from qfae_monai.reading.nifti_grid import is_sheared

if TYPE_CHECKING:
    from qfae_monai.predict.dicom_results import DicomResults

FILES = ("image.nii.gz", "anomaly_map.nii.gz", "overlay.png")
NAMED_BY_USER = ("NIfTI", "NRRD", "MetaImage", "image")  # files of others keep their number alone

Scores = dict[str, Any]


@dataclass
class OpenStudy:
    """A study between its steps.

    Attributes:
        study: it.
        read: its volume, or the file of its image.
        made_with: what its result depends on besides input and model.
        prepared: what the network takes.
        output: what the network found.
    """

    study: Study
    read: Series | Path
    identity: str
    made_with: dict[str, Any]
    prepared: Prepared
    output: dict[str, Any] = field(default_factory=dict)


Step = TypeVar("Step", bound=Callable[..., Any])


def reported(step: Step) -> Step:
    """A step that never fails: it gives the outcome of a study that failed in it, or that was done before."""

    def run(self: StudySteps, given: Study | OpenStudy | Outcome) -> Any:
        if isinstance(given, Outcome):
            return given
        study = given.study if isinstance(given, OpenStudy) else given
        try:
            return step(self, given)
        except BaseException as error:  # whatever is wrong with one study, memory or a codec, does not stop the others
            if isinstance(error, KeyboardInterrupt | SystemExit) and current_thread() is main_thread():
                raise
            reason = reason_of(error, study.files, names=_names_stand(study))
            return Outcome(study.name, "failed", reason=reason, short_of_memory=_short_of_memory(error))

    return cast(Step, run)


@dataclass(frozen=True)
class StudySteps:
    """The steps of one study: reading beside the network, scoring, writing beside the network.

    Attributes:
        model, output, allow, dicom, progress: as in `predict_studies`.
    """

    model: Model
    output: Path
    allow: Collection[str]
    dicom: DicomResults | None
    progress: Callable[[Study, int, int], None]

    @reported
    def read(self, study: Study) -> OpenStudy | Outcome:
        """The study as the network takes it; or the outcome of an earlier run, which is kept."""
        target = self.output / study.name
        check_own(target)
        earlier = read_scores(target)
        if earlier is None and study.refusal is not None:
            raise ValueError(study.refusal)  # its bytes, which may be without end, are of no use
        identity, dicom = study.identity(), self._dicom_of(study)
        made_with = {
            "allow": sorted(self.allow),
            "extras": {} if dicom is None else {dicom.name: dicom.made_with},
            "fingerprint_sha256": None if self.model.fingerprint is None else self.model.fingerprint.sha256,
        }
        if earlier is not None and _same(earlier, self.model, identity, target, made_with):
            return outcome_of("kept", earlier)
        if earlier is not None and earlier["input_sha256"] != identity:
            shutil.rmtree(target)  # of another input: not to be taken for this one's, should it fail
        read = opened(study, self.model, self.allow)
        return OpenStudy(study, read, identity, made_with, self.model.prepared(_pixels(read, study)))

    @reported
    def score(self, opened: OpenStudy) -> OpenStudy:
        """The same with what the network found."""
        opened.output = self.model.scored(opened.prepared, partial(self.progress, opened.study))
        return opened

    @reported
    def write(self, opened: OpenStudy) -> Outcome:
        """The study's folder, complete or absent."""
        study, model = opened.study, self.model
        found = model.prediction(opened.prepared, opened.output)
        scores = content_of(study, model, opened.read, found, opened.identity) | opened.made_with
        dicom = self._dicom_of(study)
        with whole_folder(self.output / study.name) as folder:
            scores["not_written"] = (
                {} if dicom is None else _write_dicom(dicom, folder, study, opened.read, found=found, scores=scores)
            )
            _write(folder, opened.read, model, found, scores)
        return outcome_of("done", scores)

    def _dicom_of(self, study: Study) -> DicomResults | None:
        return self.dicom if study.kind == "DICOM" else None


def score_study(study: Study, model: Model, identity: str) -> tuple[Series | Path, Prediction, dict[str, Any]]:
    """Score one study: returns the input as read, the prediction, and the content of its `scores.json`.

    Args:
        study: what to read.
        model: what scores it.
        identity: of the study's input, as it is to be told again.

    Raises:
        ValueError: if the study is refused or cannot be scored.
    """
    read = opened(study, model, ())
    found = model(_pixels(read, study))
    return read, found, content_of(study, model, read, found, identity)


def opened(study: Study, model: Model, allow: Collection[str]) -> Series | Path:
    """A study as read: its volume, or the file of its image.

    Raises:
        ValueError: if it is refused, is not of the kind that the model scores, or needs more memory than there is.
    """
    if study.is_image != model.images:
        kinds = ("a volume", "a single image")
        raise ValueError(f"expected {kinds[model.images]}, as the model was trained on, got {kinds[not model.images]}")
    if study.shape is not None and not study.is_image:  # known from headers
        what = f"{' x '.join(map(str, study.shape))} voxels to score"
        check_memory(study.files[0], prod(study.shape) * INTEGER_BYTES, what)
    return study.files[0] if study.kind == "image" else study.read(allow)


def content_of(study: Study, model: Model, read: Series | Path, found: Prediction, identity: str) -> dict[str, Any]:
    """Content of `scores.json`."""
    risks = [] if isinstance(read, Path) else [written(note, study) for note in (*read.risks, *read.taken)]
    warnings = model.warnings_on(features_of(read), found.axis)
    scores = scores_of(study, model, found, identity, risks=risks, warnings=warnings)
    scores["background"] = None if isinstance(read, Path) else str(background_of(evenly_taken(read.array)))
    scores["qform_code"] = 0 if not isinstance(read, Path) and is_sheared(read.affine) else 1
    return scores


def written(text: str, study: Study) -> str:
    """Message without identifiers: file names of volumes and images may stay, nothing of a header or path."""
    return without_identifiers(text, study.files, names=_names_stand(study))


def message_of(error: BaseException) -> str:
    """Message of the first error, unchanged: for readers who may see the source."""
    return root_message(error)


def _short_of_memory(error: BaseException | None) -> bool:
    """Whether it, or what it was raised from, says that there is not enough memory."""
    if error is None:
        return False
    # PyTorch's allocator raises a plain RuntimeError
    here = isinstance(error, MemoryError | TooLarge) or "can't allocate memory" in str(error)
    return here or _short_of_memory(error.__cause__)


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
