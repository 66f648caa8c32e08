"""Folders of the data sets that rows need, as they are named on the command line: one for all, or one for each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from qfae_monai.files import shown

DATA = {
    "brats2021": "BMAD's BraTS2021, or `qfae prepare brats2021`",
    "resc": "BMAD's RESC, or `qfae prepare resc`",
    "rsna": "BMAD's RSNA, or `qfae prepare rsna`",
    "liverct": "`qfae prepare liver_ct`: slices on the canvas, with the bilateral filter",
    "liverct-plain": "BMAD's LiverCT, or `qfae prepare liver_ct --no-canvas`",
}
"""What lies in a folder, by its name."""


def find_folders(given: Sequence[str], needed: Iterable[str]) -> dict[str, Path]:
    """Folder of each data set that is needed.

    Args:
        given: `NAME=DIR`, repeated, or one `DIR`: a folder with a subfolder NAME for each, or the data set's own where
            one alone is needed.
        needed: names of `DATA`.

    Raises:
        ValueError: for a name that is not known, a name twice, or several folders without names.
        FileNotFoundError: naming every folder that is missing.

    >>> find_folders(["resc=."], ["resc"])
    {'resc': PosixPath('.')}
    """
    wanted = list(dict.fromkeys(needed))
    named, plain = _split(given)
    if named and plain:
        raise ValueError(f"--data: expected NAME=DIR for each data set or one DIR, got both: {', '.join(given)}")
    if len(plain) > 1:
        raise ValueError(f"--data: expected NAME=DIR for each of several, got {', '.join(map(str, plain))}")
    if plain:
        below = {name: plain[0] / name for name in wanted}
        alone = len(wanted) == 1 and not below[wanted[0]].is_dir()
        named = {wanted[0]: plain[0]} if alone else below
    missing = [name for name in wanted if name not in named or not named[name].is_dir()]
    if missing:
        said = [f"{name} ({DATA[name]}){f', not in {named[name]}' if name in named else ''}" for name in missing]
        raise FileNotFoundError(
            f"--data: expected a folder for each of {', '.join(wanted)}; missing: {'; '.join(said)}; give NAME=DIR for "
            "each, or one folder with a subfolder for each"
        )
    return {name: named[name] for name in wanted}


def _split(given: Sequence[str]) -> tuple[dict[str, Path], list[Path]]:
    """Folders with a name and those without; a path of its own right may hold an equals sign."""
    named: dict[str, Path] = {}
    plain = []
    for one in given:
        name, equals, folder = one.partition("=")
        if not equals or ("/" in name and name not in DATA) or Path(one).exists():
            plain.append(Path(one))
        elif name not in DATA:
            raise ValueError(f"--data: expected one of {', '.join(DATA)} before the equals sign, got {shown(name)}")
        elif name in named:
            raise ValueError(f"--data: expected each data set once, got {name} twice")
        else:
            named[name] = Path(folder)
    return named, plain
