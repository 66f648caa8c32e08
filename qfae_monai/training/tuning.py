"""Batch size for this machine: measured by `qfae tune`, remembered, used where a configuration says `tuned`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

import torch

from qfae_monai.anomaly import PerceptualLoss
from qfae_monai.files import read_object, write_whole
from qfae_monai.files.schema import entries, whole
from qfae_monai.networks import QFAE

Purpose = Literal["training", "inference"]
TUNED_FILE = Path.home() / ".cache" / "qfae" / "tuned.json"


def images_per_second(step: Callable[[int], None], sizes: Iterable[int], device: torch.device) -> dict[int, float]:
    """Images/s of a step at growing sizes; it ends at the first that does not fit into memory.

    Args:
        step: called with a number of images; each size is run once to warm up and twice to measure.
        sizes: ascending.
        device: that the step runs on.

    Raises:
        MemoryError: if not even the first size fits.
    """
    found: dict[int, float] = {}
    for size in sizes:
        try:
            found[size] = size / _seconds(step, size, device)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if not found:
                raise MemoryError(f"a step of {size} images does not fit into the memory of {device}") from error
            break
    return found


def is_out_of_memory(error: BaseException) -> bool:
    """True for CUDA's error and for that of torch's CPU allocator."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def signature(purpose: Purpose, network: QFAE, distance: PerceptualLoss, device: torch.device) -> str:
    """Key of a measurement: purpose, device, threads, size of the networks, precision and checkpointing."""
    machine = torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads"
    weights = [sum(parameter.numel() for parameter in module.parameters()) for module in (network, distance)]
    return (f"{purpose}; {machine}; {network.image_size[0]} px; {weights[0]} + {weights[1]} weights; patches "
            f"{distance.patch_sizes}, blocks {distance.blocks}; {network.precision}; checkpointing "
            f"{network.decoder.checkpointing}")  # fmt: skip


def remember(key: str, best: int, path: Path | None = None) -> None:
    """Keep the best size under a signature, beside those of other networks."""
    path = TUNED_FILE if path is None else path
    write_whole(path, json.dumps({**_known(path), key: best}, indent=2, sort_keys=True) + "\n")


def tuned_forward_batch(network: QFAE, distance: PerceptualLoss, device: torch.device, path: Path | None = None) -> int:
    """The remembered number of slices in one forward pass of inference.

    Raises:
        ValueError: if this machine and these networks have not been measured.
    """
    return _recall(signature("inference", network, distance, device), path)


def tuned_accumulation(
    network: QFAE, loss: PerceptualLoss, device: torch.device, batch_size: int, path: Path | None = None
) -> int:
    """In how many parts a batch is handed over, so that a part is at most as large as the remembered best.

    Raises:
        ValueError: if this machine and these networks have not been measured.
    """
    best = _recall(signature("training", network, loss, device), path)
    return next(steps for steps in range(1, batch_size + 1) if batch_size % steps == 0 and batch_size // steps <= best)


def _recall(key: str, path: Path | None) -> int:
    path = TUNED_FILE if path is None else path
    known = _known(path)
    if key not in known:
        raise ValueError(f"{path}: expected a measurement of {key!r}, found {len(known)} others: run `qfae tune` with "
                         "the same preset and settings first, or leave `tuned` out")  # fmt: skip
    return known[key]


def _known(path: Path) -> dict[str, int]:
    return read_object(path, entries(whole(1, 100_000)), what="what `qfae tune` wrote") if path.is_file() else {}


def _seconds(step: Callable[[int], None], size: int, device: torch.device) -> float:
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        step(size)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])
