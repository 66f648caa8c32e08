"""What a release lacks: one version in setup.cfg, changes, citation, bundle, tag and wheel; all files committed.

Nothing is uploaded or tagged here. It prints what does not agree, or what to type next.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import yaml
from setuptools.config.setupcfg import read_configuration

HEADING = re.compile(r"^## \[?([^\]\s]+)\]?(?: - (\d{4}-\d{2}-\d{2}))?$", re.MULTILINE)
UNRELEASED = "Unreleased"


def setup_version(root: Path) -> str:
    """Version of setup.cfg, which says where it stands."""
    return str(read_configuration(root / "setup.cfg")["metadata"]["version"])


def faults_of_files(root: Path, version: str) -> list[str]:
    """What changes, citation and bundle say that is not this version."""
    faults = []
    changes = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = list(HEADING.finditer(changes))
    released = [found for found in headings if found[1] != UNRELEASED]
    newest, date = (released[0][1], released[0][2]) if released else (None, None)
    if newest != version:
        faults.append(f"CHANGELOG.md: expected {version} as the newest version, got {newest or 'none'}")
    elif date is None:
        faults.append(f"CHANGELOG.md: expected a date, `## [{version}] - 2026-01-31`, got none")
    if headings and headings[0][1] == UNRELEASED:
        text = changes[headings[0].end() : headings[1].start() if len(headings) > 1 else None]
        if re.search(r"^- ", text, re.MULTILINE):
            faults.append(f'CHANGELOG.md: expected nothing under "{UNRELEASED}", got entries')
    citation = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    if citation.get("version") != version:
        faults.append(f"CITATION.cff: expected version {version}, got {citation.get('version')}")
    if date is not None and str(citation.get("date-released")) != date:
        faults.append(f"CITATION.cff: expected date-released {date}, got {citation.get('date-released')}")
    metadata = json.loads((root / "bundles" / "qfae" / "configs" / "metadata.json").read_text(encoding="utf-8"))
    if metadata["version"] != version or version not in metadata["changelog"]:
        faults.append(f"metadata.json: expected version {version} and its line in changelog, got {metadata['version']}")
    return faults


def faults_of_git(root: Path, version: str) -> list[str]:
    """Uncommitted files, and tags that do not fit the version."""
    changed = _git(root, "status", "--porcelain").splitlines()
    faults = [f"{line[3:]}: expected as committed, got {'new' if '?' in line[:2] else 'changed'}" for line in changed]
    here = [tag for tag in _git(root, "tag", "--points-at", "HEAD").split() if re.match(r"v\d", tag)]
    wrong = [tag for tag in here if tag != f"v{version}"]
    if wrong:
        faults.append(f"tag of this commit: expected v{version}, got {', '.join(wrong)}")
    if f"v{version}" not in here and f"v{version}" in _git(root, "tag").split():
        faults.append(f"tag v{version}: expected on this commit, got on another")
    return faults


def wheel_version(root: Path) -> str:
    """Version in the metadata of a wheel built from the tree."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "wheel", str(root), "--quiet", "--no-deps", "--wheel-dir", folder]
        subprocess.run(command, check=True)
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as content:
            (name,) = [name for name in content.namelist() if name.endswith(".dist-info/METADATA")]
            return HeaderParser().parsestr(content.read(name).decode())["Version"]


def main(root: Path) -> int:
    """Print what is missing, or the next command; 1 where something does not agree."""
    version = setup_version(root)
    faults = [*faults_of_git(root, version), *faults_of_files(root, version)]
    built = version if faults else wheel_version(root)  # which takes a while
    if built != version:
        faults.append(f"wheel: expected version {version}, got {built}")
    if faults:
        print(f"{version} is not ready:", *faults, sep="\n  ")
        return 1
    if f"v{version}" in _git(root, "tag", "--points-at", "HEAD").split():
        print(f"{version} agrees everywhere; next:\n  git push origin v{version}")
    else:
        print(f"{version} can be tagged; next:\n  git tag -a v{version} -m {version}\n  make release")
    return 0


def _git(root: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=root, check=True, capture_output=True, text=True).stdout.rstrip()


if __name__ == "__main__":
    sys.exit(main(Path(__file__).parents[1]))
