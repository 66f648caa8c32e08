"""Texts of the data stand for themselves in LaTeX, and no character of them begins a command."""

from __future__ import annotations

import re

import pytest

from qfae_monai.evaluation.paper.latex import escaped, latex_table

HOSTILE = "a&b_c%d$e#f{g}h~i^j\\k\\input{/etc/passwd} \N{GREEK SMALL LETTER MU} é <>|`-- [x] * \x1b\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b & c", r"a\_b \& c"),
        ("50 % of $x#1", r"50 \% of \$x\#1"),
        ("{}", r"\{\}"),
        ("~^", r"\textasciitilde{}\textasciicircum{}"),
        (r"\end{table}", r"\textbackslash{}end\{table\}"),
        ("[1] *", "{[}1{]} {*}"),
        ("low-grade -- x", "low-grade -{-} x"),
        ("\N{EN DASH}\N{MINUS SIGN}", r"\textendash{}$-$"),
        ("Gliom höher als 2", "Gliom höher als 2"),
        ("u\u0308", "ü"),  # a mark of its own is no letter for LaTeX
        ("a\nb\x07", r"a\textbackslash{}nb\textbackslash{}x07"),
    ],
)
def test_each_special_character_prints_as_itself(text: str, expected: str) -> None:
    assert escaped(text) == expected


def test_no_text_ends_a_cell_a_row_or_a_group() -> None:
    table = latex_table("x", HOSTILE, [HOSTILE, "value"], [[HOSTILE, 0.5], [HOSTILE, None]])
    rows = [line for line in table.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 3
    assert all(len(re.findall(r"(?<!\\)&", row)) == 1 for row in rows)
    bare = re.sub(r"\\[{}&_%$#]", "", table)
    assert bare.count("{") == bare.count("}")
    assert set(re.findall(r"\\([A-Za-z]+)", table.split("\n", 1)[1])) <= {
        *("begin", "end", "centering", "caption", "label", "toprule", "midrule", "bottomrule", "textbackslash"),
        *("textasciitilde", "textasciicircum", "textless", "textgreater", "textbar", "textasciigrave"),
    }


def test_numbers_are_aligned_and_rounded_and_what_is_undefined_is_a_dash() -> None:
    header = ["name", "value", "n", "threshold", "p", "rivals"]
    table = latex_table(
        "t", "c", header, [["a", -0.98765, 24, 0.000123456, 0.0002, True], ["b", None, 3, None, 0.04, False]]
    )
    assert r"\begin{tabular}{lrrrrl}" in table
    assert r"a & $-$0.988 & 24 & 0.0001235 & $<$0.001 & yes \\" in table
    assert r"b & -- & 3 & -- & 0.040 & no \\" in table
