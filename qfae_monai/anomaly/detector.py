"""The method as one module, image in and map and score out: in PyTorch, and as an exported graph."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.module import _IncompatibleKeys

from qfae_monai.anomaly.anomaly_map import AnomalyScorer
from qfae_monai.anomaly.calibration import SCORE_SETTINGS, differences, listed
from qfae_monai.files import parse_object
from qfae_monai.files.schema import choice, record, text, whole
from qfae_monai.weights.released import load_matching

if TYPE_CHECKING:
    import onnxruntime

# The whole method as one module: image to reconstruction, anomaly map and score, for export and other runtimes.


class AnomalyDetector(nn.Module):
    """Reconstruct and score in one call.

    A checkpoint of the bundle holds the network alone; the scorer's perceptual network brings its own weights. So
    `load_state_dict` takes the network's state dict, which is how MONAI's exporters fill this module, too.

    Args:
        network: image (B, 1, H, W) to reconstruction (B, 3, H, W), such as `QFAE`.
        scorer: image and reconstruction to anomaly map and score.
    """

    def __init__(self, network: nn.Module, scorer: AnomalyScorer) -> None:
        super().__init__()
        self.network = network
        self.scorer = scorer

    def forward(self, image: Tensor, position: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstruct and score.

        Args:
            image: (B, 1, H, W), normalised.
            position: (B,) of slices along their stack, in [0, 1]; None of images without one.

        Returns:
            Reconstruction (B, 3, H, W), anomaly map (B, 1, H, W), score (B,).
        """
        reconstruction = self.network(image)
        found = self.scorer(image, reconstruction, position)
        picture = reconstruction if isinstance(reconstruction, Tensor) else reconstruction.image
        return picture, found.anomaly_map, found.score

    @property
    def looks_at_position(self) -> bool:
        """Whether a slice's place along its stack changes its score."""
        return self.scorer.looks_at_position

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> _IncompatibleKeys:
        """Fill the network from its own state dict, whole or not at all; the scorer stays as it is.

        Raises:
            ValueError: if names or shapes are not exactly the network's, a weight is NaN, or `strict` is off or
                `assign` on.
        """
        if not strict or assign:
            raise ValueError(f"expected strict=True and assign=False, got strict={strict} and assign={assign}")
        if not all(isinstance(weight, Tensor) for weight in state_dict.values()):
            raise ValueError(
                f"expected a state dict of tensors, got the keys {', '.join(state_dict)}; "
                "say which of them holds the network (key_in_ckpt)"
            )
        load_matching(self.network, state_dict, source="checkpoint")
        return _IncompatibleKeys([], [])


# Record inside an exported graph: the checkpoint and settings that it was made of.

GRAPHS = ("reconstruction", "detector")
RECORD_KEY = "qfae"
"""Of the record among an ONNX file's metadata properties; `RECORD_KEY + ".json"` among TorchScript's extra files."""

INSIDE = ("model::", "network_def", "score_distance", "scorer")
OUTSIDE = ("model::volume_score",)
"""Beginnings of the names of settings that are inside of a detector's graph, and of those that say how it is used."""

