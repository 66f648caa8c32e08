"""Fingerprints: what an object does, or a volume's files hold, as a text that differs where they differ."""

from __future__ import annotations

import hashlib
import re
import sys
import threading
from collections.abc import Mapping
from enum import Enum
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from os import PathLike
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import numpy as np
import torch
from monai.data import ImageReader, MetaTensor
from monai.transforms import Compose, Randomizable

import qfae_monai
from qfae_monai.files import sha256_of_files
from qfae_monai.reading.voxel_files import voxel_files

__all__ = ["fingerprint", "source_fingerprint"]

PACKAGES = ("monai", "nibabel", "numpy", "pydicom", "SimpleITK", "torch")
"""What reads and computes pixels, beside this package: another version of one may give others."""

IDENTIFIERS = ("case", "patient")
"""Keys of an entry that say whose volume it is, and nothing about its pixels."""

RANDOM = re.compile(r"^(.+) draws by (\w+)$", re.M)
"""Line of a random transform in a description: where it is, and its class."""

DETACHED = (".nhdr", ".hdr", ".img")
"""Files that hold a volume's header or its voxels, not both, and that the series reader does not read."""


def fingerprint(thing: Any, *, random: bool = False) -> str:
    """SHA-256 of what an object is made of: its classes with their source, and every attribute down to the numbers.

    The same from one process to the next, and before and after use. Versions of the packages that compute pixels are
    part of it. What MONAI keeps of the last use is not.

    Args:
        thing: a number, text, container, array, tensor, function or any object whose attributes are such.
        random: whether random transforms are described, too, which hold for as long as they have drawn nothing; others
            are refused.

    Raises:
        ValueError: when a part is random, or cannot be told from another: a handle, a lambda.

    Example:
        >>> fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1}) != fingerprint({"a": 1, "b": 2.0})
        True
    """
    parts = [f"qfae_monai {qfae_monai.__version__}", *(f"{name} {_version(name)}" for name in PACKAGES)]
    described = _describe(thing, type(thing).__name__, ())
    if not random and (found := RANDOM.search(described)):
        raise ValueError(f"{found[1]}: expected a transform that gives the same each time, got a {found[2]}")
    return hashlib.sha256("\n".join([*parts, described]).encode()).hexdigest()


def source_fingerprint(entry: Mapping[str, Any]) -> str:
    """SHA-256 of what a volume's entry in a data list holds: the content of its files, and its other values.

    Args:
        entry: paths of files or folders, lists of paths, and other values. `case` and `patient` do not count, nor
            does where a file lies.

    Raises:
        ValueError: when a file is half of a pair of header and voxels whose other half would not count, as .hdr is; or
            a header names a file that it must not.

    Example:
        >>> source_fingerprint({"image_label": 0, "case": "a"}) == source_fingerprint({"image_label": 0, "case": "b"})
        True
    """
    content = {key: _content(value) for key, value in entry.items() if key not in IDENTIFIERS}
    return hashlib.sha256(_describe(content, "entry", ()).encode()).hexdigest()


def _content(value: Any) -> Any:
    """A value of an entry, with content in place of paths."""
    if isinstance(value, list | tuple):
        return [_content(one) for one in value]
    if not isinstance(value, str | PathLike):
        return value
    path = Path(value)
    if path.is_file():
        return _file(path)
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return {file.relative_to(path).as_posix(): _file(file) for file in files}
    return str(value)


def _file(path: Path) -> str:
    if path.suffix.lower() in DETACHED:
        raise ValueError(
            f"{path}: expected a volume that the series reader reads (.nii, .nii.gz, .nrrd, .mha, .mhd, DICOM), got "
            "half of a pair, whose other half a slice store would not see change"
        )
    return f"file {sha256_of_files(voxel_files(path))}"


@cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _describe(thing: Any, where: str, above: tuple[int, ...]) -> str:  # noqa: PLR0911 (one line per kind of object)
    """A text of all that an object is made of.

    Args:
        thing: the object.
        where: how to reach it, for messages.
        above: identities of the objects that it is part of; one of them again is a loop.
    """
    if id(thing) in above:
        return f"loop to {len(above) - above.index(id(thing))} above"
    above = (*above, id(thing))
    if thing is None or isinstance(thing, bool | int | float | complex | str | bytes | slice | range | np.dtype):
        return f"{type(thing).__name__} {thing!r}"
    if isinstance(thing, torch.dtype | torch.device | torch.Size):
        return str(thing)
    if isinstance(thing, MetaTensor):
        return f"{_describe(thing.as_tensor(), where, above)} {_describe(thing.meta, f'{where}.meta', above)}"
    if isinstance(thing, torch.Tensor):
        pixels = thing.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        return f"tensor {thing.dtype} {tuple(thing.shape)} {_array(pixels, where)}"
    if type(thing) is np.ndarray or isinstance(thing, np.generic):
        return _array(np.asarray(thing), where)
    if isinstance(thing, Mapping):
        return _mapping(thing, where, above)
    if isinstance(thing, list | tuple):
        inner = [_describe(one, f"{where}[{index}]", above) for index, one in enumerate(thing)]
        return f"{type(thing).__name__} [{', '.join(inner)}]"
    if isinstance(thing, set | frozenset):
        return f"set {sorted(_describe(one, where, above) for one in thing)}"
    return _behaviour(thing, where, above)


