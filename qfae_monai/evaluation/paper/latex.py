"""Tables in LaTeX with booktabs, in which every text of the data stands for itself."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

from qfae_monai.files import printable

__all__ = ["escaped", "latex_table"]

UNDEFINED = "--"
SPECIAL = {
    **{letter: f"\\{letter}" for letter in "&_%$#{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    '"': r"\textquotedbl{}",
    "[": "{[}",  # behind the end of a row it begins an option, as does a star
    "]": "{]}",
    "*": "{*}",
    "\N{MINUS SIGN}": "$-$",
    "\N{EN DASH}": r"\textendash{}",
    "\N{NO-BREAK SPACE}": "~",
}
PLACES = str.maketrans(SPECIAL)
FONTS = r"% \usepackage[T1]{fontenc} and \usepackage{booktabs}; for scripts other than Latin, XeLaTeX or LuaLaTeX"
THRESHOLD = "threshold"  # begins the names of columns in units of a score, of whatever size
P = "p"  # begins the names of columns of p-values


def escaped(text: object) -> str:
    r"""A text as LaTeX that prints it; control characters come as their escapes.

    Example:
        >>> print(escaped(r"a_b & 50 % of {x}"))
        a\_b \& 50 \% of \{x\}
    """
    # two hyphens would be a dash
    return printable(unicodedata.normalize("NFC", str(text))).translate(PLACES).replace("--", "-{-}")


def latex_table(name: str, caption: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table with a caption and a label, to be included in a document.

    Args:
        name: of the label, `tab:<name>`.
        caption: plain text.
        header: names of the columns.
        rows: numbers, texts, None where undefined.
    """
    numeric = [all(row[place] is None or _is_number(row[place]) for row in rows) for place in range(len(header))]
    cells = [[_cell(value, column) for value, column in zip(row, header, strict=True)] for row in rows]
    lines = [" & ".join(row) + r" \\" for row in [[escaped(column) for column in header], *cells]]
    return "\n".join(
        [
            FONTS,
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escaped(caption)}}}",
            rf"\label{{tab:{name}}}",
            rf"\begin{{tabular}}{{{''.join('r' if one else 'l' for one in numeric)}}}",
            r"\toprule",
            lines[0],
            r"\midrule",
            *lines[1:],
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _cell(value: Any, column: str) -> str:
    if value is None:
        return UNDEFINED
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, float):
        return escaped(value)
    if column in (P, "p, Holm") and value < 0.001:
        return "$<$0.001"
    text = f"{value:.4g}" if column.startswith(THRESHOLD) else f"{value:.3f}"
    return text.replace("-", "$-$")
