"""The model card names every weight that the catalogue knows, with the catalogue's licence."""

from __future__ import annotations

from pathlib import Path

import pytest

from qfae_monai.weights import CATALOGUE

CARD = Path(__file__).parents[1] / "docs" / "model-card.md"


@pytest.mark.parametrize("name", [entry.name for entry in CATALOGUE])
def test_licence_of_a_weight(name: str) -> None:
    (row,) = [line for line in CARD.read_text().splitlines() if line.startswith("| `") and f"`{name}`" in line]
    (licence,) = {entry.licence for entry in CATALOGUE if entry.name == name}
    assert licence in row
