"""Names of earlier versions in configurations of saved models: rooms of the package that are called otherwise now."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from importlib.abc import Loader

__all__ = ["EARLIER", "EarlierModules", "without_rooms"]

EARLIER: dict[str, tuple[str, ...]] = {
    "qfae_monai.engines": ("qfae_monai.training",),
    "qfae_monai.engines.tuning": (),
    "qfae_monai.grey": ("qfae_monai.networks.grey",),
    "qfae_monai.handlers": ("qfae_monai.training", "qfae_monai.evaluation"),
    "qfae_monai.inferers": ("qfae_monai.anomaly",),
    "qfae_monai.losses": ("qfae_monai.anomaly",),
    "qfae_monai.metrics": ("qfae_monai.evaluation",),
    "qfae_monai.report": (),
    "qfae_monai.report.evaluation_report": ("qfae_monai.evaluation.evaluation_report",),
    "qfae_monai.report.pretraining_report": ("qfae_monai.evaluation.pretraining_report",),
    "qfae_monai.scoring": ("qfae_monai.anomaly",),
}
"""Modules by their earlier names, and where what was in them is now; nowhere for what is no more."""

_ROOMS = sorted(
    {name.removeprefix("qfae_monai.") for names in EARLIER.items() for name in (names[0], *names[1])}
    | {"data", "reading"},
    key=len,
    reverse=True,
)
_ROOM = "|".join(map(re.escape, _ROOMS))
_IMPORTED = re.compile(rf"\bqfae_monai\.(?:{_ROOM})( as) (?:{_ROOM}|tuning)$")
_NAMED = re.compile(rf"\bqfae_monai\.(?:{_ROOM})(?=\.)")
_ALIAS = re.compile(rf"(?<![\w.'\"])(?:{_ROOM}|tuning)(?=\.\w)")


def without_rooms(value: object) -> object:
    """A word of a configuration that says not in which room of the package something is, so that old and new compare.

    >>> without_rooms("$engines.replicated(@network)") == without_rooms("$training.replicated(@network)")
    True
    >>> without_rooms("qfae_monai.scoring.AnomalyScorer")
    'qfae_monai.*.AnomalyScorer'
    """
    if not isinstance(value, str):
        return value
    value = _NAMED.sub("qfae_monai.*", _IMPORTED.sub(r"qfae_monai.*\1 *", value))
    return _ALIAS.sub("*", value) if value.startswith("$") else value


class EarlierModules:
    """Import of modules by their earlier names: empty ones, whose names are looked up where they are now.

    A finder and a loader by their methods: the base classes in `importlib.abc` take longer to import than this package.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """For earlier names alone; as packages, so that modules within them can be found, too."""
        return ModuleSpec(fullname, cast("Loader", self), is_package=True) if fullname in EARLIER else None

    def create_module(self, spec: ModuleSpec) -> None:
        """An ordinary module."""

    def exec_module(self, module: ModuleType) -> None:
        """Give the empty module its look-up."""

        def look_up(name: str) -> Any:
            if not name.startswith("__"):
                for home in map(import_module, EARLIER[module.__name__]):
                    if hasattr(home, name):
                        return getattr(home, name)
            raise AttributeError(f"{module.__name__} is of an earlier version of this package: {name!r} is no more")

        module.__dict__.update(__getattr__=look_up, __file__=__file__)  # MONAI imports no package without a file
