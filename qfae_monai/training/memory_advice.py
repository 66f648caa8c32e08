"""Advice where memory runs out: what was needed, what there is, and which setting to change."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from ignite.engine import Engine, Events

GIB = 2**30  # bytes
ADVICE = {
    "accumulation_steps": "raise accumulation_steps (2, 4, ...), which hands a batch over in as many parts",
    "checkpointing": "set checkpointing to 'light' or 'full', which computes activations again",
    "precision": "set precision to bfloat16 or float16, which halves activations",
    "forward_batch": "lower forward_batch, the number of slices in one forward pass",
}
"""What to do about each setting, unless it is at its end."""
AT_ITS_END: dict[str, Any] = {"checkpointing": "full", "precision": ("bfloat16", "float16"), "forward_batch": 1}
ASKED = re.compile(r"[Tt]ried to allocate ([\d.]+) ?(GiB|MiB|KiB|bytes)")
UNITS = {"GiB": GIB, "MiB": 2**20, "KiB": 2**10, "bytes": 1}


class OutOfMemoryAdvice:
    """Turn an engine's out-of-memory error into one that says which setting to change. Attach before other handlers.

    Args:
        settings: names out of `ADVICE` and what they are now.
        device: where the engine runs.
    """

    def __init__(self, settings: Mapping[str, Any], device: torch.device) -> None:
        unknown = set(settings) - set(ADVICE)
        if unknown:
            raise ValueError(f"settings must be among {tuple(ADVICE)}, got {sorted(unknown)}")
        self.settings = dict(settings)
        self.device = torch.device(device)

    def attach(self, engine: Engine) -> None:
        """Register with any engine."""
        engine.add_event_handler(Events.EXCEPTION_RAISED, self)

    def __call__(self, engine: Engine, error: BaseException) -> None:
        """Raise MemoryError with advice, or the error as it came if it is another one."""
        if not is_out_of_memory(error):
            raise error
        raise MemoryError(f"{self._what_was_needed(error)}. {self._advice()}") from error

    def _what_was_needed(self, error: BaseException) -> str:
        found = ASKED.search(str(error))
        asked = float(found[1]) * UNITS[found[2]] if found else 0.0  # bytes; 0 where the message names no number
        if self.device.type != "cuda":
            return f"out of memory: {asked / GIB:.2f} GiB more were asked for than the machine has free"
        free, total = torch.cuda.mem_get_info(self.device)  # bytes
        return (
            f"out of memory on {torch.cuda.get_device_name(self.device)}: the step needs at least "
            f"{(torch.cuda.memory_allocated(self.device) + asked) / GIB:.2f} GiB, the device has "
            f"{total / GIB:.2f} GiB, of which {free / GIB:.2f} are free"
        )

    def _advice(self) -> str:
        open_ones = {name: value for name, value in self.settings.items() if not _at_its_end(name, value)}
        if not open_ones:
            return "All settings are at their smallest: this needs a smaller preset or a larger device"
        return "To fit, " + "; or ".join(f"{ADVICE[name]} (now {value})" for name, value in open_ones.items())


def _at_its_end(name: str, value: Any) -> bool:
    end = AT_ITS_END.get(name)
    return value in end if isinstance(end, tuple) else value == end


def is_out_of_memory(error: BaseException) -> bool:
    """True for CUDA's error and for that of torch's CPU allocator."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)
