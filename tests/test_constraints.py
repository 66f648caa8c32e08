"""The list that an installation is repeated from: every package it needs, of one version, each file by its hash."""

from __future__ import annotations

import re
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FIRST, RIVALS = (ROOT / "constraints" / f"linux-py311{more}.txt" for more in ("", "-rivals"))
EXTRAS = ("dicom", "export", "pretraining")


def entries(listed: Path) -> dict[str, list[str]]:
    """Package -> hashes of its files."""
    found: dict[str, list[str]] = {}
    for line in listed.read_text().replace("\\\n", "").splitlines():
        if not line.startswith("#"):
            pinned = re.fullmatch(r"([a-z0-9-]+)==[^\s;]+((?:\s+--hash=sha256:[0-9a-f]{64})+)", line.strip())
            assert pinned, line
            found[pinned[1]] = pinned[2].split()
    return found


def named(*options: str) -> set[str]:
    """Packages that lists of `setup.cfg` name."""
    setup = ConfigParser(interpolation=None)
    setup.read(ROOT / "setup.cfg")
    texts = [
        setup["options"]["install_requires"] if not one else setup["options.extras_require"][one] for one in options
    ]
    wanted = {re.split(r"[\[>=<!~;]", line.strip())[0] for text in texts for line in text.splitlines() if line.strip()}
    return {re.sub(r"[_.]", "-", name.lower()) for name in wanted}


@pytest.mark.parametrize(("listed", "fewest"), [(FIRST, 50), (RIVALS, 10)])
def test_every_entry_is_one_version_with_hashes(listed: Path, fewest: int) -> None:
    assert len(entries(listed)) > fewest
    assert all(entries(listed).values())
    assert "://" not in listed.read_text()


def test_every_requirement_is_listed() -> None:
    assert named("", *EXTRAS) <= set(entries(FIRST))
    assert named("rivals") <= {*entries(FIRST), *entries(RIVALS)}


def test_lists_can_be_installed_together() -> None:
    assert not set(entries(FIRST)) & set(entries(RIVALS))
