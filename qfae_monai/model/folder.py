"""A model folder: a MONAI bundle of its own that holds everything a prediction needs, with the hash of each file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from qfae_monai import __version__
from qfae_monai.anomaly.calibration import differences, listed
from qfae_monai.files import read_object, sha256_of, write_json
from qfae_monai.files.schema import choice, entries, items, optional, plain_value, record, text, whole

VERSION = 1
MANIFEST = "model.json"
NETWORK = "models/model.pt"
PERCEPTUAL = "models/perceptual.safetensors"
NORMALS = "models/normals.safetensors"
"""What the score knows of normal scans, where it looks at any."""
INFERENCE, TRAINING = "configs/inference.yaml", "configs/training.yaml"
CALIBRATION, FINGERPRINT, RECORD = "calibration.json", "fingerprint.json", "models/training.json"
CARD, PLAN, FIGURES = "docs/README.md", "plan.yaml", "evaluation/evaluation.json"
LOCAL = "training"
"""Folder of what stays on the machine that trained: checkpoint with optimiser, data list, logs, reports."""
USED = (NETWORK, PERCEPTUAL, NORMALS, CALIBRATION, FINGERPRINT, "models/detector.onnx")
"""Files whose hash is checked whenever the model is opened; configurations are held to the signature, by number."""

SHA256 = text(r"[0-9a-f]{64}", "a SHA-256")
CONTENT = record(
    {
        "version": whole(),
        "package": text(),  # version of qfae-monai that wrote it, for messages
        "kind": choice("volume", "image"),
        "signature": entries(plain_value),  # numbers that pixels and scores depend on
        "frozen": items(
            record(
                {
                    "role": choice("encoder", "perceptual"),
                    "name": text(),
                    "file": optional(text()),
                    "sha256": optional(SHA256),
                    "licence": text(longest=1000),
                }
            )
        ),
        "files": entries(SHA256),  # by path below the folder
    }
)
"""Schema of the manifest."""


@dataclass(frozen=True)
class FrozenNetwork:
    """A frozen network of a model.

    Attributes:
        role: `encoder` or `perceptual`.
        name: timm name of the architecture.
        file: that holds its values, below the folder; None where they are looked up by name in a folder of weights.
        sha256: of that file, or of the one that it was trained with; None for a network of a fixed seed that is not in
            the folder.
        licence: of the values.
    """

    role: str
    name: str
    file: str | None
    sha256: str | None
    licence: str


@dataclass(frozen=True)
class ModelFolder:
    """A complete model folder; open one with `ModelFolder.open`.

    Attributes:
        path: of the folder.
        content: of its manifest.
    """

    path: Path
    content: Mapping[str, Any]

    @classmethod
    def open(cls, path: Path) -> ModelFolder:
        """Read the manifest, and check the files that a prediction uses against it.

        Raises:
            FileNotFoundError: if there is no such folder, or a file of it is missing.
            ValueError: if it is no model folder, one of a newer version, or a file has changed.
        """
        manifest = path / MANIFEST
        if not manifest.is_file():
            found = "nothing" if not path.exists() else "a folder without it" if path.is_dir() else "a file"
            raise FileNotFoundError(
                f"{path}: expected a model folder (with {MANIFEST}, as `qfae train` and `qfae model import` write it), "
                f"got {found}"
            )
        # version first: a newer schema would fail with a riddle
        content = read_object(manifest, what="the manifest of a model folder")
        version = content.get("version")
        if isinstance(version, int) and version > VERSION:
            raise ValueError(
                f"{manifest}: expected a model of version {VERSION} or older, got {version}: written by "
                f"qfae-monai {content.get('package', '')!s:.20}, this is {__version__}"
            )
        folder = cls(path, read_object(manifest, CONTENT, what="the manifest of a model folder"))
        if NETWORK not in folder.files:
            raise ValueError(f"{manifest}: files: expected {NETWORK} among them, got none of that name")
        folder.check([name for name in USED if name in folder.files])  # reports and cards may be edited
        return folder

    @property
    def files(self) -> dict[str, str]:
        """SHA-256 by path below the folder."""
        return dict(self.content["files"])

    @property
    def images(self) -> bool:
        """Whether it is a model of single images, not of volumes."""
        return self.content["kind"] == "image"

    @cached_property
    def checkpoint(self) -> Path:
        """File of the network's values."""
        return self.path / NETWORK

    def check(self, names: Sequence[str]) -> None:
        """Hold files against their hashes.

        Raises:
            FileNotFoundError: if one is missing.
            ValueError: if one has changed, naming it.
        """
        for name in names:
            file = inside(self.path, name)
            if not file.is_file():
                raise FileNotFoundError(f"{file}: expected a file of the model, found none")
            found = sha256_of(file)
            if found != self.files[name]:
                raise ValueError(
                    f"{file}: expected the file of this model (SHA-256 {self.files[name][:12]}), got another "
                    f"({found[:12]})"
                )

    def check_signature(self, signature: Mapping[str, Any]) -> None:
        """Hold the configuration against what the model was written with, number by number.

        Raises:
            ValueError: naming each number that differs.
        """
        changed = differences(self.content["signature"], signature)
        if changed:
            raise ValueError(
                f"{self.path / INFERENCE}: expected the configuration that the model was trained with, got another "
                f"({listed(changed)})"
            )


def seal(path: Path, *, kind: str, signature: Mapping[str, Any], frozen: Sequence[FrozenNetwork]) -> ModelFolder:
    """Write the manifest of a complete folder, by which it becomes a model.

    Args:
        path: of the folder.
        kind: `volume` or `image`.
        signature: of its configuration.
        frozen: its frozen networks.
    """
    content = {
        "version": VERSION,
        "package": __version__,
        "kind": kind,
        "signature": dict(signature),
        "frozen": [asdict(one) for one in frozen],
        "files": {name: sha256_of(path / name) for name in _names(path)},
    }
    write_json(path / MANIFEST, content)
    return ModelFolder(path, content)


def seal_again(path: Path) -> ModelFolder:
    """Take new files of a model folder, such as thresholds, into its manifest."""
    content = read_object(path / MANIFEST, CONTENT, what="the manifest of a model folder")
    frozen = [FrozenNetwork(**one) for one in content["frozen"]]
    return seal(path, kind=content["kind"], signature=content["signature"], frozen=frozen)


def check_free(path: Path) -> None:
    """Refuse an output that holds another model, or anything that no training of ours began.

    Raises:
        ValueError: if there is something else.
    """
    if (path / MANIFEST).exists():
        raise ValueError(f"{path}: expected an output without a model, got one that holds a complete model")
    others = [file.name for file in path.iterdir() if not file.name.startswith(".")] if path.is_dir() else []
    if others and not (path / LOCAL).is_dir():
        raise ValueError(
            f"{path}: expected an empty folder or an unfinished training, got one with {others[0]!r} in it"
        )


def inside(path: Path, name: str) -> Path:
    """A file below a folder by a name from its manifest.

    Raises:
        ValueError: if the name leads out of the folder, or by a link.
    """
    file = path / name
    if os.path.isabs(name) or ".." in Path(name).parts or "\\" in name or file.is_symlink():
        raise ValueError(f"{path / MANIFEST}: files: expected names of files below the folder, got {name[:200]!r}")
    return file


def _names(path: Path) -> Iterator[str]:
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path).as_posix()
        local = name.split("/", maxsplit=1)[0] == LOCAL or file.name.startswith(".")
        if file.is_file() and not file.is_symlink() and name != MANIFEST and not local:
            yield name
