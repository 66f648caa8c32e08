"""Files written whole or not at all, and the hash of what was read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

__all__ = ["PARTIAL", "sha256_of_files", "write_whole"]

PARTIAL = ".partial"  # suffix of a file that is being written


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a file under a temporary name and rename it: whoever is killed leaves no half of it behind."""
    data = content.encode() if isinstance(content, str) else content
    folder, name = os.path.split(path)
    partial = os.path.join(folder, f".{name}.{os.getpid()}{PARTIAL}")
    try:
        stream = open(partial, "wb")  # noqa: SIM115
    except FileNotFoundError:
        os.makedirs(folder, exist_ok=True)
        stream = open(partial, "wb")  # noqa: SIM115
    with stream:
        stream.write(data)
    os.replace(partial, path)


def sha256_of_files(files: Sequence[Path]) -> str:
    """SHA-256 of one file; of several, SHA-256 of their SHA-256 digests in the order given."""
    digests = []
    for file in files:
        digest = sha256()
        with file.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
        digests.append(digest.digest())
    return digests[0].hex() if len(digests) == 1 else sha256(b"".join(digests)).hexdigest()
