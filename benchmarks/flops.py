"""Floating-point operations of a training and an evaluation step, an image: `python -m benchmarks.flops`.

Counted by torch as the bundle's networks run one image, part by part; nothing is timed. A multiplication and an
addition are two. The plain formulation's count stands beside it: every block, self-attention for each image.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from benchmarks.networks import PRESETS, build
from benchmarks.plain import PlainPerceptualLoss, PlainQFAE
from qfae_monai.anomaly import PerceptualLoss
from qfae_monai.model.bundle import Bundle
from qfae_monai.networks import QFAE
from qfae_monai.training.views import packed, unpacked

ATEN = torch.ops.aten
CPU_ATTENTION: dict[Any, Callable[..., int]] = {
    ATEN._scaled_dot_product_flash_attention_for_cpu: lambda query, key, value, *_, **__: sdpa_flop_count(
        query, key, value
    ),
    ATEN._scaled_dot_product_flash_attention_for_cpu_backward: lambda gradient, query, key, value, *_, **__: (
        sdpa_backward_flop_count(gradient, query, key, value)
    ),
}
"""What torch's counter does not know of attention on a CPU."""


def count(step: Callable[[], Any]) -> tuple[float, Any]:
    """GFLOP of a step, and what it returns."""
    with FlopCounterMode(display=False, custom_mapping=CPU_ATTENTION) as counter:
        result = step()
    return counter.get_total_flops() / 1e9, result


def parts(bundle: Bundle) -> list[tuple[str, str, float]]:
    """(step, part, GFLOP an image)."""
    network, loss, scorer = (bundle.part(key) for key in ("network", "loss", "scorer"))
    image = torch.randn(1, 1, *network.image_size)
    network.train()
    encoded, tokens = count(lambda: network.encode(image))
    gathered, queries = count(lambda: network.qformer(tokens))
    decoded, reconstruction = count(lambda: network.decoder(queries))
    with torch.no_grad():
        one_side, _ = count(lambda: loss.features(image, loss.patch_sizes[0]))
        scored, _ = count(lambda: scorer(image, reconstruction))
    compared, distance = count(lambda: loss(reconstruction, image))
    backward, _ = count(distance.backward)
    kept, size = from_kept_views(network, loss, image)
    trained = [
        ("encoder, forward", encoded),
        ("Q-Former, forward", gathered),
        ("decoder, forward", decoded),
        ("perceptual features of the image, forward", one_side),
        ("perceptual features of the reconstruction, forward", compared - one_side),
        ("backward, decoder, Q-Former and perceptual features", backward),
    ]
    tested = [
        ("encoder", encoded),
        ("Q-Former", gathered),
        ("decoder", decoded),
        ("perceptual maps, both sides", scored),
    ]
    whole = sum(value for _, value in trained)
    return [
        *(("training", *row) for row in trained),
        ("training", "in all", whole),
        ("training", f"in all, from kept views of {size:.3g} MB ({100 * (1 - kept / whole):.0f} % less)", kept),
        *(("evaluation", *row) for row in tested),
        ("evaluation", "in all", sum(value for _, value in tested)),
    ]


def from_kept_views(network: QFAE, loss: PerceptualLoss, image: torch.Tensor) -> tuple[float, float]:
    """GFLOP of a training step whose frozen features are there, and their MB."""
    with torch.no_grad():
        kept = packed(network.states(image), loss.target(image), torch.bfloat16)
    states, target = unpacked(kept)
    step, _ = count(lambda: loss(network(states), target).backward())
    return step, sum(values.nbytes for values in kept.values()) / 1e6


def plain_totals(bundle: Bundle) -> dict[str, float]:
    """GFLOP an image of the plain formulation."""
    network = PlainQFAE(bundle.part("network"))
    loss = PlainPerceptualLoss(bundle.part("loss"))
    distance = PlainPerceptualLoss(bundle.part("score_distance"))
    image = torch.randn(1, 1, *network.network.image_size)
    forward, reconstruction = count(lambda: network(image))
    compared, value = count(lambda: loss(reconstruction, image))
    backward, _ = count(value.backward)
    with torch.no_grad():
        scored, _ = count(lambda: distance(reconstruction, image))
    return {"training": forward + compared + backward, "evaluation": forward + scored}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=tuple(PRESETS), default="mid")
    preset = parser.parse_args().preset
    bundle = build(preset, torch.device("cpu"), precision="float32")
    totals = plain_totals(bundle)
    print("| preset | step | part | GFLOP an image |\n|---|---|---|---|")
    for step, part, value in parts(bundle):
        beside = f" (plain formulation: {totals[step]:.1f})" if part == "in all" else ""
        print(f"| {preset} | {step} | {part} | {value:.1f}{beside} |")


if __name__ == "__main__":
    main()
