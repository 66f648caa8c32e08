"""The whole graph in ONNX Runtime: what `AnomalyInferer` can call in place of a network and a scorer."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from qfae_monai.anomaly.graph_record import RECORD_KEY, GraphRecord
from qfae_monai.anomaly.score_settings import listed

if TYPE_CHECKING:
    import onnxruntime

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

    def __call__(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """image: (B, 1, H, W), normalised -> reconstruction (B, 3, H, W), anomaly map (B, 1, H, W), score (B,).

        Raises:
            ValueError: for an image of another shape.
        """
        if image.shape[1:] != (1, self.image_size, self.image_size):
            raise ValueError(f"{self.path}: expected images (B, 1, {self.image_size}, {self.image_size}), "
                             f"got {tuple(image.shape)}")  # fmt: skip
        found = self.session.run(None, {"image": image.detach().float().contiguous().cpu().numpy()})
        reconstruction, anomaly_map, score = (torch.from_numpy(values).to(image.device) for values in found)
        return reconstruction, anomaly_map, score

    def _check(self, checkpoint: str | None, settings: Mapping[str, Any] | None) -> None:
        found = self.record
        if found.graph != "detector":
            raise ValueError(f"{self.path}: expected a graph of the whole method (`qfae export --graph detector`), "
                             f"got one of the {found.graph} alone")  # fmt: skip
        if found.image_size != self.image_size:
            raise ValueError(f"{self.path}: expected a graph for images of {self.image_size} pixels, "
                             f"got one for {found.image_size}")  # fmt: skip
        if checkpoint is not None and found.checkpoint_sha256 != checkpoint:
            raise ValueError(f"{self.path}: expected a graph of the checkpoint with SHA-256 {checkpoint[:12]}, got one "
                             f"of another ({found.checkpoint_sha256[:12]}); export it again")  # fmt: skip
        different = [] if settings is None else found.differing_settings(settings)
        if different:
            raise ValueError(f"{self.path}: expected a graph of the same scores, got other settings "
                             f"({listed(different)}); export it again")  # fmt: skip


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
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        return onnxruntime.InferenceSession(path, options, providers=PROVIDERS)
    except Exception as error:  # the runtime has an exception of its own for every kind of damage
        raise ValueError(f"{path}: expected a complete ONNX file, but it is damaged or holds something else: "
                         f"{type(error).__name__}: {error}") from error  # fmt: skip


def read_graph_record(session: onnxruntime.InferenceSession, path: Path) -> GraphRecord:
    """Read a graph file's own record; ValueError without one, because then its weights could be any."""
    found = session.get_modelmeta().custom_metadata_map.get(RECORD_KEY)
    if found is None:
        raise ValueError(f"{path}: expected a graph that names its checkpoint, as `qfae export` writes it; "
                         f"got one without the metadata {RECORD_KEY!r}")  # fmt: skip
    try:
        return GraphRecord.from_json(found)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
