from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qfae_monai.evaluation.sprites import Picture


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, Picture]:
    """Of each case a sprite of two rows whose columns have the grey values 0, 80, 160."""
    for case, slices in {"a": [1, 2, 4], "b": [1, 2], "c": [0]}.items():
        columns = np.repeat(np.arange(len(slices)) * 80, 8).astype(np.uint8)
        Image.fromarray(np.tile(columns, (16, 1))).save(tmp_path / f"{case}.jpg")
        facts = {"slices": slices, "scores": [], "tile": 8, "rows": ["input", "mask"], "map_limit": len(slices)}
        (tmp_path / f"{case}.json").write_text(json.dumps(facts))
    return {case: picture for case in "abc" if (picture := Picture.of(tmp_path, case))}
