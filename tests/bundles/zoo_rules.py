"""The model zoo's rules on large files and on paths, as checks of any bundle's folder (its CONTRIBUTING.md)."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import yaml

LARGEST = 25 * 2**20  # bytes
HASHES = ("md5", "sha1", "sha256", "sha512")
FETCHED = Path("models/pretrained")  # publishers' weights, which are theirs to publish and never part of the bundle
TEXT = (".json", ".yml", ".yaml", ".md", ".txt", ".conf", "")
PERSONAL = re.compile(r"/home/|/Users/|/root/|[A-Z]:\\+Users|[\w.]+@[\w-]+\.\w+")


def large_file_problems(bundle: Path) -> list[str]:
    """One sentence for each file over 25 MB that is not listed, and each entry that is incomplete or untrue."""
    listed = yaml.safe_load((bundle / "large_files.yml").read_text())["large_files"]
    entries = {entry["path"]: entry for entry in listed}
    files = {file.relative_to(bundle) for file in bundle.rglob("*") if file.is_file()}
    large = {file for file in files if (bundle / file).stat().st_size > LARGEST and FETCHED not in file.parents}
    problems = [f"{file}: over 25 MB and not listed" for file in sorted(large) if file.as_posix() not in entries]
    for path, entry in entries.items():
        if not str(entry.get("url", "")).startswith("https://"):
            problems.append(f"{path}: expected a url, got {entry.get('url')}")
        if entry.get("hash_type") not in HASHES:
            problems.append(f"{path}: expected a hash_type of {HASHES}, got {entry.get('hash_type')}")
        elif (bundle / path).is_file():
            found = hashlib.new(entry["hash_type"], (bundle / path).read_bytes()).hexdigest()
            if found != entry.get("hash_val"):
                problems.append(f"{path}: expected {entry.get('hash_val')}, got {found}")
    return problems


def personal_paths(bundle: Path) -> list[str]:
    """Home folders and mail addresses in the bundle's text files."""
    texts = {file: file.read_text() for file in sorted(bundle.rglob("*")) if file.is_file() and file.suffix in TEXT}
    return [f"{file.relative_to(bundle)}: {found}" for file, text in texts.items() for found in PERSONAL.findall(text)]