GRAPH_RECORD = record(
    {
        "graph": choice(*GRAPHS),
        "image_size": whole(1, 8192),  # pixels along a side
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


# The whole graph in ONNX Runtime: what `AnomalyInferer` can call in place of a network and a scorer.

PROVIDERS = ["CPUExecutionProvider"]


class OnnxDetector:
    """Image to reconstruction, anomaly map and score, as `AnomalyDetector`, on the CPU with torch's number of threads.

    Args:
        path: file that `qfae export --graph detector` wrote; weights of a large one lie beside it.
        image_size: side of the images to come, pixels.
        expected_checkpoint_sha256: of the checkpoint that the graph must have been made of; None accepts any.
        settings: the bundle's `score_settings` that the graph must have been made with; None accepts any.

    Raises:
        FileNotFoundError: if there is no such file.
        ModuleNotFoundError: if ONNX Runtime is not installed.
        ValueError: if the file is damaged, no detector of this package, or made of another checkpoint, for another
            image size or with other settings.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        *,
        image_size: int,
        expected_checkpoint_sha256: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = Path(path)
        self.image_size = image_size
        self.session = open_session(self.path)
        self.record = read_graph_record(self.session, self.path)
        self._check(expected_checkpoint_sha256, settings)

    def __call__(self, image: Tensor, position: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """As `AnomalyDetector`.

        Raises:
            ValueError: for an image of another shape.
        """
        if image.shape[1:] != (1, self.image_size, self.image_size):
            raise ValueError(
                f"{self.path}: expected images (B, 1, {self.image_size}, {self.image_size}), got {tuple(image.shape)}"
            )
        # (B, 3, H, W), (B, 1, H, W) and (B,)
        found = self.session.run(None, graph_inputs(self.session, image, position))
        reconstruction, anomaly_map, score = (torch.from_numpy(values).to(image.device) for values in found)
        return reconstruction, anomaly_map, score

    def _check(self, checkpoint: str | None, settings: Mapping[str, Any] | None) -> None:
        found = self.record
        if found.graph != "detector":
            raise ValueError(
                f"{self.path}: expected a graph of the whole method (`qfae export --graph detector`), "
                f"got one of the {found.graph} alone"
            )
        if found.image_size != self.image_size:
            raise ValueError(
                f"{self.path}: expected a graph for images of {self.image_size} pixels, got one for {found.image_size}"
            )
        if checkpoint is not None and found.checkpoint_sha256 != checkpoint:
            raise ValueError(
                f"{self.path}: expected a graph of the checkpoint with SHA-256 {checkpoint[:12]}, got one "
                f"of another ({found.checkpoint_sha256[:12]}); export it again"
            )
        different = [] if settings is None else found.differing_settings(settings)
        if different:
            raise ValueError(
                f"{self.path}: expected a graph of the same scores, got other settings "
                f"({listed(different)}); export it again"
            )


def graph_inputs(
    session: onnxruntime.InferenceSession, image: Tensor, position: Tensor | None
) -> dict[str, NDArray[np.float32]]:
    """Inputs of a graph by name: the image, and the position where it looks at it; the middle where that is not known.

    Args:
        session: of the graph.
        image: (B, 1, H, W), normalised.
        position: (B,), in [0, 1].
    """
    given = {"image": image, "position": torch.full((len(image),), 0.5) if position is None else position}
    wanted = [one.name for one in session.get_inputs()]
    return {name: given[name].detach().float().contiguous().cpu().numpy() for name in wanted}


def open_session(path: Path) -> onnxruntime.InferenceSession:
    """Raises as `OnnxDetector` for a missing file, a missing runtime or a file that is no graph."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected the file that `qfae export` writes, got no such file")
    try:
        import onnxruntime  # noqa: PLC0415  (an optional part)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "ONNX Runtime is not installed: expected the extra `export` (pip install onnx onnxruntime onnxscript)"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()  # the runtime's own default is every core
    try:
        return onnxruntime.InferenceSession(path, options, providers=PROVIDERS)
    except Exception as error:  # the runtime has an exception of its own for every kind of damage
        raise ValueError(
            f"{path}: expected a complete ONNX file, but it is damaged or holds something else: "
            f"{type(error).__name__}: {error}"
        ) from error


def read_graph_record(session: onnxruntime.InferenceSession, path: Path) -> GraphRecord:
    """Read a graph file's own record; ValueError without one, because then its weights could be any."""
    found = session.get_modelmeta().custom_metadata_map.get(RECORD_KEY)
    if found is None:
        raise ValueError(
            f"{path}: expected a graph that names its checkpoint, as `qfae export` writes it; "
            f"got one without the metadata {RECORD_KEY!r}"
        )
    try:
        return GraphRecord.from_json(found)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
