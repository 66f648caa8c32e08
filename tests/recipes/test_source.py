"""Which files a source is: what is read, and what its hash covers."""

from __future__ import annotations

from pathlib import Path

from qfae_monai.data.acquisition import file_features
from qfae_monai.recipes import Source


def test_voxels_beside_a_header_are_of_the_source(tmp_path: Path) -> None:
    header = tmp_path / "a.nrrd"
    header.write_text("NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 2 2\nencoding: raw\ndata file: a.raw\n")
    (tmp_path / "a.raw").write_bytes(bytes(8))
    source = Source("patient", "name", (str(header),), (str(header),))
    assert source.voxel_files == [header, tmp_path / "a.raw"]
    assert file_features(header).file_size == header.stat().st_size + 8
