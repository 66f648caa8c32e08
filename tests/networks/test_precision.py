"""Precision: what each device has, where autocast is asked for, and float32 results that stay close."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

import pytest
import torch
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

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


def perceptual(**arguments: Any) -> PerceptualLoss:
    return PerceptualLoss(trunk(), blocks=(0, 1), patch_sizes=(8, 16), reduction="none", **arguments)


@pytest.mark.parametrize("make", [qfae, perceptual])
def test_frozen_matrices_are_kept_as_autocast_would_round_them(
    monkeypatch: pytest.MonkeyPatch, make: Callable[..., nn.Module]
) -> None:
    fast = make(precision="bfloat16").eval()
    frozen = {name: weight for name, weight in fast.named_parameters() if not weight.requires_grad}
    before = {name: weight.clone() for name, weight in frozen.items()}
    images = torch.rand(2, 1, 1, 32, 32)[: 1 if make is qfae else 2]
    found = fast(*images)
    with monkeypatch.context() as plain:
        plain.setattr(precision.RoundedOnce, "__call__", lambda self, networks: networks)  # rounded in each pass
        torch.testing.assert_close(found, fast(*images), rtol=0, atol=0)
    for name, weight in frozen.items():  # the weights themselves are never rounded
        torch.testing.assert_close(weight, before[name], rtol=0, atol=0)
    with torch.no_grad():
        next(weight for name, weight in frozen.items() if name.endswith("blocks.0.attn.qkv.weight")).mul_(2)
    assert not torch.equal(fast(*images), found)


class CastsOfWeights(TorchDispatchMode):
    """Count frozen weights that are cast, and products in float32."""

    def __init__(self, frozen: Iterable[Tensor]) -> None:
        super().__init__()
        self.frozen = {weight.data_ptr() for weight in frozen}
        self.casts, self.wide = 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._to_copy.default and args[0].data_ptr() in self.frozen:
            self.casts += 1
        if func in (torch.ops.aten.mm.default, torch.ops.aten.addmm.default):
            self.wide += args[0].dtype == torch.float32
        return func(*args, **(kwargs or {}))


def test_a_step_in_bfloat16_casts_no_frozen_weight_and_widens_the_qformer_alone() -> None:
    network, loss = qfae(precision="bfloat16"), perceptual(precision="bfloat16")
    image = torch.rand(2, 1, 32, 32)
    loss(network(image), image)  # in which the weights are rounded
    frozen = [weight for part in (network, loss) for weight in part.parameters() if not weight.requires_grad]
    with CastsOfWeights(frozen) as counted:
        loss(network(image), image)
    products = sum(isinstance(part, nn.Linear) for part in network.get_submodule("qformer").modules())
    assert (counted.casts, counted.wide) == (0, products)


def test_a_rounded_copy_is_compiled_as_its_source_is() -> None:
    network, loss = qfae(precision="bfloat16", compile=True), perceptual(precision="bfloat16", compile=True)
    encoder = cast(FrozenViT, network.get_submodule("encoders.0"))
    with precision.autocast(CPU, "bfloat16"):
        copies = [*encoder._rounded([encoder.trunk]), *loss._views]
    blocks = [part for copy in copies for part in copy.modules() if isinstance(part, Block)]
    assert [block._compiled_call_impl is not None for block in blocks] == [True] * 6


def test_kept_queries_do_not_leak_between_precisions() -> None:
    network = qfae().eval()
    image = torch.rand(1, 1, 32, 32)
    with torch.no_grad():
        expected = network(image)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            network(image)
        torch.testing.assert_close(network(image), expected, rtol=0, atol=0)
