"""Running of transformer blocks (compiled, or computed again in the backward pass), and networks filled as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts

from qfae_monai.networks.qformer import QFormerBlock

# `torch.compile` block by block: one block is compiled once and serves all that are like it, seconds, not minutes.


def compile_blocks(module: nn.Module) -> None:
    """Compile the transformer blocks of a module in place; names of weights stay as they are."""
    for part in module.modules():
        if isinstance(part, (Block, QFormerBlock)):
            part.compile()


# Activation checkpointing: what a block's backward pass needs is made again instead of kept (Chen et al., 2016).

Checkpointing = Literal["none", "light", "full"]
CHECKPOINTINGS = ("none", "light", "full")

_ATEN = torch.ops.aten
COSTLY_OPS = [
    _ATEN.mm.default,
    _ATEN.addmm.default,
    # one of these four runs, by device, number format and shape
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
    if checkpointing == "full":  # a block draws nothing, so no random state has to be put back
        return checkpoint(block, tokens, use_reentrant=False, preserve_rng_state=False)
    keep = partial(create_selective_checkpoint_contexts, COSTLY_OPS)
    return checkpoint(block, tokens, use_reentrant=False, preserve_rng_state=False, context_fn=keep)


# Networks filled as a whole: MONAI's `copy_model_state` leaves out what does not fit, and says nothing.


class WholeState(nn.Module):
    """A module that refuses a state dict of which a part is its own weights."""

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """As PyTorch's; refuses a state dict that is in part of this network itself.

        MONAI's `copy_model_state`, and with it `monai.bundle.load`, fills in the network's own weights wherever those
        of the file have another name or shape.

        Raises:
            ValueError: if some weights, but not all, are this network's own.
        """
        # addresses: a weight that the file lacks is the network's own tensor, at its own place
        own = {name: weight.data_ptr() for name, weight in self.state_dict().items() if weight.numel()}
        left = [name for name, place in own.items() if name in state_dict and state_dict[name].data_ptr() == place]
        if 0 < len(left) < len(own):  # all of them is the network's own state dict put back
            raise ValueError(
                f"expected weights for all {len(own)} tensors of the network, got {len(own) - len(left)}: none of its "
                f"name and shape for {left[0]!r}"
            )
        return super().load_state_dict(state_dict, strict, assign)
