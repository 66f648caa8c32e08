from __future__ import annotations

from pathlib import Path

from qfae_monai.evaluation.comparison import compare, write_comparison
from tests.evaluation.run_folder_factory import make_run_folder


def test_every_difference_is_shown_with_its_interval(tmp_path: Path) -> None:
    runs = [make_run_folder(tmp_path / name, cases=8, model=model) for name, model in (("a", 0), ("<b>&", 1))]
    comparison = compare(*runs)
    page = write_comparison(tmp_path / "out" / "comparison.html", comparison).read_text()
    for rows in comparison["metrics"].values():
        for row in rows.values():
            assert f'<td class="number">{row["a"]:.3f}</td><td class="number">{row["b"]:.3f}</td>' in page
    assert "&lt;b&gt;&amp;" in page
    assert "<b>&" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_what_is_undefined_is_a_dash(tmp_path: Path) -> None:
    runs = [make_run_folder(tmp_path / name, cases=4, abnormal=0) for name in "ab"]
    page = write_comparison(tmp_path / "comparison.html", compare(*runs)).read_text()
    assert '<td class="number value">\N{EN DASH}</td>' in page
