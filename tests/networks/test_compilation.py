"""Compilation marks the blocks and nothing else: names of weights and results stay."""

from __future__ import annotations

import torch
from timm.models.vision_transformer import Block, VisionTransformer

from qfae_monai.anomaly import PerceptualLoss
from qfae_monai.networks import QFAE, FrozenViT, PatchDecoder, QFormer
from qfae_monai.networks.qformer import QFormerBlock


def network(compile: bool) -> QFAE:
    torch.manual_seed(0)
    trunk = VisionTransformer(img_size=32, patch_size=8, embed_dim=24, depth=2, num_heads=3, num_classes=0)
    decoder = PatchDecoder(24, 4, 8, dim=16, depth=1, heads=2, checkpointing="light")
    return QFAE(FrozenViT(trunk, blocks=(-1,)), QFormer(24, 16, heads=2), decoder, compile=compile)


def test_blocks_are_compiled_when_asked() -> None:
    for compile in (False, True):
        blocks = [part for part in network(compile).modules() if isinstance(part, (Block, QFormerBlock))]
        assert len(blocks) == 4
        assert all((block._compiled_call_impl is not None) is compile for block in blocks)


def test_names_and_results_stay() -> None:
    plain, compiled = network(False).eval(), network(True).eval()
    assert plain.state_dict().keys() == compiled.state_dict().keys()
    image = torch.rand(2, 1, 32, 32)
    with torch.compiler.set_stance("force_eager"), torch.no_grad():  # what is run, without the compiler's seconds
        torch.testing.assert_close(compiled(image), plain(image), rtol=0, atol=0)


def test_perceptual_trunk() -> None:
    trunk = VisionTransformer(img_size=32, patch_size=8, embed_dim=24, depth=2, num_heads=3, num_classes=0)
    loss = PerceptualLoss(trunk, blocks=(0,), patch_sizes=(8, 16), compile=True)
    blocks = [part for part in loss.trunks[1].modules() if isinstance(part, Block)]
    assert len(blocks) == 2
    assert all(block._compiled_call_impl is not None for block in blocks)
