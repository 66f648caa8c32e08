"""Figures of a pretraining by epoch: losses, information in assignments, features; and collapse, which ends it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from ignite.metrics import Metric
from ignite.metrics.metric import reinit__is_reduced, sync_all_reduce
from monai.networks import eval_mode
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from qfae_monai.anomaly.rivals import FORWARD_BATCH, NearestNeighbours, NormalImages, patch_features
from qfae_monai.files import write_csv
from qfae_monai.training.processes import is_writer
from qfae_monai.training.training_guard import loss_of

# Information in the assignments of self-distillation about an image: zero once the network has collapsed.

Pairs = tuple[Tensor, Tensor]
"""Probabilities (..., K), and the logarithm (..., K) of what is to say the same."""


class AssignmentInformation(Metric):
    """Entropy of the mean assignment minus the mean cross entropy of one assignment and another, in nats.

    Of an assignment and itself it is the mutual information of image and prototype. Both ways in which
    self-distillation collapses end at 0: one prototype for all images, and all prototypes alike for each image. Of two
    views of an image it is a lower bound of what they share, which falls where a loss does not tell: when all look
    alike.

    Args:
        pairs: a MONAI evaluator's prediction -> two tensors (..., K), see `Pairs`.
    """

    def __init__(self, pairs: Callable[[Any], Pairs]) -> None:
        super().__init__(output_transform=lambda output: pairs(output["pred"]))

    @reinit__is_reduced
    def reset(self) -> None:
        self._sum: Tensor | float = 0.0
        self._cross_entropy: Tensor | float = 0.0
        self._count = 0

    @reinit__is_reduced
    def update(self, output: Pairs) -> None:
        # (M, K) each; float64, for sums over many batches
        found, other = (part.detach().flatten(0, -2).double() for part in output)
        self._sum = self._sum + found.sum(dim=0)  # (K,)
        self._cross_entropy = self._cross_entropy - (found * other).sum()  # nats
        self._count += len(found)

    @sync_all_reduce("_sum", "_cross_entropy", "_count")
    def compute(self) -> float:
        if not self._count:
            raise ValueError("expected held-out images to see what is said of them, got none")
        mean = torch.as_tensor(self._sum) / self._count  # (K,), how often each prototype is assigned
        return float(torch.special.entr(mean).sum() - self._cross_entropy / self._count)


# A network that sees no difference any more has collapsed: the run stops instead of writing useless weights.

ADVICE = (
    "lower learning_rate, raise batch_size or the number of images, or lower the teacher's temperature; "
    "a network that starts collapsed was given such initial_weights"
)


class CollapseError(ValueError):
    """Features or assignments no longer depend on the image.

    A ValueError, as all that a command says in one line: the data and the settings are to change, not the program.
    """


class CollapseCheck:
    """Stop a run when a figure stays below its floor.

    Args:
        floors: least value by name of an evaluator's metric.
        patience: in how many checks in a row it may be below before the run stops.

    Raises:
        CollapseError: from the evaluator's run, saying which figure, and what to do.
    """

    def __init__(self, floors: Mapping[str, float], *, patience: int = 2) -> None:
        if patience < 1:
            raise ValueError(f"patience must be at least 1, got {patience}")
        self.floors, self.patience = dict(floors), patience
        self._below = dict.fromkeys(floors, 0)

    def attach(self, engine: Engine) -> None:
        """Register with an evaluator, behind whatever computes its metrics."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        for name, floor in self.floors.items():
            found = float(engine.state.metrics[name])
            self._below[name] = 0 if found >= floor else self._below[name] + 1  # NaN is below, too
            if self._below[name] >= self.patience:
                raise CollapseError(
                    f"collapsed in epoch {engine.state.epoch}: expected {name} of at least {floor:g}, "
                    f"got {found:.3g}, below for {self._below[name]} checks. No weights are written. "
                    f"{ADVICE}"
                )


# `curves.csv`: losses and figures by epoch of a pretraining.

