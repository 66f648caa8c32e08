"""A pretended accelerator: what would fail on a GPU, or have the host wait for one, found without it.

`meta` tensors stand for the device's. They have shapes and no values, so steps of any size take hardly any time.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

DEVICE = "$torch.device('meta')"
"""Value of the configurations' key `device`."""

aten = torch.ops.aten
COPIES = (aten._to_copy, aten.copy_)
PLACING = (aten.index_put, aten.index_put_)
PACKAGE = "qfae_monai"


class PretendedDevice(TorchDispatchMode):
    """Run what a device would run, and write down where it and the host meet.

    Attributes:
        waits: operations that the host would wait for: a value, a copy to the host, the places of a mask.

    Raises:
        RuntimeError: for an operation whose operands lie on both.
        NotImplementedError: for a shape that depends on values, which has the host wait, too.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func.overloadpacket is aten._local_scalar_dense and args[0].is_meta:
            self.waits.append(f"value read {_place()}")
            return torch.ones((), dtype=args[0].dtype).item()
        if func.overloadpacket in COPIES:
            return self._copied(func, args, kwargs)
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        device = [tensor for tensor in tensors if tensor.is_meta]
        host = [tensor for tensor in tensors if not tensor.is_meta and tensor.dim() > 0]  # single numbers may mix
        if device and host:
            shapes = [[tuple(tensor.shape) for tensor in side] for side in (device, host)]
            raise RuntimeError(f"{func}: {shapes[0]} on the device, {shapes[1]} on the host {_place()}")
        if device and func.overloadpacket in PLACING and any(one.dtype == torch.bool for one in tensors[1:]):
            self.waits.append(f"places of a mask {_place()}")
        return func(*args, **kwargs)

    def _copied(self, func: Any, args: Any, kwargs: Any) -> Any:
        inside = func.overloadpacket is aten.copy_
        source, to = args[1 if inside else 0], torch.device(kwargs.get("device") or args[0].device)
        if source.is_meta and to.type != "meta":
            self.waits.append(f"copy to the host {_place()}")
            return args[0] if inside else torch.ones(source.shape, dtype=kwargs.get("dtype") or source.dtype)
        return func(*args, **kwargs)


def _place() -> str:
    """Line of the package that is running."""
    frames = [frame for frame in traceback.extract_stack() if PACKAGE in frame.filename.replace("\\", "/").split("/")]
    return f"at {frames[-1].filename}:{frames[-1].lineno}" if frames else "outside of the package"


@contextmanager
def pretended_device() -> Iterator[PretendedDevice]:
    """The device while it is there; autocast, which knows none of its kind, takes the CPU's word."""
    autocast, is_enabled = torch.autocast, torch.is_autocast_enabled

    def known(kind: str) -> str:
        return "cpu" if kind == "meta" else kind

    with (
        mock.patch("torch.autocast", lambda kind, **settings: autocast(known(kind), **settings)),
        mock.patch("torch.is_autocast_enabled", lambda kind="cpu": is_enabled(known(kind))),
        PretendedDevice() as device,
    ):
        yield device
