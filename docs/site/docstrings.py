"""Docstrings as the site shows them: Markdown in place of the few marks of reStructuredText that they have."""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):`~?([^`]+)`")
LITERAL = re.compile(r"::(?=\n\n? +)")
EXAMPLE = re.compile(r"^( *)>>> .*?(?=\n[ ]*\n|\Z)", re.DOTALL | re.MULTILINE)
SHARED = re.compile(r"^( {4})(\w+(?:, \*{0,2}\w+)+)(: .*(?:\n {5,}.*)*)", re.MULTILINE)


def as_markdown(text: str) -> str:
    """Make code of roles and blocks of examples; of names that share one description, give each its own."""
    text = LITERAL.sub(":", ROLE.sub(r"`\1`", text))
    text = SHARED.sub(lambda found: "\n".join(found[1] + name + found[3] for name in found[2].split(", ")), text)
    return EXAMPLE.sub(lambda found: f"{found[1]}```pycon\n{found[0]}\n{found[1]}```", text)


class PlainDocstrings(griffe.Extension):
    """Griffe extension that rewrites each docstring before it is parsed."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = as_markdown(obj.docstring.value)
