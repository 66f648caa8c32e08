"""Data sets of more tensors than a process takes descriptors, in workers started by fork, spawn and forkserver."""

from __future__ import annotations

import multiprocessing
import pickle
from copy import deepcopy
from multiprocessing.reduction import ForkingPickler
from typing import Any

import pytest
import torch
from monai.data import DataLoader, MetaTensor
from monai.transforms import Compose, Transform
from torch.utils.data import ConcatDataset

from qfae_monai.data import SharedCacheDataset, SliceDataset
from qfae_monai.data.shared_items import SharedItems

MORE_THAN_FORKSERVER_TAKES = 300
SIDE = 4


class Make(Transform):
    """A volume of one slice that is not empty, whose pixels hold its number; an image of it without the last axis."""

    def __init__(self, *, volume: bool) -> None:
        self.shape = (1, SIDE, SIDE, 2) if volume else (1, SIDE, SIDE)

    def __call__(self, entry: dict[str, Any]) -> dict[str, Any]:
        image = torch.full(self.shape, float(entry["image"]))
        image[0, 0, 0] = -1
        if image.ndim == 4:
            image[..., 1] = -1
        return {"image": MetaTensor(image, affine=torch.eye(4) * (entry["image"] + 1))}


def volumes(count: int) -> SliceDataset:
    return SliceDataset([{"image": number} for number in range(count)], Make(volume=True))


def images(count: int) -> SharedCacheDataset:
    entries = [{"image": number} for number in range(count)]
    return SharedCacheDataset(entries, Compose([Make(volume=False)]), progress=False)


@pytest.mark.slow
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_workers_of_every_start_method_give_what_this_process_gives(method: str) -> None:
    both: list[Any] = [make(MORE_THAN_FORKSERVER_TAKES) for make in (volumes, images)]
    expected = [item["image"][0, 1, 1].item() for data in both for item in data]
    assert expected == [*range(MORE_THAN_FORKSERVER_TAKES)] * 2
    data: ConcatDataset[Any] = ConcatDataset(both)
    loader = DataLoader(data, batch_size=50, num_workers=1, multiprocessing_context=method)
    assert [value for batch in loader for value in batch["image"][:, 0, 1, 1].tolist()] == expected


def sent(data: Any) -> tuple[Any, bytes]:
    """As another process gets it, and what goes through the pipe; the memory is the same, for this process opens it."""
    pickled = bytes(ForkingPickler.dumps(data))
    return pickle.loads(pickled), pickled


def mixed() -> SharedItems:
    """All kinds of tensors, strides and types."""
    image = MetaTensor(torch.arange(6.0).reshape(1, 2, 3), affine=torch.diag(torch.tensor([2.0, 3, 4, 1])))
    return SharedItems(
        [
            {"image": image, "case": "a"},
            torch.arange(3).detach(),
            torch.tensor(True),
            torch.ones(2, 3).T,
            torch.zeros(0, 2),
            torch.ones(3, dtype=torch.bfloat16),
            torch.nn.Parameter(torch.ones(2)),
        ]
    )


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, torch.Tensor):
        return type(one) is type(other) and one.dtype == other.dtype and torch.equal(one, other)
    return bool(one == other)


def test_nothing_is_changed_by_being_sent() -> None:
    items, expected = mixed(), mixed()
    there, _ = sent(items)
    for one in (items, there, sent(there)[0], deepcopy(items), pickle.loads(pickle.dumps(items))):
        assert isinstance(one, SharedItems)
        assert len(one) == len(expected)
        assert all(map(same, one, expected))
    assert torch.equal(there[0]["image"].affine, expected[0]["image"].affine)
    assert there[0]["image"].meta.keys() == expected[0]["image"].meta.keys()


@pytest.mark.parametrize("make", [volumes, images])
def test_pixels_are_there_once_and_do_not_go_through_the_pipe(make: Any) -> None:
    data = make(MORE_THAN_FORKSERVER_TAKES)
    there, pickled = sent(data)
    assert len(pickled) < 500 * MORE_THAN_FORKSERVER_TAKES  # what the items are called, and where their tensors lie
    items, theirs = (one.data.volumes if make is volumes else one._cache for one in (data, there))
    mine = items[7].image if make is volumes else items[7]["image"]
    other = theirs[7].image if make is volumes else theirs[7]["image"]
    mine[..., 0] = 5
    assert (other[..., 0] == 5).all()
    block = items._block
    sent(data)
    assert items._block is block  # workers of the next epoch get the same memory
    assert deepcopy(other).untyped_storage().nbytes() == mine.nbytes  # and not the whole block


def test_what_is_added_later_is_sent_too() -> None:
    items = SharedItems([torch.zeros(2)])
    sent(items)
    items.append(torch.ones(3))
    there, _ = sent(items)
    assert [one.tolist() for one in there] == [[0, 0], [1, 1, 1]]
    assert sent(SharedItems())[0] == []
