"""`qfae tune`: how many images to pass at a time on this machine, measured and remembered."""

# ruff: noqa: PLC0415 (imports inside the command keep `qfae --help` quick)

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from qfae_monai.cli.trust import TRUST
from qfae_monai.files.configurations import check_trusted
from qfae_monai.screen import echo

if TYPE_CHECKING:
    from monai.bundle import ConfigParser

LARGEST_FORWARD_BATCH = 64


def tune(
    preset: str = typer.Option("small", help="Preset of the bundle: paper, small, tiny."),
    bundle: Path = typer.Option(Path("bundles/qfae"), help="The bundle's folder."),
    set_: list[str] | None = typer.Option(None, "--set", help="KEY=VALUE of the configuration; may be given often."),
    training: bool = typer.Option(True, help="Measure training steps too."),
    trust: bool = TRUST,
) -> None:
    """Measure images/s at growing sizes, and remember the best for bundle runs with `--tuned true`.

    No weights or data are needed: what a step costs does not depend on them.
    """
    from qfae_monai.engines.tuning import TUNED_FILE, Purpose, images_per_second, remember, signature

    check_trusted(bundle, [bundle / "configs" / "presets" / f"{preset}.json"], trusted=trust)
    config = _read(bundle, preset, set_ or [])
    network, device = config.get_parsed_content("network"), config.get_parsed_content("device")
    tasks: list[tuple[Purpose, str, Callable[[int], None], int]] = [
        ("inference", "score_distance", _inference(config), LARGEST_FORWARD_BATCH)
    ]
    if training:
        tasks.append(("training", "loss", _training(config), int(config["batch_size"])))
    for purpose, distance, step, largest in tasks:
        found = images_per_second(step, _powers(largest), device)
        best = max(found, key=lambda size: found[size])
        remember(signature(purpose, network, config.get_parsed_content(distance), device), best)
        for size, rate in found.items():
            echo(f"{purpose}, {size} at a time: {rate:.2f} images/s{', the best' if size == best else ''}")
    echo(f"kept in {TUNED_FILE}; used by `monai.bundle run ... --tuned true`")


def _read(bundle: Path, preset: str, settings: list[str]) -> ConfigParser:
    from monai.bundle import ConfigParser

    files = [bundle / "configs" / name for name in ("train.json", f"presets/{preset}.json")]
    for file in files:
        if not file.is_file():
            raise FileNotFoundError(f"{file}: expected a configuration of the bundle, found none")
    config = ConfigParser()
    config.read_config([str(file) for file in files])
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or key not in config:
            raise ValueError(f"--set expects KEY=VALUE with a key of {files[0]}, got {setting!r}")
        config[key] = type(config[key])(value) if isinstance(config[key], (int, float)) else value
    # without values: their cost is the same
    config.update({"encoder_weights": "checkpoint", "perceptual_trunk::weights": "checkpoint"})
    return config


def _training(config: ConfigParser) -> Callable[[int], None]:
    network, loss, optimizer = (config.get_parsed_content(key) for key in ("network", "loss", "optimizer"))

    def step(size: int) -> None:
        network.train()
        optimizer.zero_grad()
        image = _images(size, config)
        loss(network(image), image).backward()
        optimizer.step()

    return step


def _inference(config: ConfigParser) -> Callable[[int], None]:
    import torch

    from qfae_monai.scoring import AnomalyScorer

    network, device = config.get_parsed_content("network"), config.get_parsed_content("device")
    scorer = AnomalyScorer(config.get_parsed_content("score_distance").to(device))

    def step(size: int) -> None:
        network.eval()
        image = _images(size, config)
        with torch.no_grad():
            scorer(image, network(image))

    return step


def _images(size: int, config: ConfigParser) -> Any:
    import torch

    side = int(config["image_size"])
    return torch.zeros(size, 1, side, side, device=config.get_parsed_content("device"))


def _powers(largest: int) -> list[int]:
    """1, 2, 4, ... and the largest itself.

    >>> _powers(12)
    [1, 2, 4, 8, 12]
    """
    return [*(2**power for power in range(20) if 2**power < largest), largest]
