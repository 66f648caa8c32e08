"""The pretrained networks this method is used with: their role, their licence and where they are published."""

from __future__ import annotations

from dataclasses import dataclass

import timm

META_MAE = "CC BY-NC 4.0 (Meta MAE: no commercial use)"
DINO = "Apache-2.0 (Meta DINO)"
DINOV2 = "Apache-2.0 (Meta DINOv2)"
OPENCLIP = "MIT (OpenCLIP, LAION-2B)"
QFAE = "not stated by the authors beyond an MIT badge"
UNKNOWN_LICENCE = "unknown: ask its publisher"

ENCODER = "encoder"
PERCEPTUAL = "perceptual"
WHOLE_MODEL = "whole model"

QFAE_REPOSITORY = "ebayar/QFAE-checkpoints"
TIMM_FILES = ("model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True)
class WeightsEntry:
    """One set of pretrained weights.

    Attributes:
        name: a timm name with its pretrained tag, or a name of ours for what timm does not publish.
        roles: what the method uses it for.
        licence: what its publisher allows.
        published_at: Hugging Face repository and file of what timm does not publish; None asks timm.
        revision: commit of the repository that was checked; None where none is recorded, and the newest is fetched.
        sha256: of the file at that commit, which every fetch is held against; None where none is recorded.
    """

    name: str
    roles: tuple[str, ...]
    licence: str
    published_at: tuple[str, str] | None = None
    revision: str | None = None
    sha256: str | None = None

    @property
    def repository(self) -> str | None:
        """Hugging Face repository, None where timm knows of none."""
        if self.published_at:
            return self.published_at[0]
        settings = _timm_settings(self.name)
        return settings.hf_hub_id if settings else None

    @property
    def remote_files(self) -> tuple[str, ...]:
        """Names the file may have in the repository, the best format first."""
        if self.published_at:
            return (self.published_at[1],)
        settings = _timm_settings(self.name)
        own_name = settings.hf_hub_filename if settings else None
        return (own_name,) if own_name else TIMM_FILES

    @property
    def local_files(self) -> tuple[str, ...]:
        """Names the file may have inside a weights folder: as `fetch` writes it, or as the hub lays it out."""
        suffixes = dict.fromkeys(name[name.rindex(".") :] for name in self.remote_files)
        flat = tuple(f"{self.name}{suffix}" for suffix in suffixes)
        return flat + tuple(f"{self.name}/{name}" for name in self.remote_files)


CATALOGUE = (
    WeightsEntry("vit_large_patch14_reg4_dinov2.lvd142m", (ENCODER,), DINOV2),
    WeightsEntry("vit_base_patch14_reg4_dinov2.lvd142m", (ENCODER,), DINOV2),
    WeightsEntry("vit_base_patch14_dinov2.lvd142m", (ENCODER,), DINOV2),
    WeightsEntry("vit_small_patch14_dinov2.lvd142m", (ENCODER, PERCEPTUAL), DINOV2),
    WeightsEntry("vit_base_patch8_224.dino", (ENCODER,), DINO),
    WeightsEntry("vit_large_patch14_clip_224.laion2b", (ENCODER,), OPENCLIP),
    WeightsEntry("vit_base_patch32_clip_224.laion2b", (ENCODER,), OPENCLIP),
    WeightsEntry("vit_base_patch16_224.mae", (ENCODER,), META_MAE),
    WeightsEntry("vit_large_patch16_224.mae", (PERCEPTUAL, ENCODER), META_MAE),
    *(
        WeightsEntry(f"qfae-{organ}", (WHOLE_MODEL,), QFAE, (QFAE_REPOSITORY, f"{organ}/last_ckpt.pth"))
        for organ in ("brain", "chest", "liver", "retina")
    ),
)


def find_entry(name: str) -> WeightsEntry:
    """The catalogue's entry, or one of unknown licence for any other network that timm knows.

    Args:
        name: of the catalogue or of timm; without a tag it stands for timm's default tag.

    Raises:
        ValueError: if neither knows the name.

    >>> find_entry("vit_large_patch16_224.mae").licence
    'CC BY-NC 4.0 (Meta MAE: no commercial use)'
    """
    known = {entry.name: entry for entry in CATALOGUE}
    if name in known:
        return known[name]
    settings = _timm_settings(name)
    with_tag = f"{settings.architecture}.{settings.tag}" if settings else name
    if with_tag in known:
        return WeightsEntry(name, known[with_tag].roles, known[with_tag].licence)
    return WeightsEntry(name, (), UNKNOWN_LICENCE)


def _timm_settings(name: str) -> timm.models.PretrainedCfg | None:
    """Timm's settings of a pretrained network; None for an architecture without published weights."""
    architecture = name.split(".", maxsplit=1)[0]
    if not timm.is_model(architecture):
        raise ValueError(
            f"{name!r} is neither in the catalogue (`qfae weights list`) nor an architecture of timm {timm.__version__}"
        )
    try:
        return timm.get_pretrained_cfg(name)
    except RuntimeError:  # timm's way to refuse a tag
        tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{architecture}.*")]
        raise ValueError(f"{name!r}: expected one of timm's tags of {architecture}: {', '.join(tags)}") from None
