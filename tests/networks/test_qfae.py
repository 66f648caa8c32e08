"""The whole network: one or two encoders, masks, gradients, parts that do not fit, tracing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer

from qfae_monai.networks import QFAE, FrozenViT, PatchDecoder, QFormer


def encoder(
    image_size: int = 32, patch_size: int = 8, output_dim: int = 16, blocks: tuple[int, ...] = (-1,)
) -> FrozenViT:
    trunk = VisionTransformer(
        img_size=image_size, patch_size=patch_size, embed_dim=24, depth=2, num_heads=3, num_classes=0
    )
    return FrozenViT(trunk, blocks=blocks, output_dim=output_dim)


def qformer(num_queries: int = 16, dim: int = 16, output_dim: int = 12) -> QFormer:
    return QFormer(dim, num_queries, output_dim=output_dim, heads=2, query_init_std=1.0)


def decoder(input_dim: int = 12, grid: int = 4) -> PatchDecoder:
    return PatchDecoder(input_dim, grid, 8, dim=16, depth=1, heads=2)


def tiny_qfae(encoders: int = 1, **arguments: Any) -> QFAE:
    torch.manual_seed(0)
    parts = [encoder(), encoder(patch_size=16, blocks=(-1, -2))][:encoders]
    return QFAE(parts, qformer(), decoder(), **arguments).eval()


@pytest.mark.parametrize(("encoders", "num_tokens"), [(1, 17), (2, 17 + 10)])
@pytest.mark.parametrize("channels", [1, 3])
def test_reconstruction(encoders: int, num_tokens: int, channels: int) -> None:
    network, image = tiny_qfae(encoders), torch.rand(2, channels, 32, 32)
    with torch.no_grad():
        assert network(image).shape == (2, 3, 32, 32)
        assert network.encode(image).shape == (2, num_tokens, 16)
    assert network.num_tokens == num_tokens
    assert network.image_size == (32, 32)


def test_mask_hides_one_of_two_encoders() -> None:
    network, image = tiny_qfae(2), torch.rand(1, 1, 32, 32)
    mask = torch.zeros(16, network.num_tokens, dtype=torch.bool)
    mask[:, :17] = True
    first_alone = QFAE([network.encoders[0]], network.qformer, network.decoder).eval()  # type: ignore[list-item]
    with torch.no_grad():
        torch.testing.assert_close(network.reconstruct(image, mask), first_alone(image))
        assert not torch.allclose(network(image), first_alone(image))


def test_everything_but_the_trunks_trains() -> None:
    network = tiny_qfae(2).train()
    network(torch.rand(1, 1, 32, 32)).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert (parameter.grad is None) == (".trunk." in name), name
    assert not any(module.training for name, module in network.named_modules() if ".trunk" in name)


# [parts that differ from the fitting ones, message]
MISMATCHES: list[list[Any]] = [
    [{"encoders": [encoder(), encoder(output_dim=20)]}, "encoder 1 gives tokens of width 20, the Q-Former expects 16"],
    [{"encoders": encoder(image_size=64)}, r"encoder 0 takes images of \(64, 64\) pixels.*\(32, 32\)"],
    [{"qformer": qformer(num_queries=9)}, "9 queries do not fill the decoder's grid of 4 x 4"],
    [{"decoder": decoder(input_dim=10)}, "gives tokens of width 12, the decoder expects 10"],
    [{"precision": "int8"}, "precision must be one of .* got 'int8'"],
]


@pytest.mark.parametrize(("different", "message"), MISMATCHES)
def test_parts_that_do_not_fit(different: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        QFAE(**{"encoders": encoder(), "qformer": qformer(), "decoder": decoder(), **different})


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_traces() -> None:
    network, image = tiny_qfae(), torch.rand(1, 1, 32, 32)
    with torch.no_grad():
        network(image)  # queries are kept from here; the trace has to hold the weights all the same
        traced = torch.jit.trace(network, image)
        other = torch.rand(3, 1, 32, 32)
        torch.testing.assert_close(traced(other), network(other))
        before = network(other)
        network.qformer.queries.mul_(-3)  # shared with the trace, which has to compute with them
        torch.testing.assert_close(traced(other), network(other))
        assert not torch.allclose(traced(other), before)


def test_dropped_tokens_are_hidden_in_training_alone() -> None:
    image = torch.rand(2, 1, 32, 32)
    network = tiny_qfae(token_dropout=0.5)
    assert network.state_dict().keys() == tiny_qfae().state_dict().keys()
    network.qformer.blocks.apply(lambda part: setattr(part, "p", 0.0) if hasattr(part, "p") else None)
    torch.manual_seed(3)
    mask = torch.rand(2, 1, network.num_tokens) >= 0.5
    with torch.no_grad():
        expected, whole = network.reconstruct(image, mask.expand(-1, 16, -1)), network(image)
        torch.manual_seed(3)
        hidden = network.train()(image)
    torch.testing.assert_close(hidden, expected)
    assert not torch.allclose(hidden, whole)
    torch.testing.assert_close(whole, tiny_qfae()(image))  # in eval mode nothing is hidden


def test_token_dropout_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"token_dropout must be in \[0, 1\), got 1.5"):
        tiny_qfae(token_dropout=1.5)