def _behaviour(thing: Any, where: str, above: tuple[int, ...]) -> str:  # noqa: PLR0911
    """Text of what can be called, or has attributes."""
    if isinstance(thing, type):
        return _class(thing, where)
    if isinstance(thing, FunctionType):
        return _function(thing, where, above)
    if isinstance(thing, MethodType):
        return f"{thing.__name__} of {_describe(thing.__self__, where, above)}"
    if isinstance(thing, BuiltinFunctionType | np.ufunc):
        return f"function {getattr(thing, '__module__', '')}.{thing.__name__}"
    if isinstance(thing, partial):
        return f"partial {_describe((thing.func, thing.args, thing.keywords), where, above)}"
    if isinstance(thing, Enum):
        return f"{_class(type(thing), where)} {thing.name}"
    if isinstance(thing, PathLike):
        return f"path {thing}"
    if not hasattr(thing, "__dict__") or type(thing).__module__.split(".")[0] in sys.stdlib_module_names:
        raise ValueError(f"{where}: expected an object that its attributes describe, got {thing!r}")
    attributes = {name: value for name, value in vars(thing).items() if not _is_state(thing, name, value)}
    random = isinstance(thing, Randomizable) and type(thing) is not Compose
    # texts of others have no line feed
    drawn = f"\n{where} draws by {type(thing).__name__}\n" if random else ""
    return f"{drawn}{_class(type(thing), where)} {_mapping(attributes, where, above)}"


def _is_state(thing: Any, name: str, value: Any) -> bool:
    """Whether an attribute is what MONAI keeps of the last use: no parameter, and absent before the first."""
    # draws that a Compose hands on, whether a transform is being traced, the files that a reader has read last
    return isinstance(value, np.random.RandomState | threading.local) or (
        isinstance(thing, ImageReader) and name == "filenames"
    )


def _mapping(mapping: Mapping[Any, Any], where: str, above: tuple[int, ...]) -> str:
    items = {_describe(key, where, above): _describe(one, f"{where}.{key}", above) for key, one in mapping.items()}
    return f"{{{', '.join(f'{key}: {items[key]}' for key in sorted(items))}}}"


def _array(array: np.ndarray, where: str) -> str:
    if array.dtype.hasobject:
        raise ValueError(f"{where}: expected an array of numbers, got one of Python objects")
    return f"array {array.dtype.str} {array.shape} {hashlib.sha256(array.tobytes()).hexdigest()}"


def _class(kind: type, where: str) -> str:
    """A class's name, and the source of it and of the classes that it builds on."""
    for one in kind.__mro__:
        known = one.__module__.split(".")[0] in sys.stdlib_module_names and one.__module__ != "__main__"
        if not known and not getattr(sys.modules.get(one.__module__), "__file__", None):
            raise ValueError(f"{where}: expected a class from a file, got {one.__qualname__} of {one.__module__}")
    return f"class {' '.join(f'{one.__module__}.{one.__qualname__} {_source(one.__module__)}' for one in kind.__mro__)}"


def _function(function: FunctionType, where: str, above: tuple[int, ...]) -> str:
    """A function's name, defaults and closure, and the source of its module; what has no name or file is refused."""
    source = _source(function.__module__)
    if "<lambda>" in function.__qualname__ or not source:
        raise ValueError(f"{where}: expected a function with a name from a file, got {function.__qualname__}")
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    state = _describe((function.__defaults__, function.__kwdefaults__, cells), where, above)
    return f"function {function.__module__}.{function.__qualname__} {source} {state}"


@cache
def _source(module: str) -> str:
    """SHA-256 of a module's source file; empty for what has none, as compiled modules."""
    path = getattr(sys.modules.get(module), "__file__", None)
    if not path or not path.endswith(".py") or not Path(path).is_file():
        return ""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
