"""Checkpointing changes memory alone: equal results and gradients, and it really computes again."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from qfae_monai.networks import PatchDecoder
from qfae_monai.networks.execution import run_block


def decoder(checkpointing: Any) -> PatchDecoder:
    torch.manual_seed(0)
    return PatchDecoder(24, 4, 8, dim=16, depth=3, heads=2, checkpointing=checkpointing)


def kept_for_backward(checkpointing: Any) -> int:
    """Numbers that autograd keeps, but for the weights."""
    network = decoder(checkpointing)
    weights = {weight.data_ptr() for weight in network.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in weights:
            kept[tensor.data_ptr()] = tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network(torch.rand(2, 16, 24)).sum()
    return sum(kept.values())


def matrix_products(checkpointing: Any) -> int:
    network = decoder(checkpointing)
    with FlopCounterMode(display=False) as counter:
        network(torch.rand(2, 16, 24)).sum().backward()
    return counter.get_total_flops()


@pytest.mark.parametrize("checkpointing", ["light", "full"])
def test_results_and_gradients_are_equal(checkpointing: str) -> None:
    tokens = torch.rand(2, 16, 24)
    expected, found = decoder("none"), decoder(checkpointing)
    outputs = [network(tokens) for network in (expected, found)]
    torch.testing.assert_close(outputs[1], outputs[0], rtol=0, atol=0)
    for output in outputs:
        output.square().mean().backward()
    for (name, weight), other in zip(expected.named_parameters(), found.parameters(), strict=True):
        torch.testing.assert_close(other.grad, weight.grad, rtol=1e-6, atol=1e-8, msg=name)


def test_only_full_repeats_matrix_products() -> None:
    assert matrix_products("light") == matrix_products("none") < matrix_products("full")


def test_full_keeps_little() -> None:
    assert kept_for_backward("full") < 0.5 * kept_for_backward("none")


def test_no_gradient_no_checkpoint() -> None:
    calls = []

    class Counted(nn.Identity):
        def forward(self, input: Tensor) -> Tensor:
            calls.append(1)
            return input * 2

    with torch.no_grad():
        run_block(Counted(), torch.ones(1, requires_grad=True), "full")
    assert len(calls) == 1
    run_block(Counted(), torch.ones(1, requires_grad=True), "full").exp().sum().backward()


def test_unknown_checkpointing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"checkpointing must be one of .* got 'some'"):
        decoder("some")
