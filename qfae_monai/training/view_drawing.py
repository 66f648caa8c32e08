"""Drawing of kept views: each image is augmented and shown to the frozen networks once for each view, then no more."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from monai.data import list_data_collate
from monai.data.utils import set_rnd
from monai.engines import SupervisedTrainer
from monai.utils import set_determinism
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from qfae_monai.anomaly import PerceptualLoss, TokenDistance
from qfae_monai.data.fingerprint import fingerprint, source_fingerprint
from qfae_monai.files import remove_partials, whole_file
from qfae_monai.networks import QFAE
from qfae_monai.training.processes import gather, is_writer, world_size
from qfae_monai.training.views import PART, Kept, KeptViews, packed

logger = logging.getLogger(__name__)

ABANDONED = 24 * 3600
"""Age in seconds from which a file under its temporary name is what a killed process left."""


def draw_views(trainer: SupervisedTrainer, *, seed: int) -> None:
    """Draw the views that a trainer's `KeptViews` lack; nothing where it trains from images, or all are there.

    What a view shows follows from seed, view and image alone: not from workers, processes or an interruption. Images,
    transforms, frozen networks, number format and seed are in the name of the views' folder, so that a changed one is
    drawn anew, and more views of the same are added.

    Args:
        trainer: whose network, loss, `prepare_batch` and number of workers are used.
        seed: of the run.

    Raises:
        ValueError: when the network is no `QFAE`, the loss none of frozen features, a transform cannot be told from
            another, the disk has no room, or processes see different disks.
    """
    kept = cast(DataLoader, trainer.data_loader).dataset
    if not isinstance(kept, KeptViews):
        return
    frozen = _Frozen(trainer)
    kept.key = frozen.key(kept, seed)
    missing = list(kept.missing())
    _agree(_announced(kept, missing, frozen) if missing and is_writer() else None)
    _draw(kept, missing, frozen, seed, workers=trainer.data_loader.num_workers)  # type: ignore[union-attr]
    _agree(None)  # all have drawn
    lacking = [kept.path(*one) for one in kept.missing()]
    _agree(f"{lacking[0]}: expected views on a disk that all processes see, got no such file" if lacking else None)


class _Frozen:
    """What a trainer does to a batch of images before anything that it trains."""

    def __init__(self, trainer: SupervisedTrainer) -> None:
        self.network: nn.Module = getattr(trainer.network, "module", trainer.network)  # within DistributedDataParallel
        self.loss, self.prepare = cast(nn.Module, trainer.loss_function), trainer.prepare_batch
        self.device = cast(torch.device, trainer.state.device)
        if not isinstance(self.network, QFAE) or not isinstance(self.loss, PerceptualLoss | TokenDistance):
            names = f"{type(self.network).__name__} and {type(self.loss).__name__}"
            raise ValueError(f"views: expected a QFAE and a distance of frozen features as its loss, got {names}")

    def key(self, kept: KeptViews, seed: int) -> str:
        """Name of all that the features depend on."""
        network, loss = cast(QFAE, self.network), cast(PerceptualLoss | TokenDistance, self.loss)
        parts = {
            "images": [source_fingerprint(entry) for entry in kept.source.data],
            "transforms": [kept.source.transform, self.prepare],
            "encoders": [(encoder.trunk, encoder.read) for encoder in network.encoders],
            "target": loss.depends_on(),
            "formats": [network.precision, kept.dtype],
            "draws": [seed, PART],
        }
        return fingerprint(parts, random=True)

    @torch.no_grad()
    def __call__(self, batch: Any, kept: KeptViews) -> Kept:
        """Features of a batch of the source."""
        seen, target = self.prepare(batch, self.device)
        states = cast(QFAE, self.network).states(seen)
        return packed(states, cast(PerceptualLoss | TokenDistance, self.loss).target(target), kept.dtype)

    def bytes_of_an_image(self, kept: KeptViews) -> int:
        """Of one view, by the shapes that the networks give."""
        image = torch.zeros(1, 1, *cast(QFAE, self.network).image_size, device=self.device)  # (1, 1, H, W)
        with torch.no_grad():
            states = cast(QFAE, self.network).states(image)
            found = packed(states, cast(PerceptualLoss | TokenDistance, self.loss).target(image), kept.dtype)
        return sum(values.nbytes for values in found.values())


class _Drawn(Dataset[tuple[int, Any]]):
    """Augmented parts of a data set, each with draws of its own, whoever asks for it and when."""

    def __init__(self, kept: KeptViews, places: Sequence[tuple[int, int]], seed: int) -> None:
        self.source = kept.source
        self.places = [(view, part, kept.rows(part)) for view, part in places]
        self.seed = seed

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> tuple[int, Any]:
        """Seed of a part, and its batch."""
        view, part, rows = self.places[index]
        number = int(np.random.SeedSequence([self.seed, view, part]).generate_state(1)[0])  # 32 bits
        set_determinism(seed=number, use_deterministic_algorithms=None)
        set_rnd(self.source.transform, seed=number)
        return number, list_data_collate([self.source[row] for row in rows])


def _draw(kept: KeptViews, missing: Sequence[tuple[int, int]], frozen: _Frozen, seed: int, *, workers: int) -> None:
    """Write this process's share of the missing files."""
    rank = torch.distributed.get_rank() if world_size() > 1 else 0
    # by place in all files: another process may see fewer of them missing by now
    share = [one for one in missing if (one[1] * kept.views + one[0]) % world_size() == rank]
    loader = DataLoader(_Drawn(kept, share, seed), batch_size=None, num_workers=workers, collate_fn=_as_it_is)
    bar = tqdm(loader, desc="keeping views", unit="part", disable=None if is_writer() else True)
    for (view, part), (number, batch) in zip(share, bar, strict=True):
        set_rnd(frozen.prepare, seed=number)
        found = {name: values.cpu().contiguous() for name, values in frozen(batch, kept).items()}
        with whole_file(kept.path(view, part), on_disk=True) as partial:
            save_file(found, partial)


def _announced(kept: KeptViews, missing: Sequence[tuple[int, int]], frozen: _Frozen) -> str | None:
    """Say what will be written; what is wrong with that, if there is no room."""
    remove_partials(kept.folder / kept.key, age=ABANDONED)
    kept.folder.mkdir(parents=True, exist_ok=True)
    each = frozen.bytes_of_an_image(kept)
    needed = each * sum(len(kept.rows(part)) for _, part in missing)  # bytes
    free = shutil.disk_usage(kept.folder).free  # bytes
    what = f"{kept.views} views of {kept.images} images, {each / 1e6:.3g} MB each"
    if needed > free:
        return (
            f"{kept.folder}: expected {needed / 1e9:.4g} GB of disk for {what}, got {free / 1e9:.4g} GB: lower views, "
            "or keep them on another disk (slice_store)"
        )
    logger.warning("keeping %s: %.4g GB to be written to %s", what, needed / 1e9, kept.folder)
    return None


def _agree(problem: str | None) -> None:
    """Wait for all processes; end all of them where one has a problem."""
    if found := next(filter(None, gather(problem)), None):
        raise ValueError(found)


def _as_it_is(item: Any) -> Any:
    return item
