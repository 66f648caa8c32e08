"""What a wheel holds, made from the checkout and from its sdist: bundle, pages, viewer, recipes, all in one folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("setuptools", minversion="77", reason="builds a wheel with setuptools 77 or later")

ROOT = Path(__file__).parents[2]
SOURCES = ("setup.py", "setup.cfg", "pyproject.toml", "README.md", "LICENSE", "qfae_monai", "preprocessing", "bundles")
NO_SOURCES = shutil.ignore_patterns("__pycache__", "models", "eval", "logs")
BUILD = "import sys, setuptools.build_meta as build; print(getattr(build, 'build_' + sys.argv[1])(sys.argv[2]))"


def build(kind: str, sources: Path, output: Path) -> Path:
    """What pip does with an environment that has setuptools: no network, and nothing is installed."""
    command = [sys.executable, "-c", BUILD, kind, str(output)]
    done = subprocess.run(command, cwd=sources, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return output / done.stdout.split()[-1]


def content(wheel: Path) -> dict[str, int]:
    """Name of each file -> checksum, without the records of the wheel itself."""
    with zipfile.ZipFile(wheel) as file:
        return {one.filename: one.CRC for one in file.infolist() if not one.filename.endswith("/RECORD")}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout in which somebody has trained and has built an older version."""
    folder = tmp_path_factory.mktemp("sources")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=NO_SOURCES)
        else:
            shutil.copy(ROOT / name, folder / name)
    for left in (
        "bundles/qfae/models/model.pt",
        "build/lib/preprocessing/old.py",
        "build/lib/qfae_monai/bundle/old.json",
    ):
        (folder / left).parent.mkdir(parents=True, exist_ok=True)
        (folder / left).write_text("left behind")
    return folder


@pytest.fixture(scope="module")
def wheel(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", sources, tmp_path_factory.mktemp("wheel"))


def test_one_folder_with_all_that_the_sources_have(wheel: Path) -> None:
    names = set(content(wheel))
    assert {name.partition("/")[0] for name in names} == {
        "qfae_monai",
        next(n for n in names if "dist-info" in n).split("/")[0],
    }
    tops = {
        "qfae_monai": "qfae_monai",
        "qfae_monai/bundle": "bundles/qfae",
        "qfae_monai/preprocessing": "preprocessing",
    }
    wanted = {
        f"{inside}/{file.relative_to(ROOT / place).as_posix()}"
        for inside, place in tops.items()
        for file in (ROOT / place).rglob("*")
        if file.is_file() and not {"__pycache__", "models", "eval", "logs"} & set(file.parts)
    }
    assert wanted - names == {name for name in wanted if name.endswith(".sh")}  # no command of an installation
    assert {name for name in names if "dist-info" not in name} - wanted == set()


def test_the_sdist_gives_the_same_wheel(sources: Path, wheel: Path, tmp_path: Path) -> None:
    packed = build("sdist", sources, tmp_path)
    with tarfile.open(packed) as file:
        file.extractall(tmp_path, filter="data")
    unpacked = tmp_path / packed.name.removesuffix(".tar.gz")
    assert content(build("wheel", unpacked, tmp_path)) == content(wheel)


def test_an_unpacked_wheel_finds_its_bundle_and_prepares_in_two_processes(wheel: Path, tmp_path: Path) -> None:
    site, empty = tmp_path / "site", tmp_path / "empty"
    zipfile.ZipFile(wheel).extractall(site)
    (empty / "preprocessing").mkdir(parents=True)  # a folder of the user's that has the name is not taken for it
    made = (
        "from qfae_monai.data.phantoms import write_phantom_cohort; from pathlib import Path; "
        "write_phantom_cohort(Path('scans'), train=2, validation=0, test_normal=0, test_abnormal=0)"
    )
    found = "from qfae_monai.files.configurations import OWN; print(OWN, (OWN / 'configs' / 'metadata.json').is_file())"
    prepare = "import sys; from qfae_monai.cli import main; sys.argv[0] = 'qfae'; main()"
    arguments = ["prepare", "volumes", "scans/image", "out", "--normal", "--workers", "2"]

    def run(code: str, *words: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(site)}
        command = [sys.executable, "-c", code, *words]
        done = subprocess.run(command, cwd=empty, env=environment, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    assert run(found).split() == [str(site / "qfae_monai" / "bundle"), "True"]
    run(made)
    assert re.search(r"[1-9]\d* images, 0 refused", run(prepare, *arguments))


def test_no_page_installs_a_name_that_is_on_no_index() -> None:
    pages = [
        ROOT / "README.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "bundles").rglob("*.md"),
        *(ROOT / "qfae_monai").rglob("*.py"),
    ]
    for page in [*pages, ROOT / "CONTRIBUTING.md"]:
        assert not re.search(
            r"install[^\n]*['\"` ]qfae[-_]monai(?!-\d|-\*|/|\.|`)", page.read_text(encoding="utf-8")
        ), page
