"""Activation checkpointing: what a block's backward pass needs is made again instead of kept (Chen et al., 2016)."""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts

Checkpointing = Literal["none", "light", "full"]
CHECKPOINTINGS = ("none", "light", "full")

_ATEN = torch.ops.aten
COSTLY_OPS = [
    _ATEN.mm.default,
    _ATEN.addmm.default,
    _ATEN._scaled_dot_product_flash_attention_for_cpu.default,
    _ATEN._scaled_dot_product_flash_attention.default,
    _ATEN._scaled_dot_product_efficient_attention.default,
    _ATEN._scaled_dot_product_cudnn_attention.default,
]
"""Matrix products and attention: `light` keeps their results and computes norms, activations and sums again."""


def check_checkpointing(checkpointing: str) -> None:
    """Raise ValueError unless `checkpointing` is one of `CHECKPOINTINGS`."""
    if checkpointing not in CHECKPOINTINGS:
        raise ValueError(f"checkpointing must be one of {CHECKPOINTINGS}, got {checkpointing!r}")


def run_block(block: nn.Module, tokens: Tensor, checkpointing: Checkpointing) -> Tensor:
    """A block without randomness, its memory as `checkpointing` says; the result and its gradients are the same.

    Args:
        block: (B, N, D) -> (B, N, D).
        tokens: (B, N, D).
        checkpointing: `none` keeps everything, `light` about two thirds for hardly any time, `full` the block's input
            alone for one more forward pass.
    """
    compiled = block._compiled_call_impl is not None  # a compiled block keeps what `light` keeps
    if checkpointing == "none" or not torch.is_grad_enabled() or (checkpointing == "light" and compiled):
        return block(tokens)
    if checkpointing == "full":
        return checkpoint(block, tokens, use_reentrant=False, preserve_rng_state=False)
    keep = partial(create_selective_checkpoint_contexts, COSTLY_OPS)
    return checkpoint(block, tokens, use_reentrant=False, preserve_rng_state=False, context_fn=keep)
