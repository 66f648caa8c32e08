"""Pseudonyms: keyed hashes (HMAC-SHA256) of patients and series, and the key file that the user keeps."""

from __future__ import annotations

import hmac
import os
import secrets
from hashlib import sha256
from pathlib import Path
from uuid import UUID

__all__ = ["Pseudonyms", "read_or_create_key"]

KEY_BYTES = 32
SHOWN = 16  # hexadecimal digits of a pseudonym: 64 bits, no two of a million patients alike


class Pseudonyms:
    """Names that only the holder of the key can trace back, the same in every run with one key.

    Args:
        key: at least 32 bytes.

    Example:
        >>> names = Pseudonyms(bytes(32))
        >>> names.patient("Doe^John")
        'p435edf7ad646b64f'
        >>> names.patient("Doe^John") == Pseudonyms(b"1" * 32).patient("Doe^John")
        False
    """

    def __init__(self, key: bytes) -> None:
        if len(key) < KEY_BYTES:
            raise ValueError(f"expected a key of at least {KEY_BYTES} bytes, got {len(key)}")
        self._key = key

    def patient(self, patient: str) -> str:
        """Pseudonym of a patient: "p" and 16 digits."""
        return "p" + self._digest("patient", patient)

    def series(self, patient: str, series: str) -> str:
        """Pseudonym of a patient's series: "s" and 16 digits."""
        return "s" + self._digest("series", patient, series)

    def study(self, study: str) -> str:
        """Pseudonym of a study's results: "study-" and 16 digits."""
        return "study-" + self._digest("study", study)

    def setting(self, name: str, value: str) -> str:
        """Pseudonym of a setting that may name somebody, such as a pattern of file names."""
        return self._digest("setting", name, value)

    def content(self, sha256: str) -> str:
        """Keyed hash in place of a plain hash of the input, which anyone with the input could compute."""
        return self._hash("content", sha256).hex()

    def uid(self, uid: str) -> str:
        """DICOM UID that stands for another one: 2.25 and 122 bits of the keyed hash (a UUID of version 8)."""
        digest = bytearray(self._hash("uid", uid)[:16])
        digest[6], digest[8] = digest[6] & 0x0F | 0x80, digest[8] & 0x3F | 0x80
        return f"2.25.{UUID(bytes=bytes(digest)).int}"

    @property
    def key(self) -> bytes:
        """Secret key of the pseudonyms."""
        return self._key

    @property
    def fingerprint(self) -> str:
        """Tells one key from another, without telling the key."""
        return self._digest("fingerprint")

    def _digest(self, *words: str) -> str:
        return self._hash(*words).hex()[:SHOWN]

    def _hash(self, *words: str) -> bytes:
        return hmac.new(self._key, "\0".join(words).encode("utf-8", "surrogatepass"), sha256).digest()


def read_or_create_key(path: Path, output: Path) -> bytes:
    """Key of a file; made, readable by its owner alone, where there is no such file.

    Args:
        path: the key file: 64 hexadecimal digits.
        output: folder of the outputs, in which the key must not lie.

    Raises:
        ValueError: when the key would lie among the outputs, or the file holds no key.
    """
    path, output = path.absolute().resolve(), output.absolute().resolve()
    if path.is_relative_to(output):
        raise ValueError(f"{path}: expected a key file outside of the output {output}, which may be passed on")
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        _create_key(path)
    try:
        key = bytes.fromhex(path.read_text().strip())
    except ValueError:
        key = b""
    if len(key) < KEY_BYTES:
        raise ValueError(f"{path}: expected a key of {2 * KEY_BYTES} hexadecimal digits, got another file")
    return key


def _create_key(path: Path) -> None:
    """A new key; whole or absent, and never in place of one that another run has just made."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as stream:
            stream.write(secrets.token_hex(KEY_BYTES) + "\n")
    except BaseException:
        path.unlink(missing_ok=True)
        raise
