"""The list that an installation is repeated from: every package it needs, of one version, each file by its hash."""

from __future__ import annotations

import re
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).parents[1]
LISTED = ROOT / "constraints" / "linux-py311.txt"
EXTRAS = ("dicom", "export", "pretraining")


def entries() -> dict[str, list[str]]:
    """Package -> hashes of its files."""
    found: dict[str, list[str]] = {}
    for line in LISTED.read_text().replace("\\\n", "").splitlines():
        if not line.startswith("#"):
            pinned = re.fullmatch(r"([a-z0-9-]+)==[^\s;]+((?:\s+--hash=sha256:[0-9a-f]{64})+)", line.strip())
            assert pinned, line
            found[pinned[1]] = pinned[2].split()
    return found


def test_every_entry_is_one_version_with_hashes() -> None:
    assert len(entries()) > 50
    assert all(entries().values())
    assert "://" not in LISTED.read_text()


def test_every_requirement_is_listed() -> None:
    setup = ConfigParser(interpolation=None)
    setup.read(ROOT / "setup.cfg")
    texts = [setup["options"]["install_requires"], *(setup["options.extras_require"][extra] for extra in EXTRAS)]
    wanted = {re.split(r"[\[>=<!~;]", line.strip())[0] for text in texts for line in text.splitlines() if line.strip()}
    assert {re.sub(r"[_.]", "-", name.lower()) for name in wanted} <= set(entries())
