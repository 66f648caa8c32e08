"""The server's own folder within the studies: its key, sessions, and what is written while a request is answered."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from qfae_monai.privacy.pseudonyms import Pseudonyms, read_or_create_key

OWN = ".server"
PSEUDONYM = re.compile(r"p[0-9a-f]{16}")
EMPTIED, KEY = ("temporary", "sessions"), "pseudonyms.key"
WRITTEN = (
    OWN,
    *(f"{OWN}/{name}" for name in (*EMPTIED, KEY)),
    ".nifti",
    ".lock",
    "labels",
    "labels/final",
    "labels/original",
    "model",
    "datastore_v2.json",
)


def open_own_folder(studies: Path) -> Path:
    """Make the folder, for this account alone, and empty it of what an earlier server has left behind.

    Sessions among it: the studies may come from elsewhere, and the record of a session names any file.

    Raises:
        ValueError: if a file or folder that the server writes to is a link, which may lead anywhere.
    """
    for name in WRITTEN:
        if (studies / name).is_symlink():
            raise ValueError(f"{studies / name}: expected a file or folder of the server's own, got a link")
    own = studies / OWN
    own.mkdir(mode=0o700, exist_ok=True)
    own.chmod(0o700)
    for name in EMPTIED:
        shutil.rmtree(own / name, ignore_errors=True)
        (own / name).mkdir()
    pseudonyms_of(studies)
    (own / KEY).chmod(0o600)
    return own


def pseudonyms_of(studies: Path) -> Pseudonyms:
    """Pseudonyms of the patients of these studies, by the key that stays in the server's own folder."""
    return Pseudonyms(read_or_create_key(studies / OWN / KEY, studies / "model"))


def pseudonym(names: Pseudonyms, patient: str) -> str:
    """The patient's pseudonym; one that was already made stays as it is."""
    return patient if PSEUDONYM.fullmatch(patient) else names.patient(patient)
