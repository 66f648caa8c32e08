"""Number format of the matrix products: MONAI's engines autocast for CUDA only, so the networks do it."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from typing import Any, Generic, Literal, TypeVar

import torch
from torch import Tensor, nn

logger = logging.getLogger(__name__)

ModuleT = TypeVar("ModuleT", bound=nn.Module)
Precision = Literal["auto", "float32", "tf32", "bfloat16", "float16"]
PRECISIONS = ("auto", "float32", "tf32", "bfloat16", "float16")
FORMATS = ("float32", "tf32", "bfloat16", "float16")
AMPERE = (8, 0)  # the first CUDA capability with bfloat16 and TF32 matrix products


def check_precision(precision: str) -> None:
    """Raise ValueError unless `precision` is one of `PRECISIONS`."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {PRECISIONS}, got {precision!r}")


def cpu_has_bfloat16() -> bool:
    """True on a CPU with native bfloat16 dot products (AVX512-BF16 or AMX), where autocast is 2 to 5 times faster.

    A CPU that torch was told to use less of (`ATEN_CPU_CAPABILITY=avx2`) counts as one without.
    """
    if not torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
        return False
    capabilities = getattr(torch.cpu, "get_capabilities", None)  # older torch has no such function
    if capabilities is not None:
        known = capabilities()
        return bool(known.get("avx512_bf16") or known.get("amx_bf16") or known.get("amx_tile"))
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(supported is not None and supported())


def is_exporting() -> bool:
    """True while a graph is recorded for TorchScript or ONNX; compilation for this machine does not count."""
    return torch.jit.is_tracing() or torch.compiler.is_exporting()


def is_ampere(device: torch.device) -> bool:
    """True on a CUDA device with bfloat16 and TF32 matrix products."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= AMPERE


def compute_dtype(device: torch.device, precision: Precision) -> torch.dtype:
    """Number format of the matrix products on this device.

    `auto` is the format whose trainings are shown to equal float32's on that kind of device (docs/speed.md has the
    tables); until a table made there shows it for another one, that is float32 on all. bfloat16 on a CPU without it is
    emulated, slowly. float16 is for CUDA alone, because the trainer scales gradients only there.

    Raises:
        ValueError: if the device lacks the precision; the message says which ones it has.
    """
    check_precision(precision)
    if precision in ("auto", "float32"):
        return torch.float32
    if precision == "float16":
        _require(device.type == "cuda", device, precision, "a CUDA device, whose gradients the trainer scales")
        return torch.float16
    capable = is_ampere(device)
    _require(
        capable or (precision == "bfloat16" and device.type != "cuda"),
        device,
        precision,
        "a CUDA device of capability 8.0 or newer",
    )
    return torch.float32 if precision == "tf32" else torch.bfloat16


def format_name(device: torch.device, precision: Precision) -> str:
    """Number format that `precision` means on this device: `float32`, `tf32`, `bfloat16` or `float16`."""
    return "tf32" if precision == "tf32" else str(compute_dtype(device, precision)).removeprefix("torch.")


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager:
    """Context in which a forward pass runs: autocast to `compute_dtype`, or nothing where that is float32."""
    dtype = compute_dtype(device, precision)
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype=dtype)


class RoundedOnce(Generic[ModuleT]):
    """Frozen networks as autocast would run them, their matrices rounded once.

    Autocast makes the same rounding anew in each pass: it remembers the weights that are trained only. Norms and
    positions stay as they are, and so does the memory of the networks themselves: a copy stands beside them.
    """

    def __init__(self) -> None:
        self._kept: tuple[tuple, list[ModuleT]] | None = None

    def __call__(self, frozen: Sequence[ModuleT]) -> Sequence[ModuleT]:
        """The networks themselves where autocast is off, otherwise their copies, made when their weights change."""
        kind = next(frozen[0].parameters()).device.type
        if not torch.is_autocast_enabled(kind):
            return frozen
        dtype = torch.get_autocast_dtype(kind)
        weights = [weight for network in frozen for weight in network.parameters()]
        # the key changes with every in-place update or move of the weights that were copied
        key = (dtype, *((weight.data_ptr(), weight._version) for weight in weights))
        if self._kept is None or self._kept[0] != key:
            self._kept = (key, matrices_in(dtype, frozen))
        return self._kept[1]


def matrices_in(dtype: torch.dtype, frozen: Sequence[ModuleT]) -> list[ModuleT]:
    """Copy of frozen networks, parts that they share still shared, with matrices in the format they are multiplied in.

    Compiled blocks are compiled in the copy, too.
    """
    copies = copy.deepcopy(list(frozen))  # in one call, or shared parts would be copied apart
    for network, source in zip(copies, frozen, strict=True):
        for part, original in zip(network.modules(), source.modules(), strict=True):
            if isinstance(part, nn.Linear | nn.Conv2d):
                part.to(dtype)
            if original._compiled_call_impl is not None and part._compiled_call_impl is None:
                part.compile()  # which a copy forgets
    return copies


def in_float32(method: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Method of a module whose products run in float32 where autocast is on around it; tensors are widened first."""

    @wraps(method)
    def exact(module: Any, *tensors: Tensor | None) -> Tensor:
        device = next(tensor.device for tensor in tensors if tensor is not None)  # a mask may be None
        if not torch.is_autocast_enabled(device.type):
            return method(module, *tensors)
        with torch.autocast(device.type, enabled=False):
            return method(module, *(_widened(tensor) for tensor in tensors))

    return exact


def _widened(tensor: Tensor | None) -> Tensor | None:
    """float32 of a low format; masks and None as they are."""
    return tensor.float() if tensor is not None and tensor.is_floating_point() else tensor


def prepare_precision(device: torch.device, precision: Precision) -> None:
    """Refuse what the device lacks before anything runs, and switch TF32 on for `tf32`, off for the others.

    A format that no table shows to train as float32 does is allowed, with a line in the log that says so. TF32 is a
    switch of the process, because the backward pass runs outside of every context.

    Raises:
        ValueError: as `compute_dtype`.
    """
    dtype = compute_dtype(device, precision)
    if precision not in ("auto", "float32"):
        slow = dtype == torch.bfloat16 and device.type == "cpu" and not cpu_has_bfloat16()
        logger.warning(
            "precision %s: %sno table made on such a device shows that training in it equals float32 (docs/speed.md)",
            precision,
            "this CPU emulates it, slowly; " if slow else "",
        )
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
        torch.backends.cudnn.allow_tf32 = precision == "tf32"


def _require(has: bool, device: torch.device, precision: str, needed: str) -> None:
    if not has:
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        others = ["auto", "float32", *(["float16"] if device.type == "cuda" else ["bfloat16"])]
        raise ValueError(f"precision {precision!r} needs {needed}; got {name}, which has {', '.join(others)}")
