"""Steps of a worker for one source: hash it, cut it, write its slices, and record that it is done."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qfae_monai import __version__
from qfae_monai.files import sha256_of_files, write_whole
from qfae_monai.privacy.identifiers import reason_of, without_identifiers
from qfae_monai.privacy.pseudonyms import Pseudonyms
from qfae_monai.reading.quiet_libraries import quiet_libraries
from qfae_monai.recipes.histograms import PixelSample
from qfae_monai.recipes.images import FORMATS, encode, encode_mask, luminance, output_folder
from qfae_monai.recipes.records import read_record, write_record
from qfae_monai.recipes.source import Cut, Recipe, Source

__all__ = ["SOFTWARE", "Surveyor", "Worker"]

SOFTWARE = f"qfae-monai {__version__}"


@dataclass(frozen=True)
class Surveyor:
    """Surveys one source; gives (survey, "") or (None, why not)."""

    recipe: Recipe

    def __call__(self, item: tuple[int, Source]) -> tuple[int, Any, str]:
        number, source = item
        try:
            with quiet_libraries():
                return number, self.recipe.survey(source), ""
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # whatever is wrong with one source does not stop the others
            return number, None, reason_of(error, source.paths, names=True)


@dataclass(frozen=True)
class Worker:
    """Turns one planned source into files.

    Attributes:
        recipe: how it is cut.
        output: folder of the outputs.
        format: of the images, see `qfae_monai.recipes.images.encode`.
        key: of the pseudonyms.
        refuse_burned_in: whether a source that says it has burned-in annotations is refused.
    """

    recipe: Recipe
    output: Path
    format: str
    key: bytes
    refuse_burned_in: bool = False

    def __call__(self, source: Source) -> tuple[dict[str, Any], str]:
        """
        Returns:
            The source's record (patient, series, source_hmac, plan, rows of the manifest, sizes of the outputs,
            histograms, burned_in_annotation, reason), and the reason with names of files where it was refused: for the
            user's screen, not for the record.
        """
        names = Pseudonyms(self.key)
        record: dict[str, Any] = {
            "patient": names.patient(source.patient),
            "series": names.series(source.patient, source.name),
            "plan": _plan_of(source),
            "told_by": source.told_by,
            "source_hmac": "",  # filled in below: a source that cannot be read has none
            "burned_in_annotation": "",
            "rows": [],
            "sizes": {},
            "histograms": {},
            "reason": "",
        }
        try:
            record["source_hmac"] = names.content(sha256_of_files(source.voxel_files))
            expected = {key: record[key] for key in ("source_hmac", "plan", "told_by")}
            if done := read_record(self.output, record["patient"], record["series"], {**expected, "reason": ""}):
                return done, ""
            with quiet_libraries():
                self._write(source, record)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # whatever is wrong with one source does not stop the others
            record.update(rows=[], sizes={}, histograms={}, reason=reason_of(error, source.paths))
            return record, reason_of(error, source.paths, names=True)
        write_record(self.output, record)
        return record, ""

    def _write(self, source: Source, record: dict[str, Any]) -> None:
        """Write the slices, and fill in the record."""
        if source.refusal:
            raise ValueError(source.refusal)
        sample = PixelSample()
        risks: dict[str, str] = {}
        for cut in self.recipe.cut(source):
            if cut.burned_in:
                record["burned_in_annotation"] = cut.burned_in
            if cut.burned_in == "yes" and self.refuse_burned_in:
                raise ValueError("expected no burned-in annotation, got BurnedInAnnotation YES")
            for risk in cut.risks:
                if risk not in risks:
                    risks[risk] = without_identifiers(risk, source.paths)
            sample.add(cut.split, cut.raw, luminance(cut.image))
            row = self._row(cut, record, "; ".join(risks[risk] for risk in cut.risks))
            # bytes, by which a resumed run knows a complete file
            record["sizes"][row["output"]] = self._save(row["output"], encode(cut.image, self.format))
            if row["mask"] and cut.mask is not None:
                record["sizes"][row["mask"]] = self._save(row["mask"], encode_mask(cut.mask, self.format))
            record["rows"].append(row)
        record["histograms"] = sample.histograms()

    def _save(self, name: str, content: bytes) -> int:
        write_whole(self.output / name, content)
        return len(content)

    def _row(self, cut: Cut, record: dict[str, Any], risks: str) -> dict[str, Any]:
        """One row of the manifest, see `qfae_monai.recipes.records.COLUMNS`."""
        file = f"{record['patient']}_{record['series']}_{cut.index:04d}{FORMATS[self.format]}"
        lesion = None if cut.mask is None else int(cut.mask.sum())
        folder = output_folder(cut.split, cut.abnormal)
        # of an abnormal slice, even where resizing left nothing of its lesion: readers pair masks with images by number
        has_mask = cut.mask is not None and cut.abnormal and cut.split != "train"
        return {
            "output": f"{folder}/{file}",
            "mask": f"{output_folder(cut.split, cut.abnormal, mask=True)}/{file}" if has_mask else "",
            "split": cut.split,
            "label": int(cut.abnormal),
            "lesion_pixels": "" if lesion is None else lesion,
            "patient": record["patient"],
            "told_by": record["told_by"],
            "series": record["series"],
            "slice_index": cut.index,
            "rows": cut.image.shape[0],
            "columns": cut.image.shape[1],
            "spacing_mm": " ".join(f"{value:.6g}" for value in cut.spacing or ()),  # mm
            "affine": "" if cut.affine is None else " ".join(f"{value:.9g}" for value in cut.affine.ravel()),
            "scaling": json.dumps(cut.scaling),
            "source_hmac": record["source_hmac"],
            "burned_in_annotation": record["burned_in_annotation"],
            "allowed_risks": risks,
            "recipe": self.recipe.title,
            "software": SOFTWARE,
        }


def _plan_of(source: Source) -> list[Any]:
    """Plan of a source, in the form that JSON returns."""
    slices = None if source.slices is None else [[index, split] for index, split in sorted(source.slices.items())]
    return [source.split, source.image_label, slices, source.volume, list(source.include)]
