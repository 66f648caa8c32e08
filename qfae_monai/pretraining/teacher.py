"""Work of self-distillation around an optimiser step: the teacher follows, the head's last layer waits at first."""

from __future__ import annotations

from ignite.engine import Events
from lightly.models.utils import update_momentum
from lightly.utils.scheduler import cosine_schedule
from monai.engines import IterationEvents, SupervisedTrainer

from qfae_monai.pretraining.self_distillation import SelfDistillation
from qfae_monai.training.step_schedule import is_step


class TeacherUpdate:
    """Move the teacher towards the student after each step; its momentum rises to 1 over the run, by a cosine.

    Args:
        network: holds both.
        momentum: at the start.
        frozen_epochs: in which the head's last layer stays as it is (DINO: 1), which helps at first.
    """

    def __init__(self, network: SelfDistillation, *, momentum: float = 0.996, frozen_epochs: int = 1) -> None:
        if not 0 <= momentum <= 1:
            raise ValueError(f"momentum must be in [0, 1], got {momentum}")
        self.network, self.momentum = network, momentum
        self.network.student_head.freeze_last_layer = frozen_epochs

    def attach(self, engine: SupervisedTrainer) -> None:
        """Register with a MONAI trainer."""
        engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self._wait)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._follow)

    def _wait(self, engine: SupervisedTrainer) -> None:
        self.network.student_head.cancel_last_layer_gradients(engine.state.epoch - 1)

    def _follow(self, engine: SupervisedTrainer) -> None:
        if not is_step(engine):
            return
        steps = engine.state.max_epochs * engine.state.epoch_length
        momentum = cosine_schedule(min(engine.state.iteration, steps), steps, self.momentum, 1.0)
        update_momentum(self.network.student, self.network.teacher, momentum)
        update_momentum(self.network.student_head, self.network.teacher_head, momentum)
