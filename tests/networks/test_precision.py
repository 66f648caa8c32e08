"""Precision: what each device has, where autocast is asked for, and float32 results that stay close."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from qfae_monai.anomaly import PerceptualLoss
from qfae_monai.networks import QFAE, FrozenViT, PatchDecoder, PlainAutoencoder, QFormer, precision

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def trunk() -> VisionTransformer:
    torch.manual_seed(0)
    return VisionTransformer(img_size=32, patch_size=8, embed_dim=24, depth=2, num_heads=3, num_classes=0)


def decoder() -> PatchDecoder:
    return PatchDecoder(24, 4, 8, dim=16, depth=1, heads=2)


def qfae(**arguments: Any) -> nn.Module:
    return QFAE(FrozenViT(trunk(), blocks=(-1,)), QFormer(24, 16, heads=2, query_init_std=1.0), decoder(), **arguments)


def plain(**arguments: Any) -> nn.Module:
    return PlainAutoencoder(trunk(), decoder(), **arguments)


# [precision, native bfloat16 on this CPU, device, does the network autocast]
TEST_CASES: list[list[Any]] = [
    ["float32", True, CPU, False],
    ["bfloat16", False, CPU, True],
    ["auto", True, CPU, False],
    ["auto", False, CPU, False],
]


@pytest.mark.parametrize(("setting", "native", "device", "expected"), TEST_CASES)
def test_autocast(
    monkeypatch: pytest.MonkeyPatch, setting: Any, native: bool, device: torch.device, expected: bool
) -> None:
    monkeypatch.setattr(precision, "cpu_has_bfloat16", lambda: native)
    with precision.autocast(device, setting):
        assert torch.is_autocast_enabled("cpu") is expected


def capability(monkeypatch: pytest.MonkeyPatch, version: tuple[int, int]) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: version)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Card")


# [device, CUDA capability, precision, dtype or what the error says]
DTYPES: list[list[Any]] = [
    [CUDA, (9, 0), "auto", torch.float32],
    [CUDA, (9, 0), "bfloat16", torch.bfloat16],
    [CUDA, (7, 5), "auto", torch.float32],
    [CUDA, (7, 5), "float16", torch.float16],
    [CUDA, (8, 0), "tf32", torch.float32],
    [CUDA, (7, 5), "tf32", "'tf32' needs a CUDA device of capability 8.0 or newer; got Card, which has .*float16"],
    [CUDA, (7, 5), "bfloat16", "'bfloat16' needs a CUDA device of capability 8.0"],
    [CPU, None, "float32", torch.float32],
    [CPU, None, "bfloat16", torch.bfloat16],
    [CPU, None, "tf32", "'tf32' needs a CUDA device.*got cpu, which has auto, float32, bfloat16"],
    [CPU, None, "float16", "'float16' needs a CUDA device, whose gradients the trainer scales; got cpu"],
]


@pytest.mark.parametrize(("device", "version", "setting", "expected"), DTYPES)
def test_what_a_device_has(
    monkeypatch: pytest.MonkeyPatch, device: torch.device, version: Any, setting: Any, expected: Any
) -> None:
    capability(monkeypatch, version)
    if isinstance(expected, torch.dtype):
        assert precision.compute_dtype(device, setting) == expected
        return
    with pytest.raises(ValueError, match=expected):
        precision.prepare_precision(device, setting)


# [precision, native bfloat16 on this CPU, what the log says]
NOTICES: list[list[Any]] = [
    ["float32", True, None],
    ["auto", True, None],
    ["bfloat16", True, "precision bfloat16: no table made on such a device"],
    ["bfloat16", False, "precision bfloat16: this CPU emulates it, slowly; no table"],
]


@pytest.mark.parametrize(("setting", "native", "expected"), NOTICES)
def test_a_format_that_was_not_measured_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, setting: Any, native: bool, expected: str | None
) -> None:
    monkeypatch.setattr(precision, "cpu_has_bfloat16", lambda: native)
    precision.prepare_precision(CPU, setting)
    assert (expected or "") in caplog.text
    assert bool(caplog.records) is (expected is not None)


@pytest.mark.parametrize(("vectors", "native"), [("AVX512", True), ("AVX2", False), ("DEFAULT", False)])
def test_a_cpu_that_is_told_to_use_less_counts_as_one_without(
    monkeypatch: pytest.MonkeyPatch, vectors: str, native: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: vectors)
    assert precision.cpu_has_bfloat16() is native


def test_a_network_refuses_what_the_device_lacks() -> None:
    with pytest.raises(ValueError, match="'float16' needs a CUDA device"):
        qfae(precision="float16")(torch.rand(1, 1, 32, 32))


@pytest.mark.parametrize("make", [qfae, plain])
def test_bfloat16_stays_close(make: Callable[..., nn.Module]) -> None:
    exact, fast = make().eval(), make(precision="bfloat16").eval()
    fast.load_state_dict(exact.state_dict())
    image = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        found, expected = fast(image), exact(image)
    assert found.dtype == torch.float32
    assert 0 < float((found - expected).norm() / expected.norm()) < 0.03


def test_the_qformer_runs_in_float32_and_all_else_in_bfloat16() -> None:
    network, formats = qfae(precision="bfloat16"), {}
    for name, part in network.named_modules():
        if isinstance(part, nn.Linear):
            part.register_forward_hook(lambda _, __, found, name=name: formats.update({name: found.dtype}))
    network(torch.rand(2, 1, 32, 32))
    exact = {name for name, dtype in formats.items() if dtype == torch.float32}
    assert exact == {name for name in formats if name.startswith("qformer.")}
    assert len(formats) - len(exact) > 8


def test_bfloat16_perceptual_maps_stay_close() -> None:
    arguments: dict[str, Any] = {"blocks": (0, 1), "patch_sizes": (8, 16), "reduction": "none"}
    exact, fast = PerceptualLoss(trunk(), **arguments), PerceptualLoss(trunk(), **arguments, precision="bfloat16")
    image, other = torch.rand(2, 1, 1, 32, 32)
    found, expected = fast(other, image), exact(other, image)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0.1, atol=0.01)
    assert fast(image, image).abs().max() < 1e-6


def test_frozen_matrices_are_kept_as_autocast_would_round_them() -> None:
    arguments: dict[str, Any] = {"blocks": (0, 1), "patch_sizes": (8, 16), "reduction": "none"}
    exact, fast = PerceptualLoss(trunk(), **arguments), PerceptualLoss(trunk(), **arguments, precision="bfloat16")
    before = {name: weight.clone() for name, weight in fast.named_parameters()}
    image, other = torch.rand(2, 1, 1, 32, 32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expected = exact(other, image)
    torch.testing.assert_close(fast(other, image), expected, rtol=0, atol=0)
    for name, weight in fast.named_parameters():  # the weights themselves are never rounded
        torch.testing.assert_close(weight, before[name], rtol=0, atol=0)
    with torch.no_grad():
        fast.trunks[0].get_parameter("blocks.0.attn.qkv.weight").mul_(2)
    assert not torch.equal(fast(other, image), expected)


def test_kept_queries_do_not_leak_between_precisions() -> None:
    network = qfae().eval()
    image = torch.rand(1, 1, 32, 32)
    with torch.no_grad():
        expected = network(image)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            network(image)
        torch.testing.assert_close(network(image), expected, rtol=0, atol=0)
