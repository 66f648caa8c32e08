"""Number formats that this machine lacks, emulated: products as the format gives them, at nearly float32's speed.

A matrix product of a low format multiplies rounded operands, adds up in float32 and rounds the result. So does this:
operands that autocast handed over in bfloat16 or float16 are widened and multiplied in float32, and the result is
rounded. Everything else (norms, GELU, sums, what stays float32) is what torch itself does in that format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

aten = torch.ops.aten
PRODUCTS = {
    aten.mm,
    aten.addmm,
    aten.bmm,
    aten.baddbmm,
    aten.convolution,
    aten.convolution_backward,
    aten._scaled_dot_product_flash_attention_for_cpu,
    aten._scaled_dot_product_flash_attention_for_cpu_backward,
}
LOW = (torch.bfloat16, torch.float16)
TF32_BITS = 13  # of float32's 23 mantissa bits that TF32 drops


class EmulatedProducts(TorchDispatchMode):
    """Compute bfloat16's and float16's products by float32's, and with `tf32` those of float32 as TF32."""

    def __init__(self, *, tf32: bool = False) -> None:
        super().__init__()
        self.tf32 = tf32

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func.overloadpacket not in PRODUCTS:
            return func(*args, **kwargs)
        low = next(
            (leaf.dtype for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor) and leaf.dtype in LOW), None
        )
        if low is None:
            args = tree_map_only(Tensor, as_tf32, args) if self.tf32 else args
            return func(*args, **kwargs)
        args, kwargs = tree_map_only(Tensor, lambda one: one.float() if one.dtype == low else one, (args, kwargs))
        found = func(*args, **kwargs)
        if func.overloadpacket is aten._scaled_dot_product_flash_attention_for_cpu:
            return (found[0].to(low), *found[1:])  # the logarithm of the softmax's sum stays float32
        return tree_map_only(Tensor, lambda one: one.to(low) if one.dtype == torch.float32 else one, found)


def as_tf32(tensor: Tensor) -> Tensor:
    """float32 rounded to TF32's 10 bits of mantissa; other types as they are."""
    if tensor.dtype != torch.float32:
        return tensor
    bits = tensor.contiguous().view(torch.int32)
    half = 1 << (TF32_BITS - 1)
    return ((bits + half) & -(1 << TF32_BITS)).view(torch.float32)


@contextmanager
def float16_on_cpu() -> Iterator[None]:
    """float16 as on CUDA: allowed, with gradients scaled by the trainer."""
    scaler = torch.amp.GradScaler("cpu")
    with (
        mock.patch("qfae_monai.networks.precision.compute_dtype", return_value=torch.float16),
        mock.patch("monai.engines.trainer.torch.amp.GradScaler", return_value=scaler),
    ):
        yield


@contextmanager
def part_in(kinds: tuple[type[nn.Module], ...], dtype: torch.dtype, device_type: str = "cpu") -> Iterator[None]:
    """Modules of these classes run in a low format, all else as configured; their results come out in float32."""

    def wrapped(forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def low(*args: Any, **kwargs: Any) -> Tensor:
            with torch.autocast(device_type, dtype=dtype):
                return forward(*args, **kwargs).float()

        return low

    before = [kind.forward for kind in kinds]
    for kind in kinds:
        kind.forward = wrapped(kind.forward)
    try:
        yield
    finally:
        for kind, forward in zip(kinds, before, strict=True):
            kind.forward = forward
