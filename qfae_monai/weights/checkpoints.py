"""Checkpoints: written at once or not at all, read as tensors only, loaded whole or refused."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from qfae_monai.files import whole_file
from qfae_monai.weights.released import Trunk, load_matching

SAFETENSORS = ".safetensors"
CARD_KEY = "model_card"
"""Under which a model card of weights stands in the metadata of their file."""
SUFFIXES = (".pt", ".pth", ".bin", SAFETENSORS)


def save_checkpoint(
    path: str | os.PathLike, state: Mapping[str, Any], *, metadata: Mapping[str, str] | None = None
) -> None:
    """Write a checkpoint under a temporary name in the same folder, then rename it: a reader sees all or nothing.

    Args:
        path: .pt, .pth or .bin for any state, .safetensors for a plain state dict; folders are made.
        state: a state dict, or several by key (`model`, `optimizer`).
        metadata: texts by name, kept in the header of a .safetensors file.

    Raises:
        ValueError: if the suffix is another one, or the format cannot hold the state or the metadata.
    """
    path = Path(path)
    _check_suffix(path)
    if path.suffix == SAFETENSORS and not _is_state_dict(state):
        raise ValueError(f"{path}: expected a plain state dict of tensors for {SAFETENSORS}, found {_describe(state)}")
    if path.suffix != SAFETENSORS and metadata:
        raise ValueError(f"{path}: expected {SAFETENSORS}, which alone holds metadata")
    with whole_file(path) as partial:
        if path.suffix == SAFETENSORS:
            _save_tensors(partial, state, metadata)
        else:
            with partial.open("wb") as stream:  # by path, torch would write the file's temporary name into it
                torch.save(dict(state), stream)


def read_checkpoint(path: str | os.PathLike, key: str = "model") -> dict[str, Tensor]:
    """Read a state dict onto the CPU; nothing but tensors is ever unpickled.

    Args:
        path: .pt, .pth, .bin or .safetensors, a plain state dict or one nested under `key` as MONAI's CheckpointSaver
            writes it.
        key: where a nested state dict is.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged or holds no state dict; the message names it.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"checkpoint {path} not found: expected a file ({', '.join(SUFFIXES)}), "
            f"found {'a folder' if path.is_dir() else 'nothing'}"
        )
    _check_suffix(path)
    content = _read(path)
    state = content.get(key, content) if isinstance(content, Mapping) else content
    if not _is_state_dict(state):
        raise ValueError(
            f"{path}: expected a state dict of tensors, or one under the key {key!r}; found {_describe(content)}"
        )
    return dict(state)


def read_metadata(path: Path) -> dict[str, str]:
    """Texts in the header of a .safetensors file; none where the file is of another format."""
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except SafetensorError:
        return {}


def is_refused_pickle(error: Exception) -> bool:
    """True for torch's ways to refuse what is no tensor, whose texts say how to run it nevertheless."""
    return isinstance(error, UnpicklingError) or "weights_only" in str(error)


def refused_pickle(path: str | os.PathLike, error: Exception) -> ValueError:
    """Error for a pickle that holds more than tensors, in place of torch's advice on how to run it.

    Args:
        path: file.
        error: torch's.
    """
    named = re.search(r"GLOBAL ([\w.]+)", str(error))
    return ValueError(
        f"{path}: expected a complete file of tensors and plain values, but it is damaged or holds objects that only "
        f"code can make{f' ({named[1]})' if named else ''}; nothing of it was run"
    )


def load_checkpoint(network: nn.Module, path: str | os.PathLike, key: str = "model", trunk: Trunk = "required") -> None:
    """Fill a network from a checkpoint whose names and shapes are exactly its own.

    Args:
        network: what is filled; on failure it is as before.
        path, key: as in `read_checkpoint`.
        trunk: with `optional`, the frozen trunks may be absent, if the network's own have values.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged or made for another network; the message says what differs.
    """
    load_matching(network, read_checkpoint(path, key), source=path, trunk=trunk)


def _save_tensors(path: Path, state: Mapping[str, Tensor], metadata: Mapping[str, str] | None) -> None:
    path.touch()  # made here, so that its mode follows the umask
    mode = path.stat().st_mode
    tensors = {name: weight.detach().contiguous() for name, weight in state.items()}
    save_file(tensors, path, metadata=dict(metadata) if metadata else None)
    path.chmod(mode)  # safetensors leaves a file that its owner alone may read, whatever the umask is


def _read(path: Path) -> Any:
    try:
        if path.suffix == SAFETENSORS:
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each format reports damage by errors of its own
        if is_refused_pickle(error):
            raise refused_pickle(path, error) from None
        reason = str(error).strip().splitlines() or [""]
        raise ValueError(
            f"{path}: expected a complete file of tensors, but it is damaged or holds something else: "
            f"{type(error).__name__}: {reason[0]}"
        ) from error


def _check_suffix(path: Path) -> None:
    if path.suffix not in SUFFIXES:
        raise ValueError(f"{path}: expected a file ending in {', '.join(SUFFIXES)}, found {path.suffix or 'no suffix'}")


def _is_state_dict(state: object) -> bool:
    return isinstance(state, Mapping) and bool(state) and all(isinstance(value, Tensor) for value in state.values())


def _describe(content: object) -> str:
    if not isinstance(content, Mapping):
        return f"a {type(content).__name__}"
    names = [str(name) for name in content]
    return f"the keys {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}" if names else "no keys"
