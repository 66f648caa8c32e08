"""`comparison.csv` and `.tex` beside the page, with the comparison's own figures."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from qfae_monai.evaluation.comparison import compare, write_comparison
from tests.evaluation.run_folder_factory import make_run_folder


def test_figures_are_those_of_the_comparison(tmp_path: Path) -> None:
    runs = [make_run_folder(tmp_path / name, model=model) for model, name in enumerate("ab")]
    record = json.loads((runs[1] / "run.json").read_text())
    (runs[1] / "run.json").write_text(json.dumps(record | {"name": "b_2 & 50 %"}))
    comparison = compare(*runs)
    write_comparison(tmp_path / "out" / "comparison.html", comparison)
    with (tmp_path / "out" / "comparison.csv").open(newline="") as stream:
        found = list(csv.DictReader(stream))
    expected = [row for measures in comparison["metrics"].values() for row in measures.values()]
    assert len(found) == len(expected) > 0
    for row, known in zip(found, expected, strict=True):
        difference = known["difference"]
        for name, value in (
            ("a", known["a"]),
            ("b", known["b"]),
            ("value", difference["value"]),
            ("p", difference["p"]),
        ):
            assert row[name] == ("" if value is None else str(value))
        assert (row["n"], row["reason"]) == (str(difference["smaller_class"]), difference["reason"])
    text = (tmp_path / "out" / "comparison.tex").read_text()
    assert r"b: b\_2 \& 50 \%" in text
    assert text.count(r"\\") == len(expected) + 1
