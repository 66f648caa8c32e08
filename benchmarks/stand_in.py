"""Stand-ins of published QFAE checkpoints and of the files they stand on: `python -m benchmarks.stand_in OUTPUT`.

Layouts, names and shapes are those of the published files, the values are random, of fixed seeds; nothing is
downloaded. OUTPUT gets `weights/` (timm's safetensors of each frozen network, at its native image size),
`last_ckpt.pth` (the authors' state dict: 445 tensors, or 597 with `--encoders 2`) and `data/` (a dozen test images,
and a few normal ones, in BMAD's folders, as colour PNG). At full size that is 4 GB on the disk; `--small` gives the
same names with narrow networks, for tests.
"""

# ruff: noqa: PLC0415 (torch is imported where files are made: what measures them needs the sizes alone)

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

LISTINGS = Path(__file__).parents[1] / "tests" / "weights" / "data"
LISTING = {1: "released_main.txt", 2: "released_two_encoders.txt"}
"""By number of encoders: every name and shape of the authors' checkpoint, and nothing else of it."""
RANGE = re.compile(r"\{0-(\d+)\}")  # blocks.{0-23} stands for 24 names

ENCODERS = {
    "vit_large_patch14_reg4_dinov2.lvd142m": {"init_values": 1.0},  # with timm's 1e-5, random blocks do next to nothing
    "vit_base_patch8_224.dino": {},
}
PERCEPTUAL = "vit_large_patch16_224.mae"
NARROW = {"embed_dim": 16, "num_heads": 2}
SMALL: dict[str, Any] = {"dim": 96, "decoder_heads": 2}
IMAGES = (("train", False, 4), ("valid", False, 4), ("test", False, 6), ("test", True, 6))
SIDE = 240  # pixels, of BraTS2021's slices


def changes_of(encoders: int, *, small: bool) -> dict[str, Any]:
    """Numbers that replace those of the preset `paper`.

    Args:
        encoders: 1 or 2.
        small: whether the networks are narrow.
    """
    narrow: dict[str, Any] = NARROW if small else {}
    chosen: list[dict[str, Any]] = [{"name": name, **narrow} for name in list(ENCODERS)[:encoders]]
    changes: dict[str, Any] = {"encoder": chosen if encoders > 1 else chosen[0]} if small or encoders > 1 else {}
    return {**changes, "perceptual": {"name": PERCEPTUAL, **narrow}, **SMALL} if small else changes


def write_weights(folder: Path, encoders: int, *, small: bool = False) -> list[Path]:
    """Write each frozen network as timm publishes it; files that are there already stay."""
    import timm

    from qfae_monai.weights import create_vit, save_checkpoint

    narrow: dict[str, Any] = NARROW if small else {}
    written = []
    for seed, name in enumerate([PERCEPTUAL, *list(ENCODERS)[:encoders]]):
        path = folder / f"{name}.safetensors"
        written.append(path)
        if not path.is_file():
            settings = timm.get_pretrained_cfg(name)
            assert settings is not None
            native = settings.input_size[-1]  # pixels: 518 of DINOv2, 224 of the others
            network = create_vit(name, seed=seed, image_size=native, **{**ENCODERS.get(name, {}), **narrow})
            save_checkpoint(path, network.state_dict())
    return written


def released_names(encoders: int) -> dict[str, tuple[int, ...]]:
    """Names of the authors' checkpoint, in its order, and their shapes at full size."""
    shapes = {}
    for line in (LISTINGS / LISTING[encoders]).read_text().splitlines():
        name, shape = line.split()
        blocks = RANGE.search(name)
        for block in range(int(blocks[1]) + 1 if blocks else 1):
            shapes[RANGE.sub(str(block), name)] = tuple(map(int, shape.split("x")))
    return shapes


def as_released(state: Mapping[str, Tensor], names: Iterable[str], grid: int) -> dict[str, Tensor]:
    """A state dict of our network under the authors' names.

    Args:
        state: by our names.
        names: of the authors, all of them.
        grid: patches along a side of the decoder's positions, which only the authors store.
    """
    import torch

    from qfae_monai.networks.patches import sincos_positions
    from qfae_monai.weights import convert_released
    from qfae_monai.weights.released import POSITIONS

    marks = {name: torch.empty(0) for name in names}
    marks.pop(POSITIONS)
    theirs = {id(mark): name for name, mark in marks.items()}
    ours = {theirs[id(mark)]: name for name, mark in convert_released(marks).items()}
    missing = sorted(set(state) - set(ours.values()))
    assert not missing, missing
    width = state["decoder.embed.weight"].shape[0]
    positions = sincos_positions(width, grid)[None]  # (1, queries, width)
    return {name: positions if name == POSITIONS else state[ours[name]] for name in [*ours, POSITIONS]}


def write_released(path: Path, weights: Path, encoders: int, *, small: bool = False) -> int:
    """Write a checkpoint as the authors published theirs, whose frozen trunks are those of `weights`; its tensors."""
    import torch

    from qfae_monai.model.builders import create_qfae
    from qfae_monai.model.presets import model_settings
    from qfae_monai.weights import save_checkpoint

    settings = model_settings("paper", changes_of(encoders, small=small))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(42)
        network = create_qfae(settings, weights=weights)
    shapes = released_names(encoders)
    state = as_released(network.state_dict(), shapes, settings["grid"])
    if not small:
        different = [name for name, value in state.items() if tuple(value.shape) != shapes[name]]
        assert not different, different
    save_checkpoint(path, {name: state[name] for name in shapes})
    return len(state)


def write_images(folder: Path) -> int:
    """Write noise in an ellipse, as colour PNG like BMAD's BraTS2021, a bright square where abnormal; their number."""
    import numpy as np

    from qfae_monai.files import write_whole
    from qfae_monai.recipes.bone import bone
    from qfae_monai.recipes.images import encode, encode_mask, output_folder

    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    head = ((rows - 120) / 90) ** 2 + ((columns - 120) / 70) ** 2 < 1
    for split, abnormal, count in IMAGES:
        for number in range(count):
            unit = head * rng.uniform(0.2, 0.7, head.shape)
            lesion = np.zeros_like(head)
            lesion[100:130, 90:120] = abnormal
            unit[lesion] = 1.0
            name = f"{number:05d}_{60 + number}.png"
            write_whole(folder / output_folder(split, abnormal) / name, encode(bone(unit), "png8"))
            if split != "train":
                place = folder / output_folder(split, abnormal, mask=True) / name
                write_whole(place, encode_mask(lesion, "png8"))
    return sum(count for _, _, count in IMAGES)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("output", type=Path, metavar="OUTPUT")
    parser.add_argument("--encoders", type=int, choices=sorted(LISTING), default=1)
    parser.add_argument("--small", action="store_true", help="narrow networks, for tests")
    given = parser.parse_args()
    weights = given.output / "weights"
    for path in write_weights(weights, given.encoders, small=given.small):
        print(f"{path}: {path.stat().st_size / 2**20:.0f} MB")
    checkpoint = given.output / "last_ckpt.pth"
    tensors = write_released(checkpoint, weights, given.encoders, small=given.small)
    print(f"{checkpoint}: {tensors} tensors, {checkpoint.stat().st_size / 2**20:.0f} MB")
    print(f"{given.output / 'data'}: {write_images(given.output / 'data')} images")
    for name, value in changes_of(given.encoders, small=given.small).items():
        print(f"--set 'changes::{name}={json.dumps(value)}'")


if __name__ == "__main__":
    main()
