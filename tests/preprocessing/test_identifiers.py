"""No identifier gets from volumes, masks, their names or the command's own words into what is prepared from them."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from preprocessing.rsna_cxr import RsnaCXR
from preprocessing.volumes import Volumes, app
from qfae_monai.privacy import Pseudonyms
from tests.identifiers import IN_HEADERS, IN_NAMES, found_in, write_nifti
from tests.preprocessing.phantoms import texture

PATTERNS = ("--image", "zqfile*image*", "--label", "zqfile*mask*", "--patient", r"(zqfolder\d)")
SHAPE = (12, 10, 4)


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """Images with masks; the mask of one is on another grid, of another damaged, of another an .nrrd with fields."""
    folder = tmp_path / "zqmember"
    mask = np.zeros(SHAPE, np.uint8)
    mask[3:6, 3:6, 2] = 1
    for number in range(5):
        below = folder / f"zqfolder{number}"
        write_nifti(below / "zqfile-image.nii.gz", texture(SHAPE, number))
        if number != 4:
            write_nifti(below / "zqfile-mask.nii.gz", mask[:, :, :3] if number == 1 else mask)
    damaged = folder / "zqfolder2" / "zqfile-mask.nii.gz"
    damaged.write_bytes(damaged.read_bytes()[:100])
    image = sitk.GetImageFromArray(mask.T)
    image.SetSpacing((1.0, 1.0, 3.0))
    image.SetDirection((-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0))  # of the NIfTI files, in ITK's LPS
    image.SetMetaData("zqnrrd", "zqmeta")
    sitk.WriteImage(image, str(folder / "zqfolder4" / "zqfile-mask.nrrd"))
    return folder


def test_nothing_of_volumes_masks_or_patterns(cohort: Path, run: Any) -> None:
    made = run(app, cohort, *PATTERNS, "--fractions", 0, 0, 1)
    assert made.exit_code == 1, made.text
    assert "zqfile" in made.text  # the user's own screen
    assert len(made.rows) == 3 * SHAPE[2]
    assert len([row for row in made.rows if row["mask"]]) == 3  # two NIfTI masks and the .nrrd
    assert len(made.refused) == 2
    assert not found_in(made.output, [*IN_HEADERS, *IN_NAMES])


def test_nothing_of_a_data_list(cohort: Path, tmp_path: Path, run: Any) -> None:
    def entry(number: int) -> dict[str, Any]:
        below = cohort / f"zqfolder{number}"
        names = {"image": str(below / "zqfile-image.nii.gz"), "label": str(below / "zqfile-mask.nii.gz")}
        return {**names, "patient": f"zqfolder{number}", "case": f"zqmember{number}"}

    listed = tmp_path / "zqfile.json"
    listed.write_text(json.dumps({"training": [entry(0)], "test": [entry(number) for number in (1, 2, 3)]}))
    made = run(app, cohort, "--datalist", listed)
    assert made.exit_code == 1, made.text
    assert len(made.refused) == 2
    assert any(row["mask"] for row in made.rows)
    assert not found_in(made.output, [*IN_HEADERS, *IN_NAMES])


def test_settings_cannot_be_guessed_without_the_key(tmp_path: Path) -> None:
    """Whoever suspects a name makes its hash: what stands for it in the settings is keyed."""
    listed = tmp_path / "list.json"
    listed.write_text("[]")
    guesses = [sha256(text).hexdigest()[:16] for text in (b"*doe*", b"*doe-mask*", b"(doe)", b"[]")]
    recipes = [Volumes("*doe*", "*doe-mask*", "(doe)", datalist=listed), RsnaCXR("corrected", listed)]
    for recipe in recipes:
        one, again, other = (json.dumps(recipe.parameters(Pseudonyms(key * 32))) for key in (b"1", b"1", b"2"))
        assert one == again != other
        assert not [guess for guess in (*guesses, "doe") if guess in one]
