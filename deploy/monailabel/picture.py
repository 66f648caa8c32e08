"""What the server returns of a study, as a picture: `python deploy/monailabel/picture.py IMAGE_ID --output out.png`.

Rows: the slices with the highest scores, the same under the mask, and the anomaly map.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from urllib.parse import quote
from urllib.request import urlopen

import matplotlib
import nibabel as nib
import numpy as np
from monailabel.client import MONAILabelClient
from nibabel.orientations import aff2axcodes
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from qfae_monai.evaluation.pictures import BRIGHTEST, MAP_COLOURS, as_seen, fit, pixel_shape, window

TILE, CAPTION, SLICES = 200, 16, 5
RED = np.array([255.0, 60.0, 40.0])


def main() -> None:
    """Ask for image, mask and map, and draw."""
    parser = argparse.ArgumentParser(description="Draw what the server returns of a study.")
    parser.add_argument("image", help="the study's name in the datastore")
    parser.add_argument("--server", default="http://127.0.0.1:8000", help="the address with the token, as printed")
    parser.add_argument("--output", type=Path, default=Path("response.png"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        client = MONAILabelClient(given.server, tmpdir=folder)
        scan = Path(folder) / "image.nii.gz"
        with urlopen(f"{given.server}/datastore/image?image={quote(given.image)}") as answer:
            scan.write_bytes(answer.read())
        mask, scores = client.infer("qfae", given.image, {"output_type": "mask"})
        heat, _ = client.infer("qfae", given.image, {"output_type": "map"})
        files = {"image": scan, "mask": mask, "map": heat}
        drawn = picture({name: _upright(path) for name, path in files.items()}, scores)
    drawn.save(given.output)
    print(f"{given.image}: score {scores['score']:.4g}, p {scores['p_value']}, {given.output}")  # noqa: T201


def picture(volumes: dict[str, nib.Nifti1Image], scores: dict) -> Image.Image:
    """A column a slice, in the order of the slices."""
    axis = scores["slice_axis"]
    image, mask, heat = (as_seen(volumes[name].get_fdata(), axis) for name in ("image", "mask", "map"))
    best = sorted(scores["slices"], key=lambda row: -row["score"])[:SLICES]
    shape = pixel_shape(tuple(float(mm) for mm in volumes["image"].header.get_zooms()[:3]), axis, 3)
    low, high, limit = float(image.min()), float(np.percentile(image, BRIGHTEST)), float(np.percentile(heat, BRIGHTEST))
    canvas = Image.new("RGB", (TILE * len(best), 3 * TILE + CAPTION))
    for place, row in enumerate(sorted(best, key=lambda row: row["slice"])):
        index = row["slice"]
        grey = np.repeat(255 * fit(window(image[index], low, high), TILE, shape)[..., None], 3, -1)
        found = fit(mask[index].astype(np.float32), TILE, shape)[..., None] > 0.5
        colours = 255 * matplotlib.colormaps[MAP_COLOURS](fit(window(heat[index], 0.0, limit), TILE, shape))[..., :3]
        for number, pixels in enumerate((grey, np.where(found, (grey + RED) / 2, grey), colours)):
            canvas.paste(Image.fromarray(_bytes(pixels)), (place * TILE, CAPTION + number * TILE))
        text = f"slice {index}  score {row['score']:.3g}"
        ImageDraw.Draw(canvas).text((place * TILE + 4, 2), text, fill=(200, 200, 200))
    return canvas


def _upright(path: str | Path) -> nib.Nifti1Image:
    image = nib.as_closest_canonical(nib.Nifti1Image.from_filename(path))
    assert aff2axcodes(image.affine) == ("R", "A", "S")
    return image


def _bytes(pixels: NDArray) -> NDArray[np.uint8]:
    return np.rint(np.clip(pixels, 0, 255)).astype(np.uint8)


if __name__ == "__main__":
    main()
