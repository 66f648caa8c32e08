"""Record inside an exported graph: the checkpoint and settings that it was made of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from qfae_monai.anomaly.score_settings import SCORE_SETTINGS, differences
from qfae_monai.files import parse_object
from qfae_monai.files.schema import choice, record, text, whole

GRAPHS = ("reconstruction", "detector")
RECORD_KEY = "qfae"
"""Of the record among an ONNX file's metadata properties; `RECORD_KEY + ".json"` among TorchScript's extra files."""

INSIDE = ("model::", "network_def", "score_distance", "scorer")
OUTSIDE = ("model::volume_score",)
"""Beginnings of the names of settings that are inside of a detector's graph, and of those that say how it is used."""

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
    settings: what map and score depend on, by name; empty for a reconstruction.
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
        """One clause for each setting inside the graph that differs from the wanted ones."""
        return differences(self.settings, inside_of_graph(wanted))


def inside_of_graph(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those settings that a detector's graph cannot be used without, by name."""
    return {name: value for name, value in settings.items() if name.startswith(INSIDE) and not name.startswith(OUTSIDE)}
