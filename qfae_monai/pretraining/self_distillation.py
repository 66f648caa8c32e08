"""Self-distillation of a student from its own moving average (DINO, Caron et al. 2021; iBOT, Zhou et al. 2022).

Heads and losses are lightly's.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from ignite.engine import Events
from lightly.loss import DINOLoss, IBOTPatchLoss, KoLeoLoss
from lightly.models.modules import DINOProjectionHead
from lightly.models.utils import random_block_mask, update_momentum
from lightly.utils.scheduler import cosine_schedule
from monai.engines import IterationEvents, SupervisedTrainer
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn.modules.loss import _Loss

from qfae_monai.networks.precision import Precision, autocast, check_precision
from qfae_monai.pretraining.augment import NUM_GLOBAL
from qfae_monai.pretraining.curves import Pairs
from qfae_monai.pretraining.trunk import TOKEN_INIT_STD, encode
from qfae_monai.training.epochs import is_step

# Teacher of self-distillation: it follows the student after each step, and the head's last layer waits at first.


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
        steps = engine.state.max_epochs * engine.state.epoch_length  # iterations of the whole run
        momentum = cosine_schedule(min(engine.state.iteration, steps), steps, self.momentum, 1.0)
        update_momentum(self.network.student, self.network.teacher, momentum)
        update_momentum(self.network.student_head, self.network.teacher_head, momentum)


LEAST_HIDDEN = 0.1
"""Smallest share of patches hidden in an image, as in DINOv2."""
SMALLEST_BLOCK = 4
"""Patches in the smallest hidden block, as in iBOT."""


class Assignments(NamedTuple):
    """Logits over K prototypes, float32.

    Attributes:
        teacher: (2, B, K), of the global views.
        student: (2 + L, B, K), of all views.
        classes: (2, B, D), the student's class tokens of the global views.
        teacher_patches, student_patches: (M, K), of the patches hidden from the student; None without.
        hidden: boolean (2 * B, H/p, W/p), which patches those are.
    """

    teacher: Tensor
    student: Tensor
    classes: Tensor
    teacher_patches: Tensor | None = None
    student_patches: Tensor | None = None
    hidden: Tensor | None = None


class SelfDistillation(nn.Module):
    """Student and teacher: the same vision transformer and head, the teacher without gradient.

    Args:
        student: made with `dynamic_img_size` where there are local views.
        head: makes a head, which maps class and patch tokens to prototypes, one for both as in iBOT.
        hidden_share: largest share of an image's patches hidden from the student, in half of the global views; 0 hides
            none.
        precision: what matrix products run in, as in `compute_dtype`.
    """

    def __init__(
        self,
        student: VisionTransformer,
        head: Callable[[], DINOProjectionHead],
        *,
        hidden_share: float = 0.5,
        precision: Precision = "float32",
    ) -> None:
        super().__init__()
        check_precision(precision)
        self.hidden_share, self.precision = hidden_share, precision
        self.student, self.student_head = student, head()
        self.teacher, self.teacher_head = copy.deepcopy(student).requires_grad_(False), head().requires_grad_(False)
        self.teacher_head.load_state_dict(self.student_head.state_dict())  # a head's weight norm cannot be copied
        self.hidden_token = nn.Parameter(torch.randn(1, 1, student.embed_dim) * TOKEN_INIT_STD)
        self.hidden_token.requires_grad_(hidden_share > 0)

    @property
    def trunk(self) -> VisionTransformer:
        """Network to keep in the end: the teacher, an average over the student's last steps."""
        return self.teacher

    def forward(self, views: Sequence[Tensor]) -> Assignments:
        """views: two of (B, 1, S, S), then any number of (B, 1, s, s), normalised. In eval mode nothing is hidden."""
        # (2 * B, 1, S, S), and L of (B, 1, s, s)
        whole, local = torch.cat(list(views[:NUM_GLOBAL])), list(views[NUM_GLOBAL:])
        hidden, places = None, None
        if self.training and self.hidden_share > 0:
            drawn = self._draw_hidden(whole)  # (2 * B, H/p, W/p), on the host, which waits for no device to count them
            hidden, places = (part.to(whole.device) for part in (drawn, drawn.flatten().nonzero()[:, 0]))  # (M,)
        with autocast(whole.device, self.precision):
            with torch.no_grad():
                # (2 * B, K) and (M, K)
                teacher, teacher_patches = self._assign(self.teacher_head, encode(self.teacher, whole), places)
            # (2 * B, prefix + N, D)
            tokens = encode(self.student, whole, hidden=hidden, hidden_token=self.hidden_token)
            student, student_patches = self._assign(self.student_head, tokens, places)
            if local:
                more, _ = self._assign(self.student_head, encode(self.student, torch.cat(local)), None)
                student = torch.cat([student, more])  # ((2 + L) * B, K)
        teacher, student, classes = (
            # (2, B, K), (2 + L, B, K) and (2, B, D)
            part.unflatten(0, (-1, len(views[0])))
            for part in (teacher, student, tokens[:, 0])
        )
        return Assignments(teacher, student, classes.float(), teacher_patches, student_patches, hidden)

    def _assign(self, head: nn.Module, tokens: Tensor, places: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Logits of the class tokens (B, K) and of the batch's patches of these numbers (M, K)."""
        classes = head(tokens[:, 0]).float()
        if places is None:
            return classes, None
        return classes, head(tokens[:, self.student.num_prefix_tokens :].flatten(0, 1)[places]).float()

    def _draw_hidden(self, whole: Tensor) -> Tensor:
        """Blocks of patches in half of the images, (B, H/p, W/p)."""
        rows, columns = self.student.patch_embed.grid_size  # patches
        least = min(LEAST_HIDDEN, self.hidden_share)
        block = max(1, min(SMALLEST_BLOCK, int(least * rows * columns)))  # a small grid has no room for iBOT's four
        return random_block_mask(
            (len(whole), rows, columns),
            min_image_mask_ratio=least,
            max_image_mask_ratio=self.hidden_share,
            min_num_masks_per_block=block,
        )


class SelfDistillationLoss(_Loss):
    """DINO's loss over views, iBOT's over hidden patches, and DINOv2's KoLeo term, which keeps images apart.

    Args:
        prototypes: K, the head's output.
        patch_weight: of iBOT's part; 0 leaves it out.
        apart_weight: of the KoLeo term, without which slices as alike as those of one organ soon look all the same.
        teacher_temp, student_temp: the teacher's is lower, so that the student sharpens.
        center_momentum: of the moving mean that is taken from the teacher's logits, so that no prototype takes all.
    """

    def __init__(
        self,
        prototypes: int,
        *,
        patch_weight: float = 1.0,
        apart_weight: float = 0.1,
        teacher_temp: float = 0.04,
        student_temp: float = 0.1,
        center_momentum: float = 0.9,
    ) -> None:
        super().__init__()
        self.patch_weight, self.apart_weight = patch_weight, apart_weight
        temperatures = {"teacher_temp": teacher_temp, "student_temp": student_temp}
        self.views = DINOLoss(
            prototypes, warmup_teacher_temp=teacher_temp, center_momentum=center_momentum, **temperatures
        )
        self.apart = KoLeoLoss()
        self.patches = IBOTPatchLoss(prototypes, center_momentum=center_momentum, **temperatures)

    def forward(self, input: Assignments, target: Tensor) -> Tensor:
        """input: of `SelfDistillation`; target: not used -> a scalar. The centres move with each call."""
        loss = self.views(list(input.teacher), list(input.student))
        if self.patch_weight and input.hidden is not None:
            loss = loss + self.patch_weight * self.patches(input.teacher_patches, input.student_patches, input.hidden)
        if self.apart_weight:
            loss = loss + self.apart_weight * torch.stack([self.apart(view) for view in input.classes]).mean()
        return loss

    def teacher_pairs(self, input: Assignments) -> Pairs:
        """Teacher's assignments of each global view, (2, B, K), beside their own logarithms; no centre moves."""
        logits = (input.teacher - self.views.center) / self.views.teacher_temp  # (2, B, K)
        return logits.softmax(dim=-1), logits.log_softmax(dim=-1)

    def view_pairs(self, input: Assignments) -> Pairs:
        """Teacher's assignments of each global view, beside the student's log-assignments of the other view."""
        said, _ = self.teacher_pairs(input)
        student = (input.student[:NUM_GLOBAL] / self.views.student_temp).log_softmax(dim=-1)  # (2, B, K)
        return said, student.flip(0)  # the student's view is never the teacher's own
