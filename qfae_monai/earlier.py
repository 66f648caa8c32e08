"""Names of earlier versions in configurations of saved models: rooms of the package that are called otherwise now."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["install", "without_rooms"]

EARLIER: dict[str, tuple[str, ...]] = {
    "qfae_monai.engines": ("qfae_monai.training",),
    "qfae_monai.engines.tuning": ("qfae_monai.training.tuning",),
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
"""Modules by their earlier names, and where what was in them is now."""

_ROOMS = sorted(
    {name.removeprefix("qfae_monai.") for names in EARLIER.items() for name in (names[0], *names[1])}
    | {"data", "reading"},
    key=len,
    reverse=True,
)
_ROOM = "|".join(map(re.escape, _ROOMS))
_IMPORTED = re.compile(rf"\bqfae_monai\.(?:{_ROOM})(?= as )( as) \w+")
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


class EarlierModules(MetaPathFinder, Loader):
    """Finder of modules by their earlier names: empty ones, whose attributes are looked up where they are now."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        """A package's spec for an earlier name, None for all others."""
        return ModuleSpec(fullname, self, is_package=True) if fullname in EARLIER else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module, still empty."""
        module = ModuleType(spec.name)
        module.__getattr__ = partial(_found, spec.name)  # type: ignore[method-assign]
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is run."""


def _found(earlier: str, name: str) -> Any:
    for module in EARLIER[earlier]:
        try:
            return getattr(import_module(module), name)
        except AttributeError:
            continue
    raise AttributeError(f"module {earlier!r} has no attribute {name!r}")


def install() -> None:
    """Have modules found by their earlier names, once."""
    if not any(isinstance(finder, EarlierModules) for finder in sys.meta_path):
        sys.meta_path.append(EarlierModules())
