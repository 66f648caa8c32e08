"""Evaluate and calibrate a model on data in any layout: each is one run of the bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from monai.utils import ensure_tuple

from qfae_monai.data.acquisition import common_plane
from qfae_monai.data.columns import check_columns
from qfae_monai.files import one_writer, read_object
from qfae_monai.files.configurations import path_text
from qfae_monai.model.bundle import Bundle
from qfae_monai.model.folder import CALIBRATION, LOCAL, TRAINING, ModelFolder
from qfae_monai.model.packing import unpacked
from qfae_monai.model.scan import Found, Scan
from qfae_monai.model.scans import look
from qfae_monai.model.split import LABELS, Split, split, write_datalist
from qfae_monai.model.trust import check_model_trusted
from qfae_monai.privacy.pseudonyms import read_or_create_key
from qfae_monai.reading.dicom_header import kept_headers
from qfae_monai.reading.quiet_libraries import quiet_libraries
from qfae_monai.reading.volume_choice import Choice
from qfae_monai.training.section_check import FILE as PICTURES

DATALIST = "dataset.json"
KEY = "qfae.key"


@dataclass(frozen=True)
class Data:
    """Data to evaluate or calibrate a model on.

    Attributes:
        path: folder of scans, data list, prepared folder or BIDS data set.
        abnormal: folder of abnormal scans; None where the data say themselves which are.
        masks: folder of masks.
        patient: regular expression that tells the patient from a name.
        image: shell pattern of the scans to take where several kinds lie together, such as `*FLAIR*`.
        volume: of series that have several, as in `qfae_monai.reading.read_series`; `all` makes a scan of each.
        include: kinds that are no scans, and are wanted all the same.
    """

    path: Path
    abnormal: Path | None = None
    masks: Path | None = None
    patient: str | None = None
    image: str | None = None
    volume: Choice = None
    include: tuple[str, ...] = ()

    def look(self, kind: str | None = None) -> Found:
        """Find the scans, of one kind where both lie together; raises as `qfae_monai.model.scans.look`."""
        with kept_headers(), quiet_libraries():  # found, then read: each header is parsed once
            return look(
                self.path,
                abnormal=self.abnormal,
                masks=self.masks,
                patient=self.patient,
                image=self.image,
                volume=self.volume,
                include=self.include,
                kind=kind,
            )


@dataclass(frozen=True)
class ModelRun:
    """One run of the bundle on a model folder.

    Attributes:
        folder: of the model.
        settings: values of the configuration by key.
        run_id: `evaluating` or `calibrating`.
        notes: sentences on the data, for the screen.
    """

    folder: Path
    settings: Mapping[str, Any]
    run_id: str
    notes: list[str] = field(default_factory=list)

    @property
    def bundle(self) -> Bundle:
        """Its configurations: the training's own, and the package's on top."""
        # later overlays win: data, then what is run on them
        layout = ["datasets/image_list"] if ModelFolder.open(self.folder).images else []
        overlays = ["evaluate", "calibrate"] if self.run_id == "calibrating" else ["evaluate"]
        return Bundle([self.folder / TRAINING, *layout, *overlays], self.settings)

    def run(self, *, quiet: bool = True) -> None:
        """Run it; raises as the run does."""
        self.bundle.run(self.run_id, quiet=quiet)


def evaluation(
    model: Path,
    data: Data,
    output: Path,
    *,
    by: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
    trusted: bool = False,
) -> ModelRun:
    """Prepare an evaluation: every scan of the data, or the test section where it has one.

    Args:
        model: model folder, or a packed one.
        data: labelled scans.
        output: folder of the run, its tables and report.
        by: columns of the data list whose groups are evaluated one by one.
        settings: further values of the configuration.
        trusted: what the user said of configurations that this package did not write.

    Raises:
        FileNotFoundError: if the model or the data are missing.
        ValueError: if there is nothing to score, a column is unknown, or the model's configuration would run code of
            others.
    """
    folder = ModelFolder.open(unpacked(model))  # a .zip becomes a folder of this process alone
    model = folder.path
    check_model_trusted(model, TRAINING, trusted=trusted)
    # a misspelt key fails before data are read
    ModelRun(model, settings or {}, "evaluating").bundle.check_known(settings or {})
    found = _fitting(data, folder)
    # a list without sections is test as a whole
    chosen, notes = _not_trained_on(model, [scan for scan in found.scans if scan.section == "test"] or found.scans)
    if not chosen:
        raise ValueError(f"{data.path}: expected scans that the model was not trained on, got none")
    reference = _reference(model)
    if not reference and not (model / LOCAL / PICTURES).is_file():
        notes.append("the training's pictures are not on this machine: near-duplicates of its scans are not looked for")
    if not reference:
        notes.append("the training scans are not on this machine: no simple rivals beside the model's figures")
    by = tuple(dict.fromkeys(by))
    check_columns([scan.columns for scan in chosen], by)
    parted = Split((), (), tuple(_to_test(scan) for scan in chosen))
    given = _listed(
        model, parted, output, key=key_beside(output), training=reference, columns=by, left_aside=found.left_aside
    )
    given |= {"run_name": path_text(data.path.resolve().name), "output_dir": path_text(output), "strata": list(by)}
    given |= {} if reference else {"rivals": None}  # rivals look at the training scans
    return ModelRun(model, {**given, **(settings or {})}, "evaluating", [*found.sentences(), *notes])


def calibration(
    model: Path, data: Data, *, settings: Mapping[str, Any] | None = None, trusted: bool = False
) -> ModelRun:
    """Prepare new thresholds of a model: from all normal scans of the data, or those of its validation section.

    Scans that the model was trained on are left aside, where its training is known on this machine.

    Args:
        model, settings, trusted: as in `evaluation`.
        data: normal scans.

    Raises:
        FileNotFoundError: if the model or the data are missing.
        ValueError: if no normal scan is left, or the model's configuration would run code of others.
    """
    if model.is_file():  # a packed model is sealed: thresholds could not be put into it
        raise ValueError(f"{model}: expected a model folder, which takes new thresholds, got a file")
    folder = ModelFolder.open(model)
    check_model_trusted(model, TRAINING, trusted=trusted)
    ModelRun(model, settings or {}, "calibrating").bundle.check_known(settings or {})
    found = _fitting(data, folder)
    sections = {scan.section for scan in found.scans}
    normal = [scan for scan in found.scans if scan.label == "normal"]
    if "validation" in sections:  # a list's test section must not set thresholds
        normal = [scan for scan in normal if scan.section == "validation"]
    kept, notes = _not_trained_on(model, normal)
    if not kept:
        raise ValueError(f"{data.path}: expected normal scans that the model was not trained on, got none")
    split = Split((), tuple(replace(scan, section="validation") for scan in kept), ())
    given = _listed(model, split, model / LOCAL / "calibration", key=key_beside(model))
    return ModelRun(model, {**given, **(settings or {})}, "calibrating", [*found.sentences(), *notes])


def pretraining(
    method: str, data: Data, output: Path, *, size: str, settings: Mapping[str, Any] | None = None
) -> tuple[str, Bundle, list[str]]:
    """Prepare the training of a frozen network.

    Args:
        method: `mae` or `dino`.
        data: normal scans.
        output: folder of the weights, their card and report.
        size: `tiny`, `small` or `base`.
        settings: further values of the configuration.

    Returns:
        What is run, the bundle, and sentences on the data.

    Raises:
        FileNotFoundError: if there are no scans.
        ValueError: if there are too few to hold some out.
    """
    Bundle(["train", "pretrain", f"pretrain_{method}", f"presets/pretrain_{size}"]).check_known(settings or {})
    found = data.look()
    parted = split(found)
    place = output / "data"
    with one_writer(place):
        listed = write_datalist(parted, place, key=key_beside(output))
    images = ["datasets/bmad", "datasets/image_list"] if found.kind == "image" else []
    names = ["train", "pretrain", f"pretrain_{method}", f"presets/pretrain_{size}", *images]
    places = {"ckpt_dir": output, "log_dir": output / "logs", "dataset_dir": place, "datalist": listed}
    given: dict[str, Any] = {key: path_text(path.resolve()) for key, path in places.items()}
    notes = [*found.sentences(), *parted.sentences()]
    if found.kind == "volume":
        given["slice_axis"], why = common_plane([scan.looked_at.plane for scan in parted.training])
        notes.append(f"axis {given['slice_axis']}: {why}")
    return f"pretraining_{method}", Bundle(names, {**given, **(settings or {})}), notes


def key_beside(output: Path) -> bytes:
    """Key of the pseudonyms in data lists, made if it is absent: beside the folder, which may be passed on.

    Runs that lie side by side have one key, so a scan has the same name in both and `qfae compare` pairs them.
    """
    return read_or_create_key(output.resolve().with_name(KEY), output)


def _fitting(data: Data, model: ModelFolder) -> Found:
    """Scans of the data; refused if they are not of the kind that the model was trained on."""
    found = data.look("image" if model.images else "volume")
    if (found.kind == "image") != model.images:
        kinds = ("volumes", "images")
        raise ValueError(
            f"{data.path}: expected {kinds[model.images]}, as the model was trained on, got {kinds[not model.images]}"
        )
    return found


def _to_test(scan: Scan) -> Scan:
    """A scan of the test with the label that its list gives it, though its mask may say another."""
    names = {number: name for name, number in LABELS.items()}
    return replace(scan, section="test", label=names.get(scan.columns.get("image_label", -1), scan.label))


def _listed(
    model: Path,
    split: Split,
    place: Path,
    *,
    key: bytes,
    **more: Any,
) -> dict[str, Any]:
    """Write the data list of a run, and say where it and the model are; `more` as `write_datalist` takes it."""
    with one_writer(place):
        listed = write_datalist(split, place, key=key, **more)
    places = {"bundle_root": model, "model_dir": model, "dataset_dir": place, "datalist": listed}
    return {
        **{key: path_text(path.resolve()) for key, path in places.items()},
        "calibration_path": path_text((model / CALIBRATION).resolve()),
    }


def _not_trained_on(model: Path, scans: Sequence[Scan]) -> tuple[list[Scan], list[str]]:
    """Scans without those that the model was trained on, and a sentence on these."""
    trained = {str(image) for entry in _trained_on(model) for image in ensure_tuple(entry["image"])}
    kept = [scan for scan in scans if str(scan.path.absolute()) not in trained]  # whichever volume of a scan it was
    aside = len(scans) - len(kept)
    return kept, [f"left aside, trained on: {aside} of {len(scans)} scans"] if aside else []


def _reference(model: Path) -> list[dict[str, Any]]:
    """Entries of the training scans, which simple rivals of the model look at; none if one of them has gone."""
    entries = _trained_on(model)
    images = (image for entry in entries for image in ensure_tuple(entry["image"]))
    return entries if all(Path(image).exists() for image in images) else []


def _trained_on(model: Path) -> list[dict[str, Any]]:
    """Entries of the training scans, where the training is known on this machine."""
    listed = model / LOCAL / DATALIST
    if not listed.is_file():  # a model that was passed on came without it
        return []
    content = read_object(listed, what="the data list of the training")
    return [entry for entry in content.get("training", []) if isinstance(entry, dict) and "image" in entry]
