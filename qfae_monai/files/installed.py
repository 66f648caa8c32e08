"""Location of the installed files that are not the package's Python code: the bundle, and the data set recipes.

A wheel holds both inside of the package; in a checkout they lie beside it.
"""

from __future__ import annotations

import ast
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

__all__ = ["bundle_folder", "recipe", "recipes", "recipes_folder"]

PACKAGE = Path(__file__).resolve().parents[1]
NO_RECIPES = ("__init__", "command")


def bundle_folder() -> Path:
    """Folder of the MONAI bundle: `configs`, `docs`, LICENSE."""
    inside = PACKAGE / "bundle"
    return inside if (inside / "configs").is_dir() else PACKAGE.parent / "bundles" / "qfae"


def recipes_folder() -> Path:
    """Folder of the recipes, one Python file each."""
    inside = PACKAGE / "preprocessing"
    return inside if (inside / "__init__.py").is_file() else PACKAGE.parent / "preprocessing"


def recipes() -> dict[str, str]:
    """Name of each recipe, and what its first line says; none is imported.

    >>> sorted(recipes())
    ['brats2021', 'liver_ct', 'resc_oct', 'rsna_cxr', 'volumes']
    """
    files = sorted(file for file in recipes_folder().glob("*.py") if file.stem not in NO_RECIPES)
    texts = {file.stem: ast.get_docstring(ast.parse(file.read_bytes())) or "" for file in files}
    return {name: text.partition("\n")[0] for name, text in texts.items()}


def recipe(name: str) -> ModuleType:
    """The module of a recipe; its `app` is its command line.

    Raises:
        ValueError: if there is no recipe of that name.
    """
    known = recipes()
    if name not in known:
        raise ValueError(f"expected a recipe ({', '.join(known) or 'none is installed'}), got {name!r}")
    folder = recipes_folder()
    if folder.parent == PACKAGE:
        return import_module(f"{PACKAGE.name}.{folder.name}.{name}")
    if str(folder.parent) not in sys.path:  # worker processes are started with this path too
        sys.path.insert(0, str(folder.parent))
    return import_module(f"{folder.name}.{name}")