Row = dict[str, Any]


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a CSV whole or not at all; a column for each name that any row has, floats with six digits."""
    kept = list(rows)
    columns = list(dict.fromkeys(name for row in kept for name in row))
    write_csv(path, columns, ([_cell(row.get(name)) for name in columns] for row in kept))


def _cell(value: object) -> object:
    return f"{value:.6g}" if isinstance(value, float) else value


class Curves:
    """One row per epoch: `epoch`, `train_loss`, and the evaluator's metrics where it ran.

    `train_loss`, the mean over this process's batches, becomes a metric of the trainer for handlers behind this one.
    Has a state, so that a resumed run goes on with the rows of the run before.

    Args:
        path: of the CSV, written anew after each epoch by one process.
        evaluator: whose metrics are kept; it runs before, in the trainer's same event.
        interval: epochs from one of its runs to the next.
    """

    def __init__(self, path: str | os.PathLike, *, evaluator: Engine, interval: int) -> None:
        self.path, self.evaluator, self.interval = Path(path), evaluator, interval
        self.rows: list[Row] = []
        self._losses: list[Tensor] = []

    def attach(self, engine: Engine) -> None:
        """Register with a MONAI trainer, behind its `ValidationHandler`."""
        engine.add_event_handler(Events.EPOCH_STARTED, lambda _: self._losses.clear())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._keep)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._add)

    def state_dict(self) -> dict[str, list[Row]]:
        """Rows to store in a checkpoint."""
        return {"rows": [dict(row) for row in self.rows]}

    def load_state_dict(self, state: Mapping[str, list[Row]]) -> None:
        """Go on from a checkpoint."""
        self.rows = [dict(row) for row in state["rows"]]

    def _keep(self, engine: Engine) -> None:
        self._losses.append(loss_of(engine.state.output).detach())  # no wait for the device

    def _add(self, engine: Engine) -> None:
        epoch = engine.state.epoch
        engine.state.metrics["train_loss"] = torch.stack(self._losses).double().mean().item()
        row: Row = {"epoch": epoch, **engine.state.metrics}
        if epoch % self.interval == 0:
            row |= {name: float(value) for name, value in self.evaluator.state.metrics.items()}
        self.rows.append(row)
        if is_writer():
            write_rows(self.path, self.rows)


# Figures on a training network's features of normal images: their spread, and the distance of held-out images.


def spread(features: Tensor) -> tuple[float, float]:
    """Standard deviation over images at each place, and over places in each image, mean over all else.

    Args:
        features: (M, P, D) of M images, normalised over channels: both figures lie between 0 and 1.

    >>> spread(torch.tensor([[[1.0, -1.0], [1.0, -1.0]], [[-1.0, 1.0], [-1.0, 1.0]]]))
    (1.0, 0.0)
    """
    return float(features.std(dim=0, correction=0).mean()), float(features.std(dim=1, correction=0).mean())


class FeatureFigures:
    """Add three figures to an evaluator's metrics, for logs, curves and `CollapseCheck`.

    `neighbour_score`: mean over held-out images of the largest distance of a patch to its nearest normal patch at the
    same place. `spread_over_images` and `spread_over_patches`: see `spread`; near 0 all images, or all places, look
    alike to the network.

    Args:
        trunk: the network in training.
        reference: training images.
        held_out: other normal images.
        blocks: whose states are used; negative numbers count from the end.
    """

    def __init__(
        self,
        trunk: VisionTransformer,
        reference: NormalImages,
        held_out: NormalImages,
        *,
        blocks: Sequence[int] = (-1,),
    ) -> None:
        self.trunk, self.reference, self.held_out, self.blocks = trunk, reference, held_out, tuple(blocks)

    def attach(self, engine: Engine) -> None:
        """Register with an evaluator, before whatever reads its metrics."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        device = next(self.trunk.parameters()).device
        batches = self.held_out.images.to(device).split(FORWARD_BATCH)  # of (B, 1, H, W)
        with torch.no_grad(), eval_mode(self.trunk):
            blocks = [block % len(self.trunk.blocks) for block in self.blocks]
            over_images, over_patches = spread(torch.cat([patch_features(self.trunk, one, blocks) for one in batches]))
            neighbours = NearestNeighbours(self.trunk, self.reference, blocks=blocks)
            score = torch.cat([neighbours(batch).score for batch in batches]).mean().item()
        engine.state.metrics.update(
            neighbour_score=score, spread_over_images=over_images, spread_over_patches=over_patches
        )
