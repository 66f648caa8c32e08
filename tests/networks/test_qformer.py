"""Q-Former: masks, the null token, causal self-attention, and queries that are mixed no more often than needed."""

from __future__ import annotations

from typing import cast

import pytest
import torch

from qfae_monai.networks import QFormer
from qfae_monai.networks.qformer import MultiQuerySelfAttention, QFormerBlock

DIM, QUERIES, TOKENS = 16, 6, 9


def tiny_qformer(num_blocks: int = 1, output_dim: int | None = None) -> QFormer:
    torch.manual_seed(0)
    return QFormer(DIM, QUERIES, output_dim=output_dim, heads=4, num_blocks=num_blocks, query_init_std=1.0).eval()


def tiny_tokens(seed: int = 1) -> torch.Tensor:
    return torch.randn(2, TOKENS, DIM, generator=torch.Generator().manual_seed(seed))


class Count:
    """Counts the calls of a module."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.calls = 0
        module.register_forward_hook(self)

    def __call__(self, *_: object) -> None:
        self.calls += 1


# [number of blocks, output width, which blocks attend to the image]
TEST_CASES = [[1, None, [True]], [2, 20, [True, False]], [3, 12, [True, False, True]]]


@pytest.mark.parametrize(("num_blocks", "output_dim", "attends"), TEST_CASES)
def test_blocks(num_blocks: int, output_dim: int | None, attends: list[bool]) -> None:
    qformer = tiny_qformer(num_blocks, output_dim)
    output = qformer(tiny_tokens())
    assert output.shape == (2, QUERIES, output_dim or DIM)
    assert [cast(QFormerBlock, block).cross_attention is not None for block in qformer.blocks] == attends
    output.sum().backward()
    assert all(parameter.grad is not None for parameter in qformer.parameters())


def test_self_attention_is_causal() -> None:
    attention = MultiQuerySelfAttention(DIM, 4)
    queries = torch.randn(1, QUERIES, DIM)
    moved = queries.clone()
    moved[:, 3] += 1
    changed = (attention(queries) - attention(moved)).abs().amax(dim=-1)[0] > 1e-6
    assert changed.tolist() == [False, False, False, True, True, True]


def test_hidden_tokens_do_not_count() -> None:
    qformer, tokens = tiny_qformer(3), tiny_tokens()
    mask = torch.ones(QUERIES, TOKENS, dtype=torch.bool)
    mask[:, 5:] = False
    moved = tokens.clone()
    moved[:, 5:] += 100.0
    torch.testing.assert_close(qformer(tokens, mask), qformer(moved, mask), rtol=0, atol=0)
    torch.testing.assert_close(qformer(tokens, mask), qformer(tokens[:, :5]))
    assert not torch.allclose(qformer(tokens), qformer(moved))
    each = torch.stack([mask, torch.ones_like(mask)])
    expected = torch.cat([qformer(tokens, mask)[:1], qformer(tokens)[1:]])
    torch.testing.assert_close(qformer(tokens, each), expected)


def test_null_token_is_always_visible() -> None:
    qformer = tiny_qformer()
    nothing = torch.zeros(QUERIES, TOKENS, dtype=torch.bool)
    output = qformer(tiny_tokens(), nothing)
    assert output.isfinite().all()
    torch.testing.assert_close(output, qformer(tiny_tokens(2), nothing))


def test_queries_are_mixed_once_at_inference() -> None:
    qformer = tiny_qformer()
    count = Count(qformer.get_submodule("blocks.0.self_attention"))
    with torch.no_grad():
        first = [qformer(tiny_tokens()) for _ in range(3)][-1]
    assert count.calls == 1
    torch.testing.assert_close(first, qformer(tiny_tokens()).detach())  # and every time where gradients flow
    qformer(tiny_tokens())
    assert count.calls == 3
    with torch.inference_mode():
        torch.testing.assert_close(qformer(tiny_tokens()), first)
    torch.testing.assert_close(qformer(tiny_tokens()).detach(), first)


@pytest.mark.parametrize("change", ["in_place", "load_state_dict", "assign", "step"])
def test_mixed_queries_follow_the_weights(change: str) -> None:
    qformer, tokens = tiny_qformer(), tiny_tokens()
    with torch.no_grad():
        before = qformer.mixed_queries()
    if change == "in_place":
        with torch.no_grad():
            qformer.queries.mul_(2)
    elif change in ("load_state_dict", "assign"):
        state = {name: value + 0.1 for name, value in qformer.state_dict().items()}
        qformer.load_state_dict(state, assign=change == "assign")
    else:
        optimizer = torch.optim.Adam(qformer.parameters(), lr=0.1)
        qformer.train()(tokens).square().sum().backward()
        optimizer.step()
        qformer.eval()
    with torch.no_grad():
        after = qformer.mixed_queries()
    expected = qformer.mixed_queries().detach()  # with gradients nothing is kept
    torch.testing.assert_close(after, expected)
    assert not torch.allclose(before, after)


def test_errors() -> None:
    with pytest.raises(ValueError, match="num_blocks must be at least 1, got 0"):
        QFormer(DIM, QUERIES, heads=4, num_blocks=0)
    with pytest.raises(ValueError, match="dim 16 is not divisible by its 3 heads"):
        QFormer(DIM, QUERIES, heads=3)
    with pytest.raises(TypeError, match="must be boolean"):
        tiny_qformer()(tiny_tokens(), torch.ones(QUERIES, TOKENS))


def test_dropped_queries_are_zeros_in_training_alone() -> None:
    torch.manual_seed(0)
    qformer = QFormer(DIM, 400, heads=4, dropout=0.0, query_init_std=1.0, query_dropout=0.25)
    whole = qformer.eval()(tiny_tokens())
    dropped = qformer.train()(tiny_tokens())
    zero = (dropped == 0).all(dim=-1)
    assert 0.2 < zero.float().mean() < 0.3
    assert not torch.equal(zero[0], zero[1])  # each image has its own
    torch.testing.assert_close(dropped[~zero], whole[~zero])
    assert not (whole == 0).all(dim=-1).any()


def test_without_query_dropout_nothing_is_drawn() -> None:
    qformer = QFormer(DIM, QUERIES, heads=4, dropout=0.0).train()
    before = torch.get_rng_state()
    qformer(tiny_tokens())
    assert torch.equal(torch.get_rng_state(), before)
    with pytest.raises(ValueError, match=r"query_dropout must be in \[0, 1\), got 1"):
        QFormer(DIM, QUERIES, heads=4, query_dropout=1)
