"""Code in MONAI configurations: found, and refused unless it is this installation's or the user trusts it.

`$...` is evaluated, `_target_` names what is called, `imports` what is imported, `%file` opens another configuration.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from qfae_monai.files.installed import bundle_folder
from qfae_monai.files.reading import DEEPEST, check_depth, parse_object, read_bytes
from qfae_monai.files.tables import shown

OWN = bundle_folder()
"""The bundle of this installation."""

SUFFIXES = (".json", ".yaml", ".yml")
MARKS = ("$", "@", "%")  # MONAI: expression, reference, other file
CALLS = ("_target_", "_requires_", "_disabled_", "_mode_", "imports")
DOCUMENTS = ("_desc_", "_row_")  # keys that describe an overlay
PLAIN_KEY = re.compile(r"(changes::)?[A-Za-z][A-Za-z0-9_]*")
MOST_PLACES = 100_000  # YAML's anchors can make a small file a large one


def path_text(path: str | os.PathLike) -> str:
    """A path as it may stand in a configuration: a name that begins with a mark gets `./` before it.

    >>> path_text("$open('x')"), path_text("models/model.pt")
    ("./$open('x')", 'models/model.pt')
    """
    text = os.fspath(path)
    return os.path.join(os.curdir, text) if text.startswith(MARKS) else text


def read_configuration(path: Path) -> dict[str, Any]:
    """The content of a configuration as data: nothing of it is evaluated, called or opened.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no configuration.
    """
    content = read_bytes(path, "a configuration")
    if path.suffix not in (".yaml", ".yml"):
        found: Any = parse_object(content, path, what="a configuration")
    else:
        try:
            found = yaml.safe_load(content)
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            reason = type(error).__name__
            raise ValueError(f"{path}: expected a configuration, got a file that is not ({reason})") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path}: expected a configuration, got {shown(found)}")
    if any(place is None for place in _places(found)):
        raise ValueError(f"{path}: expected a configuration of at most {MOST_PLACES} values, got more")
    try:
        check_depth(found)
    except RecursionError:
        raise ValueError(f"{path}: expected a configuration of at most {DEEPEST} levels, got a deeper one") from None
    return found


def code_in(content: Any) -> list[tuple[str, Any]]:
    """Key and value of every place that runs, calls, imports or opens something.

    Args:
        content: of a configuration, as `read_configuration` reads it.

    >>> code_in({"lr": 0.1, "loss": {"_target_": "torch.nn.L1Loss"}, "device": "$torch.device('cpu')"})
    [('loss::_target_', 'torch.nn.L1Loss'), ('device', "$torch.device('cpu')")]
    """
    return [place for place in _places(content) if place is not None and _runs(*place)]


def words_in(content: Any) -> list[tuple[str, Any]]:
    """Key and value of every word, and of all that `code_in` finds; numbers, null and true or false are left out.

    Args:
        content: of a configuration, as `read_configuration` reads it.

    >>> words_in({"lr": 0.1, "loss": {"_target_": "torch.nn.L1Loss", "reduction": "none"}})
    [('loss::_target_', 'torch.nn.L1Loss'), ('loss::reduction', 'none')]
    """
    found = [place for place in _places(content) if place is not None]
    return [place for place in found if not _is_number(place[1]) or _runs(*place)]


def check_trusted(overlays: Sequence[Path], *, trusted: bool) -> None:
    """Refuse to run configurations that came from elsewhere, unless the user said that they are trusted.

    The package's own configurations run; an overlay from elsewhere may set plain values by their names (numbers, words,
    lists of them), as a preset of sizes does.

    Args:
        overlays: configurations; what is no file is left to whoever reads it.
        trusted: what the user said of them all.

    Raises:
        ValueError: naming the file, what it would run and what to type.
    """
    for path in () if trusted else overlays:
        if path.is_file() and not path.resolve().is_relative_to(OWN / "configs"):
            content = read_configuration(path)
            odd = [(key, value) for key, value in content.items() if not _is_plain(key, value)]
            _refuse(path, code_in(content) or odd)


def _refuse(path: Path, code: Sequence[tuple[str, Any]]) -> None:
    if code:
        key, value = code[0]
        raise ValueError(
            f"{path}: expected plain values by their names, or --trust beside it: a configuration is code, and "
            f"{shown(key)} here is {shown(value)} (1 of {len(code)} places); `qfae inspect {path}` shows all and runs "
            "none"
        )


def _is_plain(key: Any, value: Any) -> bool:
    if key in DOCUMENTS:
        return not code_in({key: value})
    if not isinstance(key, str) or not PLAIN_KEY.fullmatch(key) or key in CALLS:
        return False
    if isinstance(value, dict):  # numbers of a network, by name
        return key.startswith("changes::") and all(_is_plain(name, one) for name, one in value.items())
    values = value if isinstance(value, list) else [value]
    return all(
        one is None or isinstance(one, bool | int | float) or (isinstance(one, str) and not one.startswith(MARKS))
        for one in values
    )


def _is_number(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float)


def _runs(key: str, value: Any) -> bool:
    parts = re.split(r"::|#", key)
    evaluated = isinstance(value, str) and value.startswith(("$", "%"))
    return evaluated or any(part.lstrip("+~") in CALLS for part in parts)


def _places(content: Any) -> Iterator[tuple[str, Any] | None]:
    """Key and value of everything that holds nothing else, in order; None where YAML's anchors make it endless."""
    waiting: list[tuple[str, Any]] = [("", content)]
    seen = 0
    while waiting:
        key, value = waiting.pop()
        seen += 1
        if seen > MOST_PLACES:
            yield None
            return
        if isinstance(value, dict | list):
            below = value.items() if isinstance(value, dict) else enumerate(value)
            waiting += [(f"{key}::{name}" if key else str(name), one) for name, one in reversed(list(below))]
        else:
            yield key, value
