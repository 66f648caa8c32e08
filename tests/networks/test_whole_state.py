"""Loading in part is refused: MONAI's own way in leaves out what has another shape."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from monai.networks.utils import copy_model_state
from torch import nn

from qfae_monai.networks.execution import WholeState


class Network(WholeState):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, width)


def test_a_state_of_other_shapes_is_refused_with_what_is_missing() -> None:
    network = Network(4)
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    with pytest.raises(ValueError, match=r"all 4 tensors of the network, got 2: none .* 'second\.weight'"):
        copy_model_state(network, Network(5).state_dict())
    assert all(torch.equal(weight, before[name]) for name, weight in network.state_dict().items())


def test_whole_states_are_loaded() -> None:
    network, other = Network(4), Network(4)
    copy_model_state(network, other.state_dict())
    assert all(torch.equal(weight, other.state_dict()[name]) for name, weight in network.state_dict().items())
    network.load_state_dict(network.state_dict())  # its own as a whole changes nothing
    copy_model_state(network, OrderedDict(network.state_dict()))
