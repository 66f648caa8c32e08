"""The server's own folder within the studies: its key, sessions, and what is written while a request is answered."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from qfae_monai.data.prepare.pseudonyms import Pseudonyms, read_or_create_key

OWN = ".server"
PSEUDONYM = re.compile(r"p[0-9a-f]{16}")
KEPT = (OWN, ".nifti", ".lock", "labels", "labels/final", "labels/original", "model", "datastore_v2.json")


def open_own_folder(studies: Path) -> Path:
    """Make the folder, for this account alone, and empty it of what an earlier server has left behind.

    Raises:
        ValueError: if a file or folder that the server writes to is a link, which may lead anywhere.
    """
    for name in KEPT:
        if (studies / name).is_symlink():
            raise ValueError(f"{studies / name}: expected a file or folder of the server's own, got a link")
    own = studies / OWN
    own.mkdir(mode=0o700, exist_ok=True)
    own.chmod(0o700)
    shutil.rmtree(own / "temporary", ignore_errors=True)
    for name in ("temporary", "sessions"):
        (own / name).mkdir(exist_ok=True)
    pseudonyms_of(studies)
    (own / "pseudonyms.key").chmod(0o600)
    return own


def pseudonyms_of(studies: Path) -> Pseudonyms:
    """Pseudonyms of the patients of these studies, by the key that stays in the server's own folder."""
    return Pseudonyms(read_or_create_key(studies / OWN / "pseudonyms.key", studies / "model"))


def pseudonym(names: Pseudonyms, patient: str) -> str:
    """The patient's pseudonym; one that was already made stays as it is."""
    return patient if PSEUDONYM.fullmatch(patient) else names.patient(patient)
