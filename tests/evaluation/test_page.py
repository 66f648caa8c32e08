from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from qfae_monai.evaluation.evaluation_report import summarise
from qfae_monai.evaluation.histogram_file import PixelHistograms
from qfae_monai.evaluation.page import write_report
from tests.evaluation.run_folder_factory import make_run_folder

HOSTILE = "<img src=x onerror=alert(1)>\"'&"


class Tags(HTMLParser):
    """Attributes of every tag, and the text outside scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] not in ("script", "style"):
            self.words.append(data)


def parsed(folder: Path, **settings: Any) -> Tags:
    summarise(folder, **settings)
    tags = Tags()
    tags.feed(write_report(folder).read_text())
    return tags


def text(tags: Tags) -> str:
    return " ".join(" ".join(tags.words).split())


@pytest.mark.parametrize("kind", ["volume", "image"])
def test_the_page_has_every_part_in_order(tmp_path: Path, kind: Any) -> None:
    tags = parsed(make_run_folder(tmp_path / "run", kind=kind))
    parts = [attributes["id"] for tag, attributes in tags.tags if tag == "section"]
    links = [
        str(attributes["href"])[1:]
        for tag, attributes in tags.tags
        if attributes.get("href", "") in [f"#{part}" for part in parts]
    ]
    assert parts == links
    assert parts == [
        "warnings",
        "results",
        "threshold",
        "curves",
        "scores",
        "detections",
        "sizes",
        "reconstruction",
        "shortcuts",
        "worst",
        "cases-section",
        "checklist",
        "settings",
    ]
    assert len([1 for tag, attributes in tags.tags if attributes.get("class") == "case"]) == 12
    assert len([1 for tag, attributes in tags.tags if attributes.get("type") == "range"]) == 12 * (kind == "volume")
    sprites = [attributes["href"] for tag, attributes in tags.tags if tag == "image"]
    assert len(set(sprites)) == 12, "expected the picture of every case, once"


def test_figures_are_those_of_the_summary_beside_published_ones(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path / "run", cases=16)
    run = json.loads((folder / "run.json").read_text())
    run["published"] = {"source": "Table 5, BraTS2021", "image_auroc": 94.3, "std": 0.18}
    (folder / "run.json").write_text(json.dumps(run))
    tags = parsed(folder, match_tolerance=0.1)
    words, summary = text(tags), json.loads((folder / "evaluation.json").read_text())
    for level in ("slice", "volume", "pixel"):
        area = summary["metrics"][level]["auroc"]
        assert f"AUROC {area['value']:.3f} {area['low']:.3f} to {area['high']:.3f}" in words
    assert f"{summary['matched']['pairs']} abnormal slices" in words
    for sentence in summary["warnings"]:
        assert " ".join(sentence.split()) in words
    assert words.count("0.943 ± 0.0018") == 1
    assert "Table 5, BraTS2021" in words
    links = {str(attributes["href"]) for tag, attributes in tags.tags if tag == "a"}
    files = {link for link in links if not link.startswith("#")}
    assert files == {"slices.csv", "volumes.csv", "lesions.csv", "evaluation.json", "run.json"}
    assert all((folder / name).is_file() for name in files)


def test_the_table_of_the_reconstruction_says_when_it_warns(tmp_path: Path) -> None:
    words = text(parsed(make_run_folder(tmp_path / "run", mean_image=True)))
    assert "Does the reconstruction follow its input?" in words
    assert "relative to the mean training image 0.500 The model's error" in words
    assert "above 0.8" in words
    assert "below 0.5" in words


def test_names_are_escaped_wherever_they_come_from(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path / "run", cases=4)
    plain = parsed(folder)
    for name in ("slices.csv", "volumes.csv", "lesions.csv"):
        quoted = HOSTILE.replace('"', '""')
        table = (folder / name).read_text().replace("case000", f'"{quoted}"').replace("patient002", f'"P{quoted}"')
        (folder / name).write_text(table)
    for suffix in ("jpg", "json"):
        (folder / "pictures" / f"case000.{suffix}").rename(folder / "pictures" / f"{HOSTILE}.{suffix}")
    run = json.loads((folder / "run.json").read_text())
    run.update(name=HOSTILE, device=HOSTILE, configuration={HOSTILE: HOSTILE}, versions={HOSTILE: HOSTILE})
    run["checkpoint"]["file"] = HOSTILE
    (folder / "run.json").write_text(json.dumps(run))
    _rename_case(folder / "pixels.npz")
    tags = parsed(folder)
    assert not [1 for _, attributes in tags.tags if "onerror" in attributes]
    assert [tag for tag, _ in tags.tags].count("img") == [tag for tag, _ in plain.tags].count("img")
    assert HOSTILE in [attributes["data-case"] for _, attributes in tags.tags if "data-case" in attributes]


def _rename_case(path: Path) -> None:
    pixels = PixelHistograms.load(path)
    renamed = {HOSTILE if case == "case000" else case: histogram for case, histogram in pixels.cases.items()}
    PixelHistograms(pixels.maps, renamed).save(path)


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        ("volume", {"abnormal": 0}, ["no curve is defined"]),
        ("image", {"abnormal": 0, "masks": False, "calibrated": False}, ["no curve is defined", "No lesions with"]),
        ("volume", {"masks": False, "calibrated": False}, ["No lesions with a mask", "No calibration came"]),
        ("image", {"unlabelled": 3, "baselines": False}, ["3 unlabelled"]),
    ],
)
def test_what_is_not_there_is_said(tmp_path: Path, kind: Any, settings: dict[str, Any], said: list[str]) -> None:
    words = text(parsed(make_run_folder(tmp_path / "run", kind=kind, cases=6, **settings)))
    assert all(sentence in words for sentence in said)


def test_cases_without_pictures_are_listed(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path / "run", cases=4)
    for path in (folder / "pictures").iterdir():
        path.unlink()
    words = text(parsed(folder))
    assert words.count("no picture was written") == 4
    assert "none with a picture" in words


def test_without_a_summary_there_is_no_page(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path / "run", cases=4)
    with pytest.raises(FileNotFoundError, match=r"evaluation\.json"):
        write_report(folder)
    assert not (folder / "report.html").exists()
