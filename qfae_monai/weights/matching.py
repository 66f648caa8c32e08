"""Whether a state dict fits a network, decided by names and shapes before anything of the network is changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import Tensor, nn

TRUNK = ".trunk."  # part of the name of every weight of a frozen encoder trunk
SHOWN = 5  # differences named in an error
ABSENT_TRUNK_HINT = "; a file without its frozen trunk is loaded with trunk='optional' into a network that has one"

Trunk = Literal["required", "optional"]


def load_matching(
    network: nn.Module, state: Mapping[str, Tensor], *, source: object, trunk: Trunk = "required"
) -> None:
    """Load a state dict whose names and shapes are exactly the network's; on failure the network is as before.

    Args:
        network: what is filled.
        state: weights by name.
        source: what an error calls the state dict, usually its file.
        trunk: with `optional`, a frozen trunk may be absent as a whole, if the network's own has values.

    Raises:
        ValueError: if names or shapes differ, or a weight would be NaN after loading.
    """
    if trunk not in ("required", "optional"):
        raise ValueError(f"trunk must be 'required' or 'optional', got {trunk!r}")
    expected = network.state_dict()
    kept = _absent_trunks(expected, state) if trunk == "optional" else {}
    differences = shape_differences(expected, {**kept, **state})
    if differences:
        hint = "" if trunk == "optional" or not _absent_trunks(expected, state) else ABSENT_TRUNK_HINT
        raise ValueError(f"{source} does not fit {type(network).__name__}: {summarise(differences)}{hint}")
    _refuse_nan(kept, f"{source} holds no trunk, and neither does the network (made with weights='checkpoint'?)")
    _refuse_nan(state, f"{source} is not usable")
    network.load_state_dict({**{name: weight.clone() for name, weight in kept.items()}, **state})


def shape_differences(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    """One sentence for each weight whose shape differs or that only one side has.

    >>> import torch
    >>> shape_differences({"a": torch.zeros(2)}, {"a": torch.zeros(3)})
    ['a: expected (2), found (3)']
    """
    names = [*expected, *(name for name in found if name not in expected)]
    sides = ((name, _shape(expected.get(name)), _shape(found.get(name))) for name in names)
    return [f"{name}: expected {wanted}, found {came}" for name, wanted, came in sides if wanted != came]


def summarise(differences: list[str]) -> str:
    """The first few differences, and how many more there are."""
    more = f"; and {len(differences) - SHOWN} more" if len(differences) > SHOWN else ""
    return "; ".join(differences[:SHOWN]) + more


def _absent_trunks(expected: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The network's own weights of trunks of which the state dict holds nothing; a part of one is never enough."""
    stored = {name.split(TRUNK)[0] for name in state if TRUNK in name}
    return {name: weight for name, weight in expected.items() if TRUNK in name and name.split(TRUNK)[0] not in stored}


def _refuse_nan(state: Mapping[str, Tensor], what: str) -> None:
    names = [name for name, weight in state.items() if weight.is_floating_point() and bool(weight.isnan().any())]
    if names:
        raise ValueError(f"{what}: {len(names)} of {len(state)} weights hold NaN, {names[0]} is the first")


def _shape(weight: Tensor | None) -> str:
    return "none" if weight is None else f"({', '.join(map(str, weight.shape))})"
