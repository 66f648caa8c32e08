"""Split of the scans by patient, the same for one seed on every machine, and the data list that is written of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from math import ceil
from pathlib import Path
from typing import Any

from qfae_monai.data.columns import CLASS
from qfae_monai.files import write_json
from qfae_monai.model.scan import SECTIONS, Found, LeftAside, Scan, counted
from qfae_monai.privacy.pseudonyms import Pseudonyms

__all__ = ["Split", "least_held_out", "split", "write_datalist"]

# The data list that a training reads, made from scans and their split: files as they lie, patients by pseudonym.

LABELS = {"normal": 0, "abnormal": 1}


def write_datalist(
    split: Split,
    folder: Path,
    *,
    key: bytes,
    training: Sequence[Any] = (),
    columns: Sequence[str] = (),
    left_aside: Sequence[LeftAside] = (),
) -> Path:
    """Write `dataset.json`, as `qfae_monai.data.volume_datalist` reads it.

    Paths are absolute, so the file belongs to this machine and to no model that is passed on; `patient` and `case`
    are keyed pseudonyms, which results may bear.

    Args:
        split: of the scans.
        folder: that it is written to.
        key: of the pseudonyms, as `read_or_create_key` gives it.
        training: entries of a training's own list, where the split has none.
        columns: of the scans' own list that go with them, beside the class.
        left_aside: what is not in it, counted by reason.

    Returns:
        The file.
    """
    names = Pseudonyms(key)
    sections = {
        section: [_entry(scan, names, (CLASS, *columns)) for scan in scans]
        for section, scans in split.sections().items()
        if scans
    }
    if training:
        sections["training"] = list(training)
    # key: a fingerprint, which tells equal keys and no more
    head = {"name": "training", "labels": {"0": "normal", "1": "abnormal"}, "key": names.fingerprint}
    aside = Counter(one.kind for one in left_aside)
    path = folder / "dataset.json"
    write_json(path, {**head, **({"left_aside": dict(sorted(aside.items()))} if aside else {}), **sections})
    return path


def _entry(scan: Scan, names: Pseudonyms, columns: Sequence[str]) -> dict[str, Any]:
    """One entry; `image_label` speaks of the whole scan, so a mask alone says which slices are normal."""
    image: str | list[str] = str(scan.path.absolute())
    if len(scan.files) > 1 and scan.path.is_file():  # one series of several in a folder
        image = [str(file.absolute()) for file in scan.files]
    mask = {} if scan.mask is None else {"label": str(scan.mask.absolute())}
    volume = "" if scan.volume is None else f" volume {scan.volume}"
    known = {"image_label": LABELS[scan.label]} if scan.label in LABELS else {}  # unknown ones have neither
    return {
        "image": image,
        **mask,
        **known,
        **({} if scan.volume is None else {"volume": scan.volume}),
        **({"include": list(scan.include)} if scan.include else {}),
        **{name: scan.columns[name] for name in columns if name in scan.columns},
        "case": names.series(scan.patient, f"{scan.path.absolute()}{volume}"),
        "patient": names.patient(scan.patient),
    }


SHOWN = 3  # of a list in a message
FEW = 10  # normal patients in a test: worth a word


@dataclass(frozen=True)
class Split:
    """Sections of the data list.

    Attributes:
        training: scans whose normal slices are trained on.
        validation: scans of held-out normal patients: they show the training's progress and give the thresholds.
        test: scans that are evaluated; empty where there is nothing abnormal to find.
        notes: how it was done, and what is too few, each in one sentence.
    """

    training: tuple[Scan, ...]
    validation: tuple[Scan, ...]
    test: tuple[Scan, ...]
    notes: tuple[str, ...] = ()

    def sections(self) -> dict[str, tuple[Scan, ...]]:
        """Scans by section of the data list."""
        return {"training": self.training, "validation": self.validation, "test": self.test}

    def sentences(self) -> list[str]:
        """Report of the split for the screen; names no patient."""
        lines = [
            f"{section}: {counted(len(scans), scans[0].kind)} of {counted(len(_patients(scans)), 'patient')}"
            for section, scans in self.sections().items()
            if scans
        ]
        return [*lines, *self.notes]


def least_held_out(false_positive_rate: float) -> int:
    """Fewest held-out normals for a threshold with this rate: p-values are (k + 1) / (n + 1), so n >= 1/rate - 1.

    >>> least_held_out(0.05), least_held_out(0.01)
    (19, 99)
    """
    return max(1, ceil(1 / false_positive_rate - 1 - 1e-9))  # 1e-9: round-off must not ask for one more


def split(found: Found, seed: int = 42, *, share: float = 0.2, false_positive_rate: float = 0.05) -> Split:
    """Sections of what was found.

    A data list or prepared folder keeps its own sections. Else patients with an abnormal scan are tested, with all
    their scans. Of the others, in the order of a seeded hash: held out are `share` of them or as many as thresholds
    need, whichever is more; where something abnormal is tested, `share` of them are tested, too, but no more than there
    are abnormal patients. Thresholds come before the test, and training keeps half of the normal patients.

    Args:
        found: what `look` found.
        seed: of the order of patients.
        share: of normal patients to hold out, and to test.
        false_positive_rate: that thresholds should keep.

    Raises:
        ValueError: if there is one patient only, none is normal, or one is in two sections of a list.
    """
    known = [scan for scan in found.scans if scan.section is not None]
    if known:
        return _kept(found.scans, seed, share, false_positive_rate)
    # unknown counts as ill: it must not be trained on
    ill = {scan.patient for scan in found.scans if scan.label != "normal"}
    normal = _ordered({scan.patient for scan in found.scans} - ill, seed)
    _check_normal(normal, found.scans)
    held_out, tested = _counts(len(normal), len(ill), share, false_positive_rate)
    # patients, never scans: a patient in two sections would leak
    section = dict.fromkeys((*ill, *normal[held_out : held_out + tested]), "test")
    section |= dict.fromkeys(normal[:held_out], "validation")
    placed = [replace(scan, section=section.get(scan.patient, "training")) for scan in found.scans]
    return _sectioned(placed, _notes(held_out, tested, len(ill), false_positive_rate))


def _counts(normal: int, ill: int, share: float, rate: float) -> tuple[int, int]:
    """Normal patients to hold out and to test."""
    wanted = max(1, round(share * normal))
    spare = normal // 2  # patients; the other half is trained on
    for_test = 1 if ill and spare > 1 else 0  # a test without normals has no AUROC
    held_out = min(max(wanted, least_held_out(rate)), spare - for_test)
    return held_out, min(wanted, ill, spare - held_out)


def _kept(scans: Sequence[Scan], seed: int, share: float, rate: float) -> Split:
    """Sections of a list, and held-out patients from its training where it has none."""
    owner: dict[str, set[str]] = defaultdict(set)
    for scan in scans:
        owner[scan.patient].add(str(scan.section))
    shared = [sections for sections in owner.values() if len(sections) > 1]
    if shared:
        pairs = sorted({" and ".join(sorted(sections)) for sections in shared})[:SHOWN]
        raise ValueError(
            f"expected each patient in one section, got {counted(len(shared), 'patient')} in several "
            f"({'; '.join(pairs)}): correct the list, or tell patients by --patient PATTERN"
        )
    training = [scan for scan in scans if scan.section == "training"]
    if not training:
        raise ValueError(f"expected scans in section training, got none of {counted(len(scans), 'scan')}")
    ill = len(_patients([scan for scan in scans if scan.section == "test" and scan.label != "normal"]))
    notes = ["sections as the data say"]
    validation = [scan for scan in scans if scan.section == "validation" and scan.label == "normal"]
    placed = list(scans)
    if not validation:  # progress and thresholds need some, as in a folder without sections
        normal = _ordered(_patients([scan for scan in training if scan.label == "normal"]), seed)
        _check_normal(normal, training)
        held_out = set(normal[: _counts(len(normal), 0, share, rate)[0]])
        placed = [
            replace(scan, section="validation") if scan.section == "training" and scan.patient in held_out else scan
            for scan in scans
        ]
        notes.append("no normal scan is held out by the data, so that some of its training are")
    split = _sectioned(placed, ())
    normals = len(_patients([scan for scan in split.validation if scan.label == "normal"]))
    tested = len(_patients([scan for scan in split.test if scan.label == "normal"]))
    return replace(split, notes=(*notes, *_notes(normals, tested, ill, rate)))


def _notes(held_out: int, tested: int, ill: int, rate: float) -> tuple[str, ...]:
    least = least_held_out(rate)
    notes = []
    if held_out < least:
        notes.append(
            f"thresholds at {100 * rate:g} % need {least} held-out normal patients, there are {held_out}: scores are "
            f"given, p-values reach down to {1 / (held_out + 1):.2g} only"
        )
    if ill and tested < min(ill, FEW):
        notes.append(f"the test has {counted(tested, 'normal patient')} beside {ill} abnormal: intervals are wide")
    if not ill:
        notes.append("nothing abnormal was given: there is no test, and nothing tells how well lesions are found")
    return tuple(notes)


def _check_normal(normal: Sequence[str], scans: Sequence[Scan]) -> None:
    if len(normal) < 2:
        told = sorted({scan.told_by for scan in scans})
        raise ValueError(
            f"expected scans of at least 2 normal patients, one to learn from and one to hold out, got "
            f"{len(normal)} in {counted(len(scans), 'scan')}; patients were told apart by {' and '.join(told)}: where "
            "that is wrong, give --patient PATTERN"
        )


def _sectioned(scans: Sequence[Scan], notes: tuple[str, ...]) -> Split:
    training, validation, test = (tuple(scan for scan in scans if scan.section == name) for name in SECTIONS)
    return Split(training, validation, test, notes)


def _ordered(patients: set[str], seed: int) -> list[str]:
    """Patients in an order that depends on the seed and on their names alone, each on its own."""
    return sorted(patients, key=lambda name: sha256(f"{seed} {name}".encode("utf-8", "surrogatepass")).hexdigest())


def _patients(scans: Sequence[Scan]) -> set[str]:
    return {scan.patient for scan in scans}
