"""The bundle's configurations, read, merged, overridden and run: for every command and in one way."""

from __future__ import annotations

import ast
import difflib
import json
import logging
import re
import shlex
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fire.parser import DefaultParseValue
from monai.bundle import ConfigParser, run

from qfae_monai.files.configurations import OWN, path_text, read_configuration
from qfae_monai.files.typed_words import NOTHING
from qfae_monai.model.signature import plain_errors, resolved, signature

SUFFIX = ".yaml"
PYTHONS = ("True", "False", "None")
MONAI_LOGGERS = ("bundle.scripts", "bundle.workflows", "bundle.config_parser", "data.nvimgcodec_pydicom_plugin")


class Bundle:
    """Configurations merged in order, with values set by name on top.

    Args:
        names: of configurations of the package's bundle (`train`, `datasets/bmad`), or files of others (as `Path`).
        settings: values by key, such as `max_epochs` or `changes::dim`; they count more than the files.

    Raises:
        FileNotFoundError: if there is no such configuration.
        ValueError: if a file is no configuration.

    Example:
        >>> bundle = Bundle(["inference"], {"preset": "tiny"})
        >>> bundle.plain("model")["dim"]
        128
    """

    def __init__(self, names: Sequence[str | Path], settings: Mapping[str, Any] | None = None) -> None:
        self.files = [configuration_file(name) for name in names]
        self.settings = dict(settings or {})
        for file in self.files:
            read_configuration(file)  # says what is wrong with a file, which MONAI's own reader does not
        self.config = ConfigParser()
        self.config.read_config([str(file) for file in self.files])
        self.known = dict(self.config.get())
        self.config.update(self.settings)

    def __contains__(self, key: str) -> bool:
        return key in self.config

    def check_known(self, settings: Iterable[str], option: str = "--set") -> None:
        """Refuse names that a user gave and no configuration has: a typing error would change nothing, silently.

        Args:
            settings: keys.
            option: that they were given by.

        Raises:
            ValueError: naming the first, and a key like it.
        """
        for key in settings:
            top = re.split("::|#", key)[0]
            if top not in self.known:
                like = difflib.get_close_matches(top, list(self.known), n=1)
                raise ValueError(
                    f"{option}: expected a key of the configuration, got {key!r}"
                    f"{f'; there is {like[0]!r}' if like else ''}"
                )

    def part(self, key: str) -> Any:
        """Build the object under a configuration key, once and with everything that it refers to.

        Raises:
            ValueError, OSError: what was wrong with a value, a file or weights.
        """
        with plain_errors(), _without_plugin_news():
            return self.config.get_parsed_content(key)

    def plain(self, key: str) -> Any:
        """Plain values under a key, without building anything; raises ValueError if there are others."""
        with _without_plugin_news():
            return resolved(self.config, key)

    @property
    def signature(self) -> dict[str, Any]:
        """Everything that changes pixels or scores, by name."""
        return signature(self.config)

    def run(self, run_id: str, *, quiet: bool = False) -> None:
        """`python -m monai.bundle run RUN_ID` of these configurations, in this process.

        Args:
            run_id: key that is run, such as `training`.
            quiet: show progress, warnings and errors alone.

        Raises:
            ValueError, OSError: what was wrong with a setting, a weights file or a scan.
        """
        with plain_errors(), warnings.catch_warnings(), _level(logging.ERROR if quiet else logging.INFO):
            warnings.filterwarnings("ignore", message="parsing config_file")  # whose code it is was checked
            warnings.filterwarnings("ignore", message="(Detected deprecated name|NvImgCodec)")
            run(
                run_id=run_id,
                config_file=[str(file) for file in self.files],
                meta_file=str(OWN / "configs" / "metadata.json"),
                logging_file=str(OWN / "configs" / ("quiet.conf" if quiet else "logging.conf")),
                **{"bundle_root": path_text(OWN), **{key: _given(value) for key, value in self.settings.items()}},
            )

    def command(self, run_id: str) -> str:
        """The `python -m monai.bundle run` line that does the same."""
        files = [str(file) for file in self.files]
        named = shlex.quote(files[0]) if len(files) == 1 else '"' + json.dumps(files).replace('"', "'") + '"'
        settings = {"bundle_root": str(OWN), **self.settings}
        words = [
            f"--{key} {shlex.quote(_text(_given(value)))}"
            for key, value in settings.items()
            if value is not None or self.known.get(key, "nested") is not None
        ]
        return " \\\n  ".join([f"python -m monai.bundle run {run_id} --config_file {named}", *words])


@contextmanager
def _without_plugin_news() -> Iterator[None]:
    """MONAI looks for a plugin of its readers whenever a configuration is parsed, and tells that it is not there."""
    with warnings.catch_warnings(), _level(logging.ERROR):
        warnings.filterwarnings("ignore", message="NvImgCodec")
        yield


@contextmanager
def _level(level: int) -> Iterator[None]:
    """MONAI's own messages on a run, which have handlers of their own and are no news to whoever runs a command."""
    loggers = [logging.getLogger(f"monai.{name}") for name in MONAI_LOGGERS]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(level)
    try:
        yield
    finally:
        for logger, was in zip(loggers, before, strict=True):
            logger.setLevel(was)


def configuration_file(name: str | Path) -> Path:
    """File of a configuration: a path as it is, a name in the package's bundle.

    Raises:
        FileNotFoundError: if there is no such file; the message lists names like it.
    """
    file = name if isinstance(name, Path) else OWN / "configs" / f"{name}{SUFFIX}"
    if not file.is_file():
        there = sorted(path.stem for path in file.parent.glob(f"*{SUFFIX}")) if file.parent.is_dir() else []
        raise FileNotFoundError(f"{file}: expected a configuration{f' of {there}' if there else ''}, found none")
    return file


def parse_settings(pairs: Iterable[str]) -> dict[str, Any]:
    """KEY=VALUE of the command line; a value is JSON or Python's where it reads as that, else text.

    Raises:
        ValueError: naming what is no KEY=VALUE.

    >>> parse_settings(["compile=false", "changes::dim=192", "preset=tiny"])
    {'compile': False, 'changes::dim': 192, 'preset': 'tiny'}
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise ValueError(f"--set: expected KEY=VALUE, got {pair!r}")
        found[key] = _typed(value)
    return found


def _typed(text: str) -> Any:
    with suppress(json.JSONDecodeError):
        return json.loads(text)
    if text in PYTHONS or text[:1] in ("[", "{"):  # the text False would count as true
        with suppress(ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            return ast.literal_eval(text)
    return text


def _given(value: Any) -> Any:
    """A value as MONAI's run takes it, which leaves None out."""
    return NOTHING if value is None else value


def _text(value: Any) -> str:
    """A value as MONAI's command line reads it: Python, not JSON."""
    return value if isinstance(value, str) and DefaultParseValue(value) == value else repr(value)
