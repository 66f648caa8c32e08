"""Files written whole or not at all, and the hash of what was read."""

from __future__ import annotations

from qfae_monai.files import PARTIAL, sha256_of_files, write_whole

__all__ = ["PARTIAL", "sha256_of_files", "write_whole"]
