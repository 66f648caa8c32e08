"""What an exported graph says of itself: which checkpoint and settings it was made of. Stored inside the file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from qfae_monai.files import parse_object
from qfae_monai.files.schema import choice, record, text, whole
from qfae_monai.scoring.score_settings import SCORE_SETTINGS, as_in_a_file

GRAPHS = ("reconstruction", "detector")
RECORD_KEY = "qfae"
"""Of the record among an ONNX file's metadata properties; `RECORD_KEY + ".json"` among TorchScript's extra files."""

GRAPH_SETTINGS = ("image_size", "perceptual_network", "score_blocks", "score_patch_sizes", "score_consensus", "metric",
                  "score_over_pixels", "score_over_layers", "map_over_layers")  # fmt: skip
"""Those of the bundle's `score_settings` that are inside of a detector's graph; the others say how it is used."""

GRAPH_RECORD = record(
    {
        "graph": choice(*GRAPHS),
        "image_size": whole(1, 8192),
        "checkpoint_sha256": text(r"[0-9a-f]{64}", "a SHA-256"),
        "version": text(called="a version"),
    },
    {"settings": SCORE_SETTINGS},
)
"""Schema of the record."""


@dataclass(frozen=True)
class GraphRecord:
    """Origin of a graph.

    graph: `reconstruction` (image to reconstruction) or `detector` (image to reconstruction, anomaly map and score).
    image_size: side of the square that it takes, pixels.
    checkpoint_sha256: of the file that its network was loaded from.
    version: of this package.
    settings: what map and score depend on, by the names of GRAPH_SETTINGS; empty for a reconstruction.
    """

    graph: str
    image_size: int
    checkpoint_sha256: str
    version: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> GraphRecord:
        """Raises ValueError unless the text is a record and nothing else."""
        return cls(**parse_object(text, "metadata", GRAPH_RECORD, what="the record of an exported graph"))

    def differing_settings(self, wanted: Mapping[str, Any]) -> list[str]:
        """One sentence for each setting inside the graph that differs from the wanted ones."""
        wanted = as_in_a_file(wanted)
        pairs = ((name, wanted.get(name), self.settings.get(name)) for name in GRAPH_SETTINGS)
        return [f"{name}: expected {asked}, got {found}" for name, asked, found in pairs if asked != found]
