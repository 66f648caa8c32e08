"""Published QFAE checkpoints with our names in place of the authors', and the fit of a state dict to a network."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from torch import Tensor, nn

# Fit of a state dict to a network, decided by names and shapes before anything of the network is changed.

TRUNK = ".trunk."  # part of the name of every weight of a frozen encoder trunk
SHOWN = 5  # differences named in an error
ABSENT_TRUNK_HINT = "; a file without its frozen trunk is loaded with trunk='optional' into a network that has one"

Trunk = Literal["required", "optional"]


def load_matching(
    network: nn.Module, state: Mapping[str, Tensor], *, source: object, trunk: Trunk = "required"
) -> None:
    """Load a state dict whose names and shapes are exactly the network's; on failure the network is as before.

    Args:
        network: what is filled.
        state: weights by name.
        source: what an error calls the state dict, usually its file.
        trunk: with `optional`, a frozen trunk may be absent as a whole, if the network's own has values.

    Raises:
        ValueError: if names or shapes differ, or a weight would be NaN after loading.
    """
    if trunk not in ("required", "optional"):
        raise ValueError(f"trunk must be 'required' or 'optional', got {trunk!r}")
    expected = network.state_dict()
    kept = _absent_trunks(expected, state) if trunk == "optional" else {}
    differences = shape_differences(expected, {**kept, **state})
    if differences:
        hint = "" if trunk == "optional" or not _absent_trunks(expected, state) else ABSENT_TRUNK_HINT
        raise ValueError(f"{source} does not fit {type(network).__name__}: {summarise(differences)}{hint}")
    _refuse_nan(kept, f"{source} holds no trunk, and neither does the network (made with weights='checkpoint'?)")
    _refuse_nan(state, f"{source} is not usable")
    network.load_state_dict({**{name: weight.clone() for name, weight in kept.items()}, **state})


def shape_differences(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    """One sentence for each weight whose shape differs or that only one side has.

    >>> import torch
    >>> shape_differences({"a": torch.zeros(2)}, {"a": torch.zeros(3)})
    ['a: expected (2), found (3)']
    """
    names = [*expected, *(name for name in found if name not in expected)]
    sides = ((name, _shape(expected.get(name)), _shape(found.get(name))) for name in names)
    return [f"{name}: expected {wanted}, found {came}" for name, wanted, came in sides if wanted != came]


def summarise(differences: list[str]) -> str:
    """The first few differences, and how many more there are."""
    more = f"; and {len(differences) - SHOWN} more" if len(differences) > SHOWN else ""
    return "; ".join(differences[:SHOWN]) + more


def _absent_trunks(expected: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The network's own weights of trunks of which the state dict holds nothing; a part of one is never enough."""
    stored = {name.split(TRUNK)[0] for name in state if TRUNK in name}
    return {name: weight for name, weight in expected.items() if TRUNK in name and name.split(TRUNK)[0] not in stored}


def _refuse_nan(state: Mapping[str, Tensor], what: str) -> None:
    names = [name for name, weight in state.items() if weight.is_floating_point() and bool(weight.isnan().any())]
    if names:
        raise ValueError(f"{what}: {len(names)} of {len(state)} weights hold NaN, {names[0]} is the first")


def _shape(weight: Tensor | None) -> str:
    return "none" if weight is None else f"({', '.join(map(str, weight.shape))})"


POSITIONS = "decoder.decoder_pos_embed"  # fixed sin-cos positions: computed by our decoder, so not stored

_BLOCK = r"junction\.blocks\.(\d+)\."
_TO_BLOCK = r"qformer.blocks.\1."
RENAMES = tuple(
    (re.compile(released), ours)
    for released, ours in (
        (r"encoders\.(\d+)\.model\.(.+)", r"encoders.\1.trunk.\2"),
        (r"encoders\.(\d+)\.additional_block\.(.+)", r"encoders.\1.additional_block.\2"),
        (r"encoders\.(\d+)\.final_projection\.(weight|bias)", r"encoders.\1.projection.\2"),
        (r"junction\.queries", r"qformer.queries"),
        (_BLOCK + r"attn\.Wqkv\.(weight|bias)", _TO_BLOCK + r"self_attention.qkv.\2"),
        (_BLOCK + r"attn\.out_proj\.(weight|bias)", _TO_BLOCK + r"self_attention.projection.\2"),
        (_BLOCK + r"cross_attn\.norm\.(weight|bias)", _TO_BLOCK + r"cross_attention.norm.\2"),
        (_BLOCK + r"cross_attn\.to_q\.weight", _TO_BLOCK + r"cross_attention.query.weight"),
        (_BLOCK + r"cross_attn\.to_kv\.weight", _TO_BLOCK + r"cross_attention.key_value.weight"),
        (_BLOCK + r"cross_attn\.null_kv", _TO_BLOCK + r"cross_attention.null_key_value"),
        (_BLOCK + r"cross_attn\.to_out\.0\.weight", _TO_BLOCK + r"cross_attention.projection.weight"),
        (_BLOCK + r"cross_attn\.to_out\.1\.(weight|bias)", _TO_BLOCK + r"cross_attention.output_norm.\2"),
        (_BLOCK + r"projection\.0\.(weight|bias)", _TO_BLOCK + r"mlp.norm.\2"),
        (_BLOCK + r"projection\.1\.(weight|bias)", _TO_BLOCK + r"mlp.fc1.\2"),
        (_BLOCK + r"projection\.3\.(weight|bias)", _TO_BLOCK + r"mlp.fc2.\2"),
        (r"decoder\.cls_token", r"decoder.cls_token"),
        (r"decoder\.reg_tokens", r"decoder.register_tokens"),
        (r"decoder\.decoder_embed\.(weight|bias)", r"decoder.embed.\1"),
        (r"decoder\.decoder_blocks\.(.+)", r"decoder.blocks.\1"),
        (r"decoder\.decoder_norm\.(weight|bias)", r"decoder.norm.\1"),
        (r"decoder\.decoder_prediction\.(weight|bias)", r"decoder.prediction.\1"),
    )
)


def convert_released(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of a released checkpoint to the names of `QFAE`; the tensors are the same objects.

    Args:
        state_dict: in the released layout: `encoders.N.model.*`, `junction.*`, `decoder.decoder_*`.

    Raises:
        ValueError: if a name is not of that layout, or the decoder's positions are not one a query.
    """
    _check_positions(state_dict)
    return {_rename(name): weight for name, weight in state_dict.items() if name != POSITIONS}


def _rename(name: str) -> str:
    for released, ours in RENAMES:
        match = released.fullmatch(name)
        if match:
            return match.expand(ours)
    raise ValueError(
        f"{name!r} is not a name of the released QFAE layout: "
        "expected encoders.N.model.*, junction.*, decoder.decoder_* or decoder.*_token(s)"
    )


def _check_positions(state_dict: Mapping[str, Tensor]) -> None:
    """The positions are dropped, so at least their shape has to be the one that our decoder computes."""
    parts = [state_dict.get(name) for name in (POSITIONS, "junction.queries", "decoder.decoder_embed.weight")]
    positions, queries, embed = parts
    if positions is None or queries is None or embed is None:
        return  # missing weights are reported with all others when the network is filled
    expected = (1, queries.shape[1], embed.shape[0])
    if tuple(positions.shape) != expected:
        raise ValueError(f"{POSITIONS}: expected {expected} (1, queries, width), found {tuple(positions.shape)}")
