"""`qfae tune`: how many images to pass at a time on this machine, measured and remembered."""

# ruff: noqa: PLC0415 (imports inside the command keep `qfae --help` quick)

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import typer

from qfae_monai.cli.options import PRESET, SET
from qfae_monai.screen import echo

if TYPE_CHECKING:
    from qfae_monai.model.bundle import Bundle

LARGEST_FORWARD_BATCH = 64


def tune(
    preset: str = PRESET,
    set_: list[str] | None = SET,
    training: bool = typer.Option(True, help="Measure training steps too."),
) -> None:
    """Measure images/s at growing sizes, and remember the best for runs with `tuned=true`.

    No weights or data are needed: what a step costs does not depend on them.
    """
    from qfae_monai.model.bundle import Bundle, parse_settings
    from qfae_monai.training.tuning import TUNED_FILE, Purpose, images_per_second, remember, signature

    # without values: their cost is the same
    given = parse_settings(set_ or [])
    bundle = Bundle(
        ["train"], {"preset": preset, "encoder_weights": "checkpoint", "weights_dir": "checkpoint", **given}
    )
    bundle.check_known(given)
    network, device = bundle.part("network"), bundle.part("device")
    tasks: list[tuple[Purpose, str, Callable[[int], None], int]] = [
        ("inference", "score_distance", _inference(bundle), LARGEST_FORWARD_BATCH)
    ]
    if training:
        tasks.append(("training", "loss", _training(bundle), int(bundle.part("batch_size"))))
    for purpose, distance, step, largest in tasks:
        found = images_per_second(step, _powers(largest), device)
        best = max(found, key=lambda size: found[size])
        remember(signature(purpose, network, bundle.part(distance), device), best)
        for size, rate in found.items():
            echo(f"{purpose}, {size} at a time: {rate:.2f} images/s{', the best' if size == best else ''}")
    echo(f"kept in {TUNED_FILE}; used by runs with `tuned=true`")


def _training(bundle: Bundle) -> Callable[[int], None]:
    network, loss, optimizer = (bundle.part(key) for key in ("network", "loss", "optimizer"))

    def step(size: int) -> None:
        network.train()
        optimizer.zero_grad()
        image = _images(size, bundle)
        loss(network(image), image).backward()
        optimizer.step()

    return step


def _inference(bundle: Bundle) -> Callable[[int], None]:
    import torch

    from qfae_monai.anomaly import AnomalyScorer

    network, device = bundle.part("network"), bundle.part("device")
    scorer = AnomalyScorer(bundle.part("score_distance").to(device))

    def step(size: int) -> None:
        network.eval()
        image = _images(size, bundle)
        with torch.no_grad():
            scorer(image, network(image))

    return step


def _images(size: int, bundle: Bundle) -> Any:
    import torch

    side = int(bundle.plain("model")["image_size"])
    return torch.zeros(size, 1, side, side, device=bundle.part("device"))


def _powers(largest: int) -> list[int]:
    """1, 2, 4, ... and the largest itself.

    >>> _powers(12)
    [1, 2, 4, 8, 12]
    """
    return [*(2**power for power in range(20) if 2**power < largest), largest]
