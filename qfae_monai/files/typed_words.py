"""Words that mean nothing on MONAI's command line: `true`, `false` and `null` are text, and `None` is left out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MEANT = {"true": "True", "false": "False", "null": "None", "~": "None"}
"""What a configuration of YAML says, and what `python -m monai.bundle` takes for it: Python's words alone."""
NOTHING = "$None"
"""The expression that sets an option to null: MONAI drops one that is None, and the configuration's value stays."""
FLAG = re.compile(r"--?[A-Za-z_]")  # as MONAI's command line, fire's, knows an option
WORDS = re.compile(r"(?<![\w./-])(?:true|false|null|~)(?![\w./-])", re.IGNORECASE)
QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
MONAI = ("monai", "bundle", "__main__.py")


def check_words(command: Sequence[str]) -> None:
    """Refuse the words of YAML on the command line of MONAI, where text such as `false` counts as true, and `None`.

    `qfae ... --set` reads both YAML's words and Python's, and other commands have no such words.

    Args:
        command: a process's arguments, its program first.

    Raises:
        ValueError: naming option, word and what to write.

    Example:
        >>> check_words(["site-packages/monai/bundle/__main__.py", "run", "--save_maps", "false"])
        Traceback (most recent call last):
        ValueError: --save_maps: expected a value of Python, got the text 'false'; write False, or for a text "'false'"
    """
    if not command or Path(command[0]).parts[-3:] != MONAI:
        return
    from fire.parser import DefaultParseValue  # noqa: PLC0415 (MONAI's command line has it; others go without)

    option = ""
    for argument in command[1:]:
        flag = FLAG.match(argument)
        name, equals, value = argument.partition("=")
        if flag:
            option = name
        if not flag or equals:
            _check(option, value if flag else argument, DefaultParseValue(value if flag else argument))


def _check(option: str, typed: str, value: Any) -> None:
    if value is None:
        raise ValueError(f"{option}: expected a value that MONAI does not leave out, got None; write '{NOTHING}'")
    bare = QUOTED.sub("", typed)  # what is quoted is meant as text
    inside = isinstance(value, list | tuple | dict)
    for word in WORDS.findall(bare) if inside else [bare.strip()] if isinstance(value, str) else []:
        meant = MEANT.get(word.lower())
        if meant is None or word == meant:
            continue
        meant = meant if inside or meant != "None" else f"'{NOTHING}'"
        expected = f"expected a value of Python, got the text {word!r}"
        raise ValueError(f"{option}: {expected}; write {meant}, or for a text \"'{word}'\"")
