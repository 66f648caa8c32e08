"""What a release must agree on, and what is said where it does not."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
CHANGES = (
    "# Changes\n\n## [Unreleased]\n\n## [1.2.0] - 2026-05-04\n\n### Added\n\n- Something.\n\n## [1.1.0] - 2026-01-02\n"
)
CITATION = "version: 1.2.0\ndate-released: 2026-05-04\n"
METADATA = '{"version": "1.2.0", "changelog": {"1.2.0": "something"}}'


@pytest.fixture(scope="module")
def release() -> ModuleType:
    pytest.importorskip("setuptools", minversion="61")
    spec = importlib.util.spec_from_file_location("release", ROOT / ".ci" / "release.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A committed tree of version 1.2.0, which agrees."""
    for name, value in (("HOME", str(tmp_path)), ("GIT_CONFIG_NOSYSTEM", "1")):
        monkeypatch.setenv(name, value)
    root = tmp_path / "tree"
    files = {
        "setup.cfg": "[metadata]\nname = a\nversion = 1.2.0\n",
        "CHANGELOG.md": CHANGES,
        "CITATION.cff": CITATION,
        "bundles/qfae/configs/metadata.json": METADATA,
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    git(root, "init", "--quiet")
    commit(root)
    return root


def git(root: Path, *words: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false", "-c", "tag.gpgsign=false")
    subprocess.run(["git", *who, *words], cwd=root, check=True, capture_output=True)


def commit(root: Path) -> None:
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--allow-empty", "--message", "a")


def said(release: ModuleType, root: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    return release.main(root), capsys.readouterr().out


def test_next_is_the_tag_and_then_the_push(
    release: ModuleType, tree: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "wheel_version", lambda _: "1.2.0")
    status, text = said(release, tree, capsys)
    assert status == 0
    assert "git tag -a v1.2.0" in text
    git(tree, "tag", "-a", "v1.2.0", "-m", "a")
    status, text = said(release, tree, capsys)
    assert status == 0
    assert "git push origin v1.2.0" in text
    monkeypatch.setattr(release, "wheel_version", lambda _: "1.1.0")
    assert said(release, tree, capsys) == (1, "1.2.0 is not ready:\n  wheel: expected version 1.2.0, got 1.1.0\n")


TEST_CASES = [
    ["setup.cfg", "1.2.0", "1.3.0", "CHANGELOG.md: expected 1.3.0 as the newest version, got 1.2.0"],
    ["CHANGELOG.md", " - 2026-05-04", "", "CHANGELOG.md: expected a date"],
    ["CHANGELOG.md", "[Unreleased]\n", "[Unreleased]\n\n- More.\n", 'expected nothing under "Unreleased", got entries'],
    ["CITATION.cff", "1.2.0", "1.1.0", "CITATION.cff: expected version 1.2.0, got 1.1.0"],
    ["CITATION.cff", "2026-05-04", "2026-05-03", "expected date-released 2026-05-04, got 2026-05-03"],
    ["CITATION.cff", "date-released: 2026-05-04\n", "", "expected date-released 2026-05-04, got None"],
    [
        "bundles/qfae/configs/metadata.json",
        '"1.2.0":',
        '"1.1.0":',
        "metadata.json: expected version 1.2.0 and its line",
    ],
]


@pytest.mark.parametrize("case", TEST_CASES)
def test_what_does_not_agree_is_named(
    case: list[str], release: ModuleType, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, old, new, expected = case
    path = tree / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    commit(tree)
    status, text = said(release, tree, capsys)
    assert status == 1
    assert expected in text


def test_files_that_are_not_committed_are_named(
    release: ModuleType, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "new file").write_text("")
    (tree / "setup.cfg").write_text((tree / "setup.cfg").read_text() + "\n")
    status, text = said(release, tree, capsys)
    assert status == 1
    assert "setup.cfg: expected as committed, got changed" in text
    assert "new file" in text


@pytest.mark.parametrize(
    ("tag", "expected"), [("v1.1.0", "of this commit: expected v1.2.0, got v1.1.0"), ("v1.2.0", "")]
)
def test_a_tag_that_does_not_fit_is_named(
    tag: str, expected: str, release: ModuleType, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    git(tree, "tag", tag)
    if not expected:
        commit(tree)  # the tag stays on the commit before
        expected = "tag v1.2.0: expected on this commit, got on another"
    status, text = said(release, tree, capsys)
    assert status == 1
    assert expected in text


def test_files_of_the_project_name_one_version(release: ModuleType) -> None:
    """Between releases too: who cites a checkout cites what it is."""
    version = release.setup_version(ROOT)
    citation: dict[str, Any] = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == version
    assert "2507.18481" in citation["preferred-citation"]["url"]
    first = next(release.HEADING.finditer((ROOT / "CHANGELOG.md").read_text(encoding="utf-8")))
    assert first[1] == release.UNRELEASED or first[2], "the newest version of CHANGELOG.md has no date"
    faults = release.faults_of_files(ROOT, version)
    assert all("CHANGELOG.md" in fault or "date-released" in fault for fault in faults)
