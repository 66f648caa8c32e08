"""A plan: every choice of a training that a user may want to change, as a short YAML with a comment for every key."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from qfae_monai.files import checked, printable
from qfae_monai.files.configurations import path_text, read_configuration
from qfae_monai.files.schema import Check, choice, items, number, optional, record, text, whole
from qfae_monai.model.frozen import network_changes

__all__ = ["INTENSITIES", "Plan"]

WHAT = "a plan of `qfae train`"
WIDTH = 116  # columns of a comment: `# ` and a margin make 120
HEAD = "Plan of a training by `qfae train`. Change what you like and give it back with --plan."
PRECISIONS = ("auto", "float32", "tf32", "bfloat16", "float16")

INTENSITIES = ("window", "foreground", "image")
TRANSFORMS: dict[str, dict[str, Any]] = {
    "window": {"_target_": "monai.transforms.ScaleIntensityRanged", "b_min": 0.0, "b_max": 1.0, "clip": True},
    "foreground": {"_target_": "qfae_monai.transforms.ScaleIntensityForegroundPercentilesd"},
    "image": {
        "_target_": "monai.transforms.ScaleIntensityRangePercentilesd",
        "b_min": 0.0,
        "b_max": 1.0,
        "clip": True,
    },
}
"""By `intensity`: what makes [0, 1] of a scan."""
# names of each transform's own arguments
LEVELS = {"window": ("a_min", "a_max"), "foreground": ("lower", "upper"), "image": ("lower", "upper")}

SCHEMA: dict[str, tuple[str, Check]] = {
    "modality": ("Kind of scans: of their headers or values", text(r"[A-Za-z0-9 ]{1,16}", "a modality", 16)),
    "axis": (
        "Slices lie across this axis of the patient: 0 left-right (sagittal), 1 back-front (coronal), 2 "
        "feet-head (axial); null for images",
        optional(whole(0, 2)),
    ),
    "slice_range": (
        "First and last slice to take, counted from 0 along the axis, where all scans lie on one grid; null for all",
        optional(items(whole(), 2, 2)),
    ),
    "slice_share": (
        "Where the slices to take begin and end, in shares of the extent of all but the background along "
        "the axis, such as [0.2, 0.9]; null for all. Where less than half of a scan's slices is scored, "
        "there is no p-value",
        optional(items(number(0, 1), 2, 2)),
    ),
    "min_foreground": ("Slices with a smaller share of foreground are skipped", number(0, 1)),
    "intensity": (
        "What becomes [0, 1]: window (between two values, HU of CT), foreground (between percentiles of "
        "all but the background) or image (between percentiles of all pixels)",
        choice(*INTENSITIES),
    ),
    "levels": (
        "What becomes 0 and what becomes 1: two values of a window, else two percentiles",
        items(number(-1e9, 1e9), 2, 2),
    ),
    "preset": (
        "Sizes of Q-Former and decoder, which makes pixels: tiny, small or paper; or the encoder's own tokens: "
        "tiny_tokens or dinov2_small",
        choice("tiny", "tiny_tokens", "dinov2_small", "small", "paper"),
    ),
    "encoder": (
        "Frozen network that is read: a timm name, random or in-house (dino.safetensors; where tokens are decoded the "
        "better of it and mae.safetensors by painted lesions)",
        text(r"[A-Za-z0-9_.-]+", "a network's name", 100),
    ),
    "perceptual": (
        "Frozen network that images and reconstructions are compared by: a timm name, in-house "
        "(mae.safetensors), random, or none where tokens are decoded",
        text(r"[A-Za-z0-9_.-]+", "a network's name", 100),
    ),
    "weights": ("Folder of the weights of both; null for random ones", optional(text(r"[^$@%\0].*", "a path", 4096))),
    "image_size": ("Side of the square that slices are resized to, pixels", whole(16, 2048)),
    "score": (
        "How maps become a score: chosen (by synthetic lesions that are painted into held-out normals) or preset (as "
        "the preset has it)",
        choice("chosen", "preset"),
    ),
    "score_over_pixels": (
        "A slice's score, where it is not chosen: max of its map (small lesions), top (mean of the highest 5 %) or "
        "mean (diffuse change)",
        choice("max", "top", "mean"),
    ),
    "batch_size": ("Images in one step", whole(1, 65536)),
    "epochs": ("Times that every image is seen", whole(1, 1_000_000)),
    "learning_rate": ("At its highest", number(1e-9, 1)),
    "crop_area": ("Augmentation: least and largest share of an image that is seen", items(number(0.01, 1), 2, 2)),
    "max_angle": ("Augmentation: rotation up to this, degrees", number(0, 180)),
    "flip": (
        "Augmentation: how often an image is turned around its first axis (left and right of axial and coronal slices)",
        number(0, 1),
    ),
    "jitter": ("Augmentation: brightness and contrast change up to this share", number(0, 1)),
    "held_out": ("Share of normal patients that give thresholds instead of being trained on", number(0.01, 0.9)),
    "false_positive_rate": ("Share of normals that thresholds may call abnormal", number(1e-4, 0.5)),
    "seed": ("Of the split and of every draw", whole(0, 2**31 - 1)),
    "precision": ("Number format of matrix products: auto, float32, tf32, bfloat16 or float16", choice(*PRECISIONS)),
    "workers": ("Processes that prepare images beside the training", whole(0, 256)),
    "views": (
        "Augmented views of each image whose frozen features are kept on disk and trained from, which takes a third "
        "less time; null draws each view anew, as measured",
        optional(whole(1, 1000)),
    ),
}
"""Key -> what it is, and what its value may be; in the order of the file."""
LATER: dict[str, Any] = {
    "slice_share": None,
    "views": None,
    "score": "preset",
}  # as plans without the keys were trained
"""What keys mean that plans of earlier versions do not have."""


@dataclass(frozen=True)
class Plan:
    """Settings of a training.

    Attributes:
        why: reason by key, for the screen and for comments.
        warnings: what a user should know before starting.

    The others are explained in `SCHEMA`, and in the file that `text` makes.

    Raises:
        ValueError: naming the key, for a value that is none, or that does not go with another.
    """

    modality: str
    axis: int | None
    slice_range: list[int] | None
    slice_share: list[float] | None
    min_foreground: float
    intensity: str
    levels: list[float]
    preset: str
    encoder: str
    perceptual: str
    weights: str | None
    image_size: int
    score: str
    score_over_pixels: str
    batch_size: int
    epochs: int
    learning_rate: float
    crop_area: list[float]
    max_angle: float
    flip: float
    jitter: float
    held_out: float
    false_positive_rate: float
    seed: int
    precision: str
    workers: int
    views: int | None
    why: Mapping[str, str] = field(default_factory=dict, compare=False)
    warnings: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        checked(self.values(), _RECORD, "plan")
        if self.slice_range is not None and self.slice_share is not None:
            raise ValueError("plan: slice_share: expected slices by share or by slice_range, got both")
        for key in ("slice_range", "slice_share", "levels", "crop_area"):  # pairs: from, to
            pair = getattr(self, key)
            strict = key in ("slice_share", "levels")  # an empty range has no width to divide by
            if pair is not None and (pair[0] > pair[1] or (strict and pair[0] == pair[1])):
                raise ValueError(f"plan: {key}: expected the smaller number first, got {pair[0]:g} and {pair[1]:g}")
        # a window is HU, and has no such limits
        if self.intensity != "window" and not 0 <= self.levels[0] < self.levels[1] <= 100:
            raise ValueError(f"plan: levels: expected percentiles from 0 to 100, got {self.levels}")
        self._changes()

    @classmethod
    def read(cls, path: Path, weights: Sequence[Path] = ()) -> Plan:
        """The plan in a YAML or JSON file.

        Args:
            path: of the file.
            weights: at most one folder, which counts in the place of the plan's.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: naming file and key, if a key is unknown, missing, twice there or has a value that is none; for
                several folders of weights, or one where the plan asks for none.
        """
        if len(weights) > 1:
            raise ValueError(f"--weights: expected one folder beside a plan, got {', '.join(map(str, weights))}")
        content = read_configuration(path)
        _check_repeats(path)  # YAML keeps the last of two in silence
        checked(content, _RECORD, path, what=WHAT)
        why = {}
        if weights:
            if (other := content["weights"]) is None:
                raise ValueError(f"--weights {weights[0]}: expected none beside a plan without weights ({path})")
            content = {**content, "weights": str(weights[0].absolute())}
            why = {"weights": f"given in the place of the plan's {other}"}
        try:
            return cls(**{**LATER, **content}, why=why)  # the file's own values win
        except (ValueError, FileNotFoundError) as error:
            raise type(error)(f"{path}: {str(error).removeprefix('plan: ')}") from None

    def refuse_beside(self, names: Collection[str]) -> None:
        """Refuse wishes that the plan has an answer to.

        Args:
            names: of the wishes that were given beside it.

        Raises:
            ValueError: that names the first of them and the plan's key.
        """
        for name in names:
            key = {"images": "epochs"}.get(name, name)
            if key in SCHEMA and key != "weights":
                option, value = name.replace("_", "-"), _plain(getattr(self, key))
                raise ValueError(
                    f"--{option}: expected none beside a plan, whose {key} {value} counts; change it there"
                )

    def values(self) -> dict[str, Any]:
        """Value by key, in the order of the file."""
        return {key: getattr(self, key) for key in SCHEMA}

    def text(self, **instead: Any) -> str:
        """The file: each key below a comment that says what it is and, where known, why it has this value.

        Args:
            instead: values to show for those of this machine, such as the folder of weights.
        """
        lines = [f"# {HEAD}"]
        for key, value in {**self.values(), **instead}.items():
            words = f"{SCHEMA[key][0]}." + (f" Here: {self.why[key]}." if self.why.get(key) else "")
            lines += ["", *_comment(words), f"{key}: {_plain(value)}"]
        return "\n".join(lines) + "\n"

    def sentences(self) -> list[str]:
        """Each value that was chosen with its reason, for the screen."""
        return [f"{key} {_plain(getattr(self, key))}: {self.why[key]}" for key in SCHEMA if self.why.get(key)]

    def settings(self) -> dict[str, Any]:
        """Keys of the training's configuration that the plan sets; `changes` are sizes, named as in presets."""
        intensity = dict(TRANSFORMS[self.intensity])
        low, high = LEVELS[self.intensity]
        volumes = (
            {}
            if self.axis is None  # single images have no slices to choose
            else {
                "slice_axis": self.axis,
                "slice_range": self.slice_range,
                "slice_share": self.slice_share,
                "min_foreground": self.min_foreground,
            }
        )
        weights = {} if self.weights is None else {"weights_dir": path_text(self.weights)}
        return {
            "preset": self.preset,
            **weights,
            "changes": {**self._changes(), "score_over_pixels": self.score_over_pixels},
            **volumes,
            "intensity": {**intensity, "keys": "image", low: self.levels[0], high: self.levels[1]},
            "batch_size": self.batch_size,
            "max_epochs": self.epochs,
            "val_interval": max(1, self.epochs // 10),  # epochs: about ten looks at the held-out normals
            "learning_rate": self.learning_rate,
            "crop_area": self.crop_area,
            "max_angle": self.max_angle,
            "flip_prob": self.flip,
            "jitter": self.jitter,
            "seed": self.seed,
            "precision": self.precision,
            "num_workers": self.workers,
            "views": self.views,
            "score_fit::choose": self.score == "chosen",
        }

    def _changes(self) -> dict[str, Any]:
        folder = None if self.weights is None else Path(self.weights)
        if folder is None and not {self.encoder, self.perceptual} <= {"random", "none"}:
            raise ValueError(f"plan: weights: expected the folder of {self.encoder} and {self.perceptual}, got none")
        try:
            return network_changes(self.preset, self.encoder, self.perceptual, folder, self.image_size)
        except ValueError as error:
            raise ValueError(f"plan: {error}") from None


_CHECKS = {key: check for key, (_, check) in SCHEMA.items()}
_RECORD = record(
    {key: check for key, check in _CHECKS.items() if key not in LATER}, {key: _CHECKS[key] for key in LATER}
)
assert tuple(SCHEMA) == tuple(one.name for one in fields(Plan))[: len(SCHEMA)]  # the file's order is that of the fields


def _comment(words: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(printable(words), WIDTH, break_long_words=False)]


def _plain(value: Any) -> str:
    # one line; PyYAML ends a lone value by "..."
    return yaml.safe_dump(value, default_flow_style=True, width=10**6).removesuffix("...\n").strip()


def _check_repeats(path: Path) -> None:
    """Refuse a key that stands twice in a YAML file, of which the last one would count without a word."""
    node = yaml.compose(path.read_text(encoding="utf-8"))  # the nodes, as a parsed mapping has lost the repeats
    counts = Counter(key.value for key, _ in node.value) if isinstance(node, yaml.MappingNode) else Counter()
    twice = [key for key, count in counts.items() if count > 1]
    if twice:
        raise ValueError(f"{path}: expected each key once, got {twice[0]} {counts[twice[0]]} times")
