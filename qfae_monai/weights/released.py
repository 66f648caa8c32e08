"""The published QFAE checkpoints: from the names of the authors' implementation to ours."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

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
    raise ValueError(f"{name!r} is not a name of the released QFAE layout: "
                     "expected encoders.N.model.*, junction.*, decoder.decoder_* or decoder.*_token(s)")  # fmt: skip


def _check_positions(state_dict: Mapping[str, Tensor]) -> None:
    """The positions are dropped, so at least their shape has to be the one that our decoder computes."""
    parts = [state_dict.get(name) for name in (POSITIONS, "junction.queries", "decoder.decoder_embed.weight")]
    positions, queries, embed = parts
    if positions is None or queries is None or embed is None:
        return  # missing weights are reported with all others when the network is filled
    expected = (1, queries.shape[1], embed.shape[0])
    if tuple(positions.shape) != expected:
        raise ValueError(f"{POSITIONS}: expected {expected} (1, queries, width), found {tuple(positions.shape)}")
