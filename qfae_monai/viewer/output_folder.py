"""Content of a `qfae predict` output folder that the viewer may show: complete studies, and four files of each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qfae_monai.files import read_object, schema

SCORES = "scores.json"
IMAGE, ANOMALY_MAP, MASK = "image.nii.gz", "anomaly_map.nii.gz", "mask.nii.gz"
FILES = (IMAGE, ANOMALY_MAP, MASK, SCORES)
LISTED = ("kind", "score", "p_value", "above_threshold")
"""Columns of the list."""

P_VALUE = schema.optional(schema.number(0, 1))
SLICE = schema.record({"slice": schema.whole(), "score": schema.number()}, {"p_value": P_VALUE}, others=schema.anything)
RESULT = schema.record(
    {"score": schema.number(), "slices": schema.items(SLICE)},
    {
        "kind": schema.optional(schema.text()),
        "p_value": P_VALUE,
        "threshold": schema.optional(schema.number()),
        "above_threshold": schema.optional(schema.truth),
        "pixel_threshold": schema.optional(schema.number()),
        "slice_axis": schema.whole(0, 2),
        "notice": schema.text(),
    },
    others=schema.anything,
)
NAME = schema.text(longest=4000)
STUDY = schema.record({"study": NAME, "status": schema.text()}, {"reason": NAME}, others=schema.anything)
RUN = schema.record({"studies": schema.items(STUDY)}, others=schema.anything)


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
        self.path = path.resolve()  # links followed once, so that `is_relative_to` can be trusted
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
            return {**_read(path, RESULT), "study": study, "has_mask": self.file(study, MASK) is not None}
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
        """List entry of a study, or why it cannot be shown; read again only after the file has changed."""
        try:
            status = (self.path / name / SCORES).stat()
        except OSError:
            return "is being replaced"
        stamp = (status.st_mtime_ns, status.st_size)  # ns, bytes
        if name not in self._rows or self._rows[name][0] != stamp:
            self._rows[name] = stamp, self._read_row(name)
        return self._rows[name][1]

    def _read_row(self, name: str) -> dict[str, Any] | str:
        missing = [file for file in (IMAGE, ANOMALY_MAP) if self.file(name, file) is None]
        if missing:
            return f"no {' and no '.join(missing)}"
        try:
            scores = _read(self.path / name / SCORES, RESULT)
        except ValueError as error:
            return str(error)
        except OSError as error:
            return f"{SCORES}: {error.strerror or 'is being replaced'}"
        return {"study": name, **{key: scores.get(key) for key in LISTED}}

    def _failed(self) -> list[dict[str, Any]]:
        """Studies that the run's summary calls failed."""
        try:
            studies = _read(self.path / "summary.json", RUN)["studies"]
        except (ValueError, OSError):
            return []
        return [
            {"study": row["study"], "reason": row.get("reason", "")} for row in studies if row["status"] == "failed"
        ]


def _read(path: Path, check: schema.Check) -> dict[str, Any]:
    """The object in a file, called by its name alone: the page says in which folder it lies.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is not what it should be; with the key at fault.
    """
    try:
        return read_object(path, check, what="results of `qfae predict`")
    except ValueError as error:
        raise ValueError(str(error).replace(str(path), path.name)) from None
