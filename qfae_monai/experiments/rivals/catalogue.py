"""Rivals by name: what each is, whose library trains it, and what it is built on; and those that no library offers."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

DINOV2_SMALL = "vit_small_patch14_dinov2.lvd142m"
VIT_UNIT, CNN_UNIT = 14, 32  # pixels that the side of an image is a multiple of
OWN, ANOMALIB = "qfae", "anomalib"


@dataclass(frozen=True)
class Method:
    """One rival.

    Attributes:
        name: of the command.
        title: what it is, and whose.
        paper: its row of the paper's Table 5; empty where it has none.
        library: `qfae` for a small rival of this package, `anomalib`.
        model: name of the library's class.
        arguments: that replace the library's own.
        needs: file below `--weights` that it is built on, or folder; empty for none.
        unit: pixels that the side of its images is a multiple of.
        once: whether it sees each image once, whatever the number of epochs.
    """

    name: str
    title: str
    paper: str = ""
    library: str = ANOMALIB
    model: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    needs: str = ""
    unit: int = CNN_UNIT
    once: bool = False


_DINO = {"encoder_name": DINOV2_SMALL}
_DINO_FILE = f"{DINOV2_SMALL}.safetensors"
_PATCHCORE = {"backbone": DINOV2_SMALL, "layers": ("blocks.5", "blocks.8"), "coreset_sampling_ratio": 0.01}

_ALL = (
    Method("mean-image", "the mean of the normal images as reconstruction", library=OWN, once=True),
    Method("pca", "64 principal components of the pixels as reconstruction", library=OWN, once=True),
    Method("autoencoder", "MONAI's AutoEncoder, mean absolute error", library=OWN),
    Method("vae", "MONAI's VarAutoEncoder (Kingma and Welling 2014)", library=OWN),
    Method("denoising-unet", "MONAI's BasicUNet takes coarse noise away (Kascenas et al. 2022)", library=OWN),
    Method(
        "patchcore",
        "PatchCore (Roth et al. 2022) on DINOv2 ViT-S/14, coreset of 1 %",
        "PatchCore",
        model="Patchcore",
        arguments=_PATCHCORE,
        needs=_DINO_FILE,
        unit=VIT_UNIT,
        once=True,
    ),
    Method(
        "anomalydino",
        "AnomalyDINO (Damm et al. 2025) on DINOv2 ViT-S/14",
        model="AnomalyDINO",
        arguments=_DINO,
        needs=_DINO_FILE,
        unit=VIT_UNIT,
        once=True,
    ),
    Method(
        "dinomaly",
        "Dinomaly (Guo et al. 2025) on DINOv2 ViT-S/14",
        model="Dinomaly",
        arguments=_DINO,
        needs=_DINO_FILE,
        unit=VIT_UNIT,
    ),
    Method(
        "inp-former",
        "INP-Former (Luo et al. 2025) on DINOv2 ViT-S/14",
        model="InpFormer",
        arguments=_DINO,
        needs=_DINO_FILE,
        unit=VIT_UNIT,
    ),
    Method("ganomaly", "GANomaly (Akcay et al. 2018), from scratch", "GANomaly", model="Ganomaly"),
    Method("padim", "PaDiM (Defard et al. 2021)", "PaDiM", model="Padim", needs="resnet18.safetensors", once=True),
    Method("stfpm", "STFPM (Wang et al. 2021)", "STFPM", model="Stfpm", needs="resnet18.safetensors"),
    Method(
        "reverse-distillation",
        "Reverse Distillation (Deng and Li 2022)",
        "RD4AD",
        model="ReverseDistillation",
        needs="wide_resnet50_2.safetensors",
    ),
    Method("cfa", "CFA (Lee et al. 2022)", "CFA", model="Cfa", needs="wide_resnet50_2-9ba9bcbe.pth"),
    Method("cflow", "CFLOW (Gudovskiy et al. 2022)", "CFLOW", model="Cflow", needs="wide_resnet50_2.safetensors"),
    Method(
        "cs-flow",
        "CS-Flow (Rudolph et al. 2022)",
        "CS-Flow",
        model="Csflow",
        needs="efficientnet_b5_lukemelas-1a07897c.pth",
    ),
    Method("draem", "DRAEM (Zavrtanik et al. 2021), with the textures of DTD", "DRAEM", model="Draem", needs="dtd"),
    Method(
        "supersimplenet",
        "SuperSimpleNet (Rolih et al. 2024), the successor of SimpleNet",
        "SimpleNet",
        model="Supersimplenet",
        needs="wide_resnet50_2.tv_in1k.safetensors",
    ),
    Method("fastflow", "FastFlow (Yu et al. 2021)", model="Fastflow", needs="resnet18.safetensors"),
    Method("fre", "FRE (Ndiour et al. 2022)", model="Fre", needs="resnet50.safetensors"),
    Method("dfm", "DFM (Ahuja et al. 2019)", model="Dfm", needs="resnet50.safetensors", once=True),
)
METHODS = {method.name: method for method in _ALL}
"""Every rival that can be run, by name."""

QFAE = "qfae"
"""Name by which the method itself takes part."""

NOT_OFFERED = {
    "f-AnoGAN": "no model of anomalib",
    "UTRAD": "no model of anomalib",
    "DeepSVDD": "no model of anomalib",
    "CutPaste": "no model of anomalib",
    "MKD": "no model of anomalib; stfpm and reverse-distillation are of its kind",
    "P-VQ": "no model of anomalib",
}
"""Methods of the paper's Table 5 that no library offers here, and why."""


def find_method(name: str) -> Method:
    """The rival of that name.

    Raises:
        ValueError: if there is none; the message lists those that there are.
    """
    if name in METHODS:
        return METHODS[name]
    like = difflib.get_close_matches(name, METHODS, n=1)
    raise ValueError(
        f"expected rivals of {', '.join([QFAE, *METHODS])}, got {name!r}{f' (did you mean {like[0]}?)' if like else ''}"
    )
