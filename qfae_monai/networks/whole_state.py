"""A network that is filled as a whole: MONAI's `copy_model_state` leaves out what does not fit, and says nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

__all__ = ["WholeState"]


class WholeState(nn.Module):
    """A module that refuses a state dict of which a part is its own weights."""

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """As PyTorch's; refuses a state dict that is in part of this network itself.

        MONAI's `copy_model_state`, and with it `monai.bundle.load`, fills in the network's own weights wherever those
        of the file have another name or shape.

        Raises:
            ValueError: if some weights, but not all, are this network's own.
        """
        own = {name: weight.data_ptr() for name, weight in self.state_dict().items() if weight.numel()}
        left = [name for name, place in own.items() if name in state_dict and state_dict[name].data_ptr() == place]
        if 0 < len(left) < len(own):
            raise ValueError(
                f"expected weights for all {len(own)} tensors of the network, got {len(own) - len(left)}: none of its "
                f"name and shape for {left[0]!r}"
            )
        return super().load_state_dict(state_dict, strict, assign)
