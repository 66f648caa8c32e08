"""Words that mean nothing on MONAI's command line: `true`, `false` and `null` are text, and `None` is left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

MEANT = {"true": "True", "false": "False", "null": "None", "~": "None"}
"""What a configuration of YAML says, and what `python -m monai.bundle` takes for it: Python's words alone."""
NOTHING = "$None"
"""The expression that sets an option to null: MONAI drops one that is None, and the configuration's value stays."""
MONAI = ("monai", "bundle", "__main__.py")


def check_words(command: Sequence[str]) -> None:
    """Refuse the words of YAML on the command line of MONAI, where text such as `false` counts as true, and `None`.

    Other commands, `qfae ... --set` among them, read YAML.

    Args:
        command: a process's arguments, its program first.

    Raises:
        ValueError: naming option, word and what to write.

    Example:
        >>> check_words(["site-packages/monai/bundle/__main__.py", "run", "--save_maps", "false"])
        Traceback (most recent call last):
        ValueError: --save_maps: expected a value of Python, got the text 'false'; write False
    """
    if not command or Path(command[0]).parts[-3:] != MONAI:
        return
    from fire.parser import DefaultParseValue  # noqa: PLC0415 (MONAI's command line has it; others go without)

    option = ""
    for argument in command[1:]:
        name, equals, value = argument.partition("=")
        if argument.startswith("--"):
            option = name
        if not argument.startswith("--") or equals:
            _check(option, DefaultParseValue(value if argument.startswith("--") else argument))


def _check(option: str, value: Any) -> None:
    if value is None:
        raise ValueError(f"{option}: expected a value that MONAI does not leave out, got None; write '{NOTHING}'")
    for word in _texts(value):
        meant = MEANT.get(word.lower())
        if meant is not None:
            meant = f"'{NOTHING}'" if meant == "None" and isinstance(value, str) else meant
            raise ValueError(f"{option}: expected a value of Python, got the text {word!r}; write {meant}")


def _texts(value: Any) -> Iterator[str]:
    """Every text in a value of lists and dictionaries, names aside."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)
