"""Numbers of a configuration that change pixels or scores, which a calibration signs; and plain errors of a bundle."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from monai.bundle import ConfigParser

# Bundle errors without MONAI's wrapping: they state the cause, not its place in the configuration.


@contextmanager
def plain_errors() -> Iterator[None]:
    """Around whatever builds parts of a bundle: MONAI's parser wraps each error in RuntimeErrors that name the
    configuration's keys, and not what a user can do.

    Raises:
        ValueError, OSError: the wrapped one, where there is one.
        RuntimeError: MONAI's own otherwise, or one that was raised by the method itself.

    Example:
        >>> with plain_errors():
        ...     raise RuntimeError("Failed to instantiate") from ValueError("expected a depth from 1, got 0")
        Traceback (most recent call last):
        ValueError: expected a depth from 1, got 0
    """
    try:
        yield
    except RuntimeError as error:
        cause = root_cause(error)
        if isinstance(cause, ValueError | OSError):
            raise cause from error
        raise


def root_cause(error: BaseException) -> BaseException:
    """The error that nested RuntimeErrors wrap."""
    while isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__
    return error


SIGNED = (
    "model",
    "bits",
    "colours",
    "slice_axis",
    "slice_range",
    "slice_share",
    "min_foreground",
    "prepare",
    "normalize",
    "network_def",
    "score_distance",
    "scorer",
    "volume_score",
)
"""Keys of the bundle's configurations below which everything is signed: how pixels come to be, networks, scores."""

LATER = ("slice_share", "colours")
"""Signed where they are not null: models of earlier versions have no such key."""

EQUAL = {"qfae_monai.transforms.QuickResized": "monai.transforms.Resized"}
"""Words that are signed by the name that they had in earlier versions, as their pixels are the same to the last bit."""

NEUTRAL = ("weights", "frozen", "normals", "compile", "checkpointing", "trunk", "distance", "settings")
"""Arguments that change no score, lead to a file with a hash of its own, or stand under another signed key."""


def signature(config: ConfigParser) -> dict[str, Any]:
    """Plain values by their names, such as `model::dim` or `prepare::transforms::2::upper`.

    Args:
        config: train.yaml or inference.yaml with all overlays; nothing of it is built.

    Returns:
        Numbers, words, null, and lists of them.

    Raises:
        ValueError: if a value below a signed key is no plain one, such as the result of an expression that is built.
    """
    found = {key: resolved(config, key) for key in SIGNED if key in config}
    return dict(sorted(_flat({key: value for key, value in found.items() if key not in LATER or value is not None})))


def running_signature() -> dict[str, Any]:
    """The signature of the configuration that calls this in an expression."""
    return signature(running_configuration())


def stated_setting(key: str) -> Any:
    """Value of a key of the configuration that calls this in an expression; None where an older one has no such key."""
    config = running_configuration()
    return resolved(config, key) if key in config else None


def running_configuration() -> ConfigParser:
    """The configuration whose expression or component is being evaluated by MONAI right now.

    MONAI hands everything to what it builds but the configuration itself, so it is looked up among the callers.

    Raises:
        RuntimeError: outside of a configuration.
    """
    frame = sys._getframe(1)
    while frame is not None:
        owner = frame.f_locals.get("self")
        if isinstance(owner, ConfigParser):
            return owner
        frame = frame.f_back  # type: ignore[assignment]
    raise RuntimeError("expected to be called while MONAI evaluates a configuration")


def resolved(config: ConfigParser, key: str) -> Any:
    """Value under a key, with references followed and expressions evaluated; nothing with `_target_` is built.

    Raises:
        ValueError: if an expression gives something that JSON cannot hold.
    """
    apart = ConfigParser(copy.deepcopy(config.get()), globals=dict(config.globals))
    apart.parse()  # macros, and imports for the expressions
    return _resolved(apart, key)


def _resolved(config: ConfigParser, key: str) -> Any:
    value = config[key]
    if isinstance(value, str) and value.startswith("@"):
        return _resolved(config, value[1:])
    if isinstance(value, str) and value.startswith("$"):
        with plain_errors():
            return _plain(config.get_parsed_content(key), key)
    if isinstance(value, dict):
        return {name: _resolved(config, f"{key}::{name}") for name in value if name not in NEUTRAL}
    if isinstance(value, list):
        return [_resolved(config, f"{key}::{number}") for number in range(len(value))]
    return _plain(value, key)


def _plain(value: Any, key: str) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(one, f"{key}::{name}") for name, one in value.items() if name not in NEUTRAL}
    if isinstance(value, list | tuple):
        return [_plain(one, key) for one in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(f"{key}: expected a number, a word or a list of them, got a {type(value).__name__}")


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, list) and not any(isinstance(one, dict | list) for one in value):
        yield name, value
    elif isinstance(value, dict | list):
        for below, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _flat(one, f"{name}::{below}" if name else str(below))
    else:
        yield name, EQUAL.get(value, value)
