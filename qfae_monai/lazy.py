"""Names of a package that are imported when they are asked for: importing the package stays cheap."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

__all__ = ["lazy_names"]


def lazy_names(package: str, modules: Mapping[str, tuple[str, ...]]) -> Callable[[str], Any]:
    """The `__getattr__` of a package whose names lie in its modules.

    Args:
        package: its `__name__`.
        modules: names by module, relative to the package: `{"series": ("Series",), ".anomaly": ("AnomalyScorer",)}`.
    """
    home = {name: module for module, names in modules.items() for name in names}

    def found(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f".{home[name]}", package), name)

    return found
