"""Whitening by normal tokens."""

from __future__ import annotations

import pytest
import torch

from qfae_monai.networks.whitening import Whitening


def test_the_squared_length_is_mahalanobis_distance() -> None:
    torch.manual_seed(0)
    tokens = torch.randn(5000, 2, 1, 6) @ torch.randn(6, 6) + 3  # one place
    whitening = Whitening(2, 1, 6)
    whitening.fit(tokens)
    for group in range(2):
        of_group = tokens[:, group, 0].double()
        deviation = of_group - of_group.mean(0)
        expected = (deviation @ torch.linalg.inv(torch.cov(of_group.T)) * deviation).sum(1)
        found = whitening(tokens)[:, group, 0].double().square().sum(1)
        ratio = (found / expected).median()
        assert 0.8 < float(ratio) <= 1.001  # the ridge takes a little


def test_directions_without_variance_are_not_blown_up() -> None:
    tokens = torch.zeros(100, 1, 1, 4)
    tokens[:, 0, 0, 0] = torch.linspace(-1, 1, 100)
    whitening = Whitening(1, 1, 4)
    whitening.fit(tokens)
    assert float(whitening(torch.full((1, 1, 1, 4), 0.01)).abs().max()) < 1


def test_nothing_changes_before_the_fit_and_one_token_is_refused() -> None:
    tokens = torch.randn(1, 2, 3, 4)
    torch.testing.assert_close(Whitening(2, 3, 4)(tokens), tokens)
    with pytest.raises(ValueError, match="tokens of at least 2 normal images to whiten by, got 1"):
        Whitening(2, 3, 4).fit(tokens)


def test_each_place_has_a_mean_of_its_own() -> None:
    tokens = torch.randn(50, 1, 2, 4)
    tokens[:, :, 1] += 10
    whitening = Whitening(1, 2, 4)
    whitening.fit(tokens)
    torch.testing.assert_close(whitening(tokens).mean(0), torch.zeros(1, 2, 4), atol=1e-4, rtol=0)


def test_channels_alone_are_scaled_where_directions_are_noise() -> None:
    tokens = torch.randn(500, 1, 2, 3) @ torch.tensor([[2.0, 2.0, 0.0], [0.0, 0.1, 0.0], [0.0, 0.0, 5.0]])
    whitening = Whitening(1, 2, 3, directions=False)
    whitening.fit(tokens)
    assert torch.equal(whitening.matrix, torch.diag_embed(whitening.matrix.diagonal(dim1=1, dim2=2)))
    torch.testing.assert_close(whitening(tokens).std((0, 1, 2)), torch.ones(3), atol=0.02, rtol=0)
