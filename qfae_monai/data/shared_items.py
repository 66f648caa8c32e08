"""A list whose tensors lie in one block of memory as soon as it goes to another process, which then shares it.

A process that is started by spawn or forkserver gets each tensor's memory by a descriptor of its own, and forkserver
hands over no more than 256; one block needs one descriptor, and no worker has a copy of its own.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.reduction import ForkingPickler
from typing import Any

import torch
from monai.data import CacheDataset
from torch import Tensor

__all__ = ["SharedCacheDataset", "SharedItems"]

ALIGNMENT = 64
"""Bytes: every tensor of a block begins at a multiple of it."""


class SharedItems(list[Any]):
    """A list of anything; of what is in it, tensors on the CPU are shared with the processes that it is sent to.

    Items are for reading: a process that changes a tensor in place changes it for all. When the list is sent, its own
    tensors move into the block, too; items that are added later are moved when it is sent again.

    >>> items = SharedItems([{"image": torch.ones(2)}, {"image": torch.zeros(3)}])
    >>> pickle.loads(pickle.dumps(items))[1]["image"]
    tensor([0., 0., 0.])
    """

    _block: Tensor | None = None

    def __reduce__(self) -> tuple[Callable[..., SharedItems], tuple[bytes, Tensor, list[_Place]]]:
        stream = io.BytesIO()
        packer = _Packer(stream)
        packer.dump(list(self))
        block, places = self._moved(packer.tensors)
        return _restore, (stream.getvalue(), block, places)

    def _moved(self, tensors: Sequence[Tensor]) -> tuple[Tensor, list[_Place]]:
        """The block that holds these tensors, and where in it they lie."""
        block = self._block
        if block is None or not all(_within(block, tensor) for tensor in tensors):
            block = self._block = _move(tensors)
        return block, [_Place(one.data_ptr() - block.data_ptr(), one.dtype, tuple(one.shape)) for one in tensors]


class SharedCacheDataset(CacheDataset):
    """MONAI's cache of a data set, in one block of memory that worker processes share, however they are started.

    Args: as `monai.data.CacheDataset`.
    """

    def _fill_cache(self, indices: Any = None) -> list[Any]:
        return SharedItems(super()._fill_cache(indices))


@dataclass(frozen=True)
class _Place:
    """Place of a tensor in the shared block: its first byte, type and shape."""

    first: int
    dtype: torch.dtype
    shape: tuple[int, ...]

    def view(self, block: Tensor) -> Tensor:
        """The tensor, of a storage of its own size: a deep copy of it copies no more."""
        size = self.dtype.itemsize * torch.Size(self.shape).numel()  # bytes
        return torch.from_numpy(block.numpy()[self.first : self.first + size]).view(self.dtype).view(self.shape)


@dataclass(frozen=True)
class _Number:
    """Of a tensor, in its place among what is pickled."""

    number: int


class _Packer(ForkingPickler):
    """Pickles everything but tensors, and gathers these."""

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream, pickle.HIGHEST_PROTOCOL)
        self.tensors: list[Tensor] = []

    def persistent_id(self, one: Any) -> int | None:
        return one.number if isinstance(one, _Number) else None

    def reducer_override(self, one: Any) -> Any:
        if not isinstance(one, Tensor) or one.device.type != "cpu" or one.layout != torch.strided or one.requires_grad:
            return NotImplemented
        self.tensors.append(one)
        return _of_kind, (_Number(len(self.tensors) - 1), type(one), dict(vars(one)))


class _Unpacker(pickle.Unpickler):
    """Puts the tensors back."""

    def __init__(self, stream: io.BytesIO, tensors: Sequence[Tensor]) -> None:
        super().__init__(stream)
        self.tensors = tensors

    def persistent_load(self, number: Any) -> Tensor:
        return self.tensors[number]


def _restore(pickled: bytes, block: Tensor, places: Sequence[_Place]) -> SharedItems:
    items = SharedItems(_Unpacker(io.BytesIO(pickled), [place.view(block) for place in places]).load())
    items._block = block
    return items


def _of_kind(plain: Tensor, kind: type[Tensor], attributes: dict[str, Any]) -> Tensor:
    """The tensor as its class, such as MONAI's with an affine."""
    made = plain.as_subclass(kind)
    vars(made).update(attributes)
    return made


def _within(block: Tensor, tensor: Tensor) -> bool:
    first = tensor.data_ptr() - block.data_ptr()
    return tensor.numel() == 0 or (0 <= first < block.nbytes and tensor.is_contiguous())


def _move(tensors: Sequence[Tensor]) -> Tensor:
    """Shared memory with the content of these tensors, which are made parts of it, so that it is there once."""
    first, places = 0, []  # bytes
    for tensor in tensors:
        places.append(_Place(first, tensor.dtype, tuple(tensor.shape)))
        first += -(-tensor.nbytes // ALIGNMENT) * ALIGNMENT  # bytes, rounded up
    block = torch.empty(max(first, 1), dtype=torch.uint8).share_memory_()  # bytes; shared memory cannot be empty
    with torch.no_grad(), torch._C.DisableTorchFunctionSubclass():
        for tensor, place in zip(tensors, places, strict=True):
            part = place.view(block)
            part.copy_(tensor)
            tensor.data = part  # what it had before is free again
    return block
