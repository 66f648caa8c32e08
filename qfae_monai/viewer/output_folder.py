"""What the viewer may show of an output folder of `qfae predict`: complete studies, and four files of each."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

SCORES = "scores.json"
IMAGE, ANOMALY_MAP, MASK = "image.nii.gz", "anomaly_map.nii.gz", "mask.nii.gz"
FILES = (IMAGE, ANOMALY_MAP, MASK, SCORES)
PLAIN: dict[str, tuple[type, ...]] = {
    "kind": (str, type(None)),
    "score": (int, float),
    "p_value": (int, float, type(None)),
    "above_threshold": (bool, type(None)),
}
"""Columns of the list, and what each may be."""

MAX_BYTES = 64 << 20  # of a JSON file: ours have a hundred bytes a slice or study
MAX_DEPTH = 20  # of its lists and objects: ours have four
TOO_DEEP = f"expected lists and objects at most {MAX_DEPTH} deep, got deeper ones"


class OutputFolder:
    """An output folder, read anew at each question, since a run may still be writing into it.

    Args:
        path: folder with a folder for each study.

    Raises:
        FileNotFoundError: if there is no such folder, or nothing in it that `qfae predict` wrote.
        ValueError: if no study in it is complete.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise FileNotFoundError(f"{path}: expected an output folder of `qfae predict`, got no such folder")
        self.path = path.resolve()
        self._rows: dict[str, tuple[tuple[int, int], dict[str, Any] | str]] = {}
        listing = self.listing()
        if not listing["studies"] and not listing["failed"]:
            raise FileNotFoundError(
                f"{path}: expected an output folder of `qfae predict`, with <study>/{SCORES}, got no study in it"
            )
        if not listing["studies"]:
            first = listing["failed"][0]
            raise ValueError(
                f"{path}: expected a complete study, got {len(listing['failed'])} failed; "
                f"the first is {first['study']}: {first['reason']}"
            )

    def listing(self) -> dict[str, Any]:
        """{"folder", "studies": complete ones, highest score first, "failed": [{"study", "reason"}]}.

        A folder that is there no longer, or is closed to this process, is the one that failed.
        """
        rows: list[dict[str, Any]] = []
        failed: list[dict[str, Any]] = []
        try:
            names = self._names()
        except OSError as error:
            names = []
            failed.append({"study": self.path.name, "reason": f"the folder cannot be read: {error.strerror or error}"})
        for name in names:
            row = self._row(name)
            if isinstance(row, str):
                failed.append({"study": name, "reason": row})
            else:
                rows.append(row)
        seen = {row["study"] for row in (*rows, *failed)}
        failed += [row for row in self._failed() if row["study"] not in seen]
        return {
            "folder": self.path.name,
            "studies": sorted(rows, key=lambda row: (-row["score"], row["study"])),
            "failed": failed,
        }

    def scores(self, study: str) -> dict[str, Any] | None:
        """Content of a study's `scores.json`, and "has_mask"; None if there is no such study or it is not complete."""
        path = self.file(study, SCORES)
        if path is None or isinstance(self._row(study), str):
            return None
        try:
            return {**_read(path), "study": study, "has_mask": self.file(study, MASK) is not None}
        except (ValueError, OSError):  # replaced or removed just now
            return None

    def file(self, study: str, name: str) -> Path | None:
        """Path of one of the four files; None for anything else, whatever `study` and `name` may spell."""
        if not study or name not in FILES or study.startswith(".") or any(mark in study for mark in "/\\\0"):
            return None
        try:
            path = (self.path / study / name).resolve()
            return path if path.is_file() and path.is_relative_to(self.path / study) else None
        except OSError:  # such as a name that no file can have
            return None

    def _names(self) -> list[str]:
        """Folders that a run has finished; what it is still writing begins with a point."""
        return sorted(
            entry.name
            for entry in self.path.iterdir()
            if not entry.name.startswith(".") and entry.is_dir() and (entry / SCORES).is_file()
        )

    def _row(self, name: str) -> dict[str, Any] | str:
        """What the list shows of a study, or why it cannot be shown; read again only after the file has changed."""
        try:
            status = (self.path / name / SCORES).stat()
        except OSError:
            return "is being replaced"
        stamp = (status.st_mtime_ns, status.st_size)
        if name not in self._rows or self._rows[name][0] != stamp:
            self._rows[name] = stamp, self._read_row(name)
        return self._rows[name][1]

    def _read_row(self, name: str) -> dict[str, Any] | str:
        missing = [file for file in (IMAGE, ANOMALY_MAP) if self.file(name, file) is None]
        if missing:
            return f"no {' and no '.join(missing)}"
        try:
            scores = _read(self.path / name / SCORES)
        except (ValueError, OSError) as error:
            return f"{SCORES}: {error}"
        if not isinstance(scores.get("score"), (int, float)) or not isinstance(scores.get("slices"), list):
            return f"{SCORES}: expected a score and slices, got {', '.join(scores) or 'nothing'}"
        for key, kinds in PLAIN.items():
            if not isinstance(scores.get(key), kinds):
                return f"{SCORES}: expected no {type(scores[key]).__name__} as {key}"
        return {"study": name, **{key: scores.get(key) for key in PLAIN}}

    def _failed(self) -> list[dict[str, Any]]:
        """Studies that the run's summary calls failed."""
        try:
            studies = _read(self.path / "summary.json")["studies"]
            return [
                {"study": str(row["study"]), "reason": str(row["reason"])}
                for row in studies
                if row["status"] == "failed"
            ]
        except (ValueError, OSError, KeyError, TypeError):
            return []


def _read(path: Path) -> dict[str, Any]:
    """An object of JSON; NaN and infinities, which browsers do not read, become None.

    Raises:
        ValueError: if it is none, or larger or nested more deeply than results are.
    """
    with path.open("rb") as stream:
        text = stream.read(MAX_BYTES + 1)
    if len(text) > MAX_BYTES:
        raise ValueError(f"expected at most {MAX_BYTES >> 20} MiB, got more")
    try:
        content = json.loads(text.decode("utf-8"), parse_constant=lambda _: None, parse_float=_finite)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    if not isinstance(content, dict):
        raise ValueError(f"expected an object, got {type(content).__name__}")
    if _is_deep(content):
        raise ValueError(TOO_DEEP)
    return content


def _is_deep(content: Any) -> bool:
    """Whether writing it again could end in a RecursionError; found without recursion.

    >>> _is_deep({"slices": [{"score": 1.0}]}), _is_deep(json.loads(30 * "[" + 30 * "]"))
    (False, True)
    """
    level = [content]
    for _ in range(MAX_DEPTH + 1):
        inner = [item for item in level if isinstance(item, (dict, list))]
        level = [part for item in inner for part in (item.values() if isinstance(item, dict) else item)]
    return bool(level)


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None
