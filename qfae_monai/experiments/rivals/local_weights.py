"""Weights of rivals' networks from a folder: what timm or torchvision would download is read from files, or refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import timm
import torch
from torch import Tensor, nn

from qfae_monai.weights import WeightsNotFoundError, find_weights


@contextmanager
def local_weights(folders: Sequence[Path], *, filled: bool = False) -> Iterator[None]:
    """Around whatever builds a network of another library: nothing is downloaded.

    Args:
        folders: of weights, by timm's names (`resnet18.safetensors`) or torchvision's (`resnet18-f37072fd.pth`).
        filled: whether all values come from a checkpoint later, so that timm's networks need no file.

    Raises:
        WeightsNotFoundError: when a network is built whose weights are not there; the message names the file.
    """
    create = timm.create_model

    def from_folder(model_name: str, pretrained: bool = False, **settings: Any) -> nn.Module:
        if not pretrained or filled:
            return create(model_name, pretrained=False, **settings)
        file = find_in(model_name, folders)
        return create(model_name, pretrained=True, **settings | {"pretrained_cfg_overlay": {"file": str(file)}})

    with ExitStack() as stack:
        stack.enter_context(patch.object(timm, "create_model", from_folder))
        try:
            import torchvision.models._api as torchvision_models  # noqa: PLC0415
        except ImportError:  # a library that takes none of its networks needs it not
            pass
        else:

            def read(url: str, *_: Any, **__: Any) -> dict[str, Tensor]:
                return read_torchvision(url, folders)

            stack.enter_context(patch.object(torchvision_models, "load_state_dict_from_url", read))
        yield


def find_in(name: str, folders: Sequence[Path]) -> Path:
    """File of a timm network in the first folder that has it; raises WeightsNotFoundError, naming files and folders."""
    missing: WeightsNotFoundError | None = None
    for folder in folders:
        try:
            return find_weights(name, folder)
        except WeightsNotFoundError as error:
            missing = missing or error
    if missing is not None:
        raise missing
    raise WeightsNotFoundError(
        f"weights of {name}: expected {name}.safetensors in a folder given by --weights, got none"
    )


def read_torchvision(url: str, folders: Sequence[Path]) -> dict[str, Tensor]:
    """State dict that torchvision would download from `url`, from a file of the same name."""
    name = url.rpartition("/")[2]
    for folder in folders:
        if (folder / name).is_file():
            found: dict[str, Tensor] = torch.load(folder / name, map_location="cpu", weights_only=True)
            return found
    places = ", ".join(str(folder / name) for folder in folders) or f"{name} in a folder given by --weights"
    raise WeightsNotFoundError(f"weights of torchvision not found: looked for {places}; from {url}")
