"""A network that sees no difference any more has collapsed: the run stops instead of writing useless weights."""

from __future__ import annotations

from collections.abc import Mapping

from ignite.engine import Engine, Events

ADVICE = ("lower learning_rate, raise batch_size or the number of images, or lower the teacher's temperature; "
          "a network that starts collapsed was given such initial_weights")  # fmt: skip


class CollapseError(RuntimeError):
    """Features or assignments no longer depend on the image."""


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
                raise CollapseError(f"collapsed in epoch {engine.state.epoch}: expected {name} of at least {floor:g}, "
                                    f"got {found:.3g}, below for {self._below[name]} checks. No weights are written. "
                                    f"{ADVICE}")  # fmt: skip
