"""Modules of earlier versions of this package, which the configurations of models made then still import."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from importlib.abc import Loader

EARLIER_MODULES: dict[str, tuple[str, ...]] = {"qfae_monai.engines.tuning": ()}
"""Modules that are no more, and the modules that now hold what they held."""


class EarlierModules:
    """Import of a module that is no more: an empty one, whose names are looked up where they are now.

    A finder and a loader by their methods: the base classes in `importlib.abc` take longer to import than this package.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """For the names in `EARLIER_MODULES` alone; as packages, so that modules within them can be listed, too."""
        return ModuleSpec(fullname, cast("Loader", self), is_package=True) if fullname in EARLIER_MODULES else None

    def create_module(self, spec: ModuleSpec) -> None:
        """An ordinary module."""

    def exec_module(self, module: ModuleType) -> None:
        """Give the empty module its look-up."""

        def look_up(name: str) -> Any:
            if not name.startswith("__"):
                for home in map(import_module, EARLIER_MODULES[module.__name__]):
                    if hasattr(home, name):
                        return getattr(home, name)
            raise AttributeError(f"{module.__name__} is of an earlier version of this package: {name!r} is no more")

        module.__dict__["__getattr__"] = look_up
