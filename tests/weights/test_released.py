"""Published checkpoints: every name of the released layout finds its place in `QFAE`.

`data/released_*.txt` list the names and shapes of the authors' state dicts; `blocks.{0-23}` stands for 24 names.
"""

from __future__ import annotations

import re
from math import prod
from pathlib import Path

import pytest
import torch
from torch import Tensor

from qfae_monai.networks import QFAE, FrozenViT, PatchDecoder, QFormer
from qfae_monai.weights import convert_released, create_vit
from qfae_monai.weights.released import load_matching, shape_differences

DATA = Path(__file__).parent / "data"
RANGE = re.compile(r"\{0-(\d+)\}")


def released_shapes(listing: str, depth: int = 99) -> dict[str, tuple[int, ...]]:
    """Shapes by released name; `depth` keeps the first blocks of every transformer only."""
    shapes = {}
    for line in (DATA / listing).read_text().splitlines():
        name, shape = line.split()
        last = RANGE.search(name)
        for block in range(min(int(last[1]) + 1, depth) if last else 1):
            shapes[RANGE.sub(str(block), name)] = tuple(map(int, shape.split("x")))
    return shapes


def released_state(listing: str, depth: int = 99) -> dict[str, Tensor]:
    """A state dict that takes no memory: one number, expanded to every shape."""
    return {name: torch.zeros(()).expand(shape) for name, shape in released_shapes(listing, depth).items()}


def tiny_qfae(num_registers: int = 2, **encoder: object) -> QFAE:
    trunk = create_vit("vit_tiny_patch16_224", seed=0, image_size=32, embed_dim=24, depth=2, num_heads=3)
    frozen = FrozenViT(trunk, blocks=(-1,), **encoder)  # type: ignore[arg-type]
    decoder = PatchDecoder(24, 2, 16, dim=48, depth=1, heads=4, num_registers=num_registers)
    return QFAE(frozen, QFormer(num_queries=4, dim=24, heads=2), decoder)


INVERSE = [
    [r"\.trunk\.", ".model."],
    [r"(encoders\.\d+)\.projection\.", r"\1.final_projection."],
    [r"self_attention\.qkv", "attn.Wqkv"],
    [r"self_attention\.projection", "attn.out_proj"],
    [r"cross_attention\.query\.", "cross_attn.to_q."],
    [r"cross_attention\.key_value\.", "cross_attn.to_kv."],
    [r"cross_attention\.null_key_value", "cross_attn.null_kv"],
    [r"cross_attention\.projection\.", "cross_attn.to_out.0."],
    [r"cross_attention\.output_norm\.", "cross_attn.to_out.1."],
    [r"cross_attention\.norm\.", "cross_attn.norm."],
    [r"(qformer\.blocks\.\d+)\.mlp\.norm\.", r"\1.projection.0."],
    [r"(qformer\.blocks\.\d+)\.mlp\.fc1\.", r"\1.projection.1."],
    [r"(qformer\.blocks\.\d+)\.mlp\.fc2\.", r"\1.projection.3."],
    [r"decoder\.register_tokens", "decoder.reg_tokens"],
    [r"decoder\.(embed|blocks|norm|prediction)\.", r"decoder.decoder_\1."],
    [r"^qformer\.", "junction."],
]


def as_released(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our names to the released ones, written out here once more so that the table of the package is checked."""
    released = {}
    for name, weight in state.items():
        for ours, theirs in INVERSE:
            name = re.sub(ours, theirs, name)  # noqa: PLW2901
        released[name] = weight
    return {**released, "decoder.decoder_pos_embed": torch.zeros(1, 4, 48)}


TEST_CASES = [["released_main.txt", 445, 356_000_000], ["released_two_encoders.txt", 597, 442_000_000]]


@pytest.mark.parametrize(("listing", "tensors", "parameters"), TEST_CASES)
def test_every_released_name_is_converted(listing: str, tensors: int, parameters: int) -> None:
    shapes = released_shapes(listing)
    assert len(shapes) == tensors
    assert sum(map(prod, shapes.values())) == pytest.approx(parameters, rel=5e-3)
    converted = convert_released(released_state(listing))
    assert len(converted) == tensors - 1  # the fixed positions
    assert not any(word in name for name in converted for word in ("model", "junction", "decoder_", "attn.W"))


def test_released_main_configuration_fits_the_network() -> None:
    # The published sizes, with one block a transformer to keep the test small.
    trunk = create_vit("vit_large_patch14_reg4_dinov2", seed=0, depth=1)
    network = QFAE(
        FrozenViT(trunk, blocks=(-1,), output_dim=768),
        QFormer(num_queries=784, dim=768, heads=8),
        PatchDecoder(768, 28, 8, depth=1),
    )
    converted = convert_released(released_state("released_main.txt", depth=1))
    assert shape_differences(network.state_dict(), converted) == []


@pytest.mark.parametrize("encoder", [{}, {"output_dim": 24}, {"additional_block": {"num_heads": 3, "mlp_ratio": 2.0}}])
@pytest.mark.parametrize("num_registers", [0, 2])
def test_network_is_filled(encoder: dict, num_registers: int) -> None:
    source, target = tiny_qfae(num_registers, **encoder), tiny_qfae(num_registers, **encoder)
    image = torch.rand(1, 3, 32, 32)
    expected = source.eval()(image)
    assert not torch.equal(target.eval()(image), expected)
    load_matching(target, convert_released(as_released(source.state_dict())), source="the checkpoint")
    assert torch.equal(target(image), expected)


def test_unknown_name() -> None:
    state = {**released_state("released_main.txt", depth=1), "junction.blocks.0.attn.Wk.weight": torch.zeros(1)}
    with pytest.raises(ValueError, match=r"'junction\.blocks\.0\.attn\.Wk\.weight' is not a name of the released"):
        convert_released(state)


def test_positions_of_another_grid() -> None:
    state = {**released_state("released_main.txt"), "decoder.decoder_pos_embed": torch.zeros(1, 196, 768)}
    with pytest.raises(ValueError, match=r"decoder_pos_embed: expected \(1, 784, 768\) .* found \(1, 196, 768\)"):
        convert_released(state)


def test_other_sizes_change_nothing() -> None:
    network = tiny_qfae()
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    state = {**as_released(before), "junction.blocks.0.attn.out_proj.bias": torch.zeros(25)}
    message = (
        r"released checkpoint does not fit QFAE: .*self_attention\.projection\.bias: expected \(24\), found \(25\)"
    )
    with pytest.raises(ValueError, match=message):
        load_matching(network, convert_released(state), source="the released checkpoint")
    assert all(torch.equal(weight, before[name]) for name, weight in network.state_dict().items())


def test_checkpoint_without_its_trunk() -> None:
    source, target = tiny_qfae(), tiny_qfae()
    stripped = {name: weight for name, weight in as_released(source.state_dict()).items() if ".model." not in name}
    with pytest.raises(ValueError, match=r"encoders\.0\.trunk\.\S+: expected .* found none"):
        load_matching(target, convert_released(stripped), source="the checkpoint")
    load_matching(target, convert_released(stripped), source="the checkpoint", trunk="optional")
    assert torch.equal(target.qformer.queries, source.qformer.queries)
