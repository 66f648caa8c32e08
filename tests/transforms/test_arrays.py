"""Numbers from NPY files; whatever else such a file holds is never unpickled, and no advice says how."""

from __future__ import annotations

import os
import traceback
from pathlib import Path

import numpy as np
import pytest

from qfae_monai.transforms import LoadArrayd


class Command:
    """Unpickling this would run a command."""

    def __reduce__(self) -> tuple:
        return os.mkdir, ("unpickled",)


def test_a_slice_gets_a_channel(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(6, dtype=np.float32).reshape(2, 3))
    found = LoadArrayd()({"image": str(tmp_path / "a.npy")})["image"]
    assert tuple(found.shape) == (1, 2, 3)
    assert float(found.max()) == 5


def test_objects_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save(tmp_path / "a.npy", np.array([Command()], dtype=object), allow_pickle=True)
    (tmp_path / "b.npy").write_bytes(b"\x80\x04N.")  # a bare pickle
    for name in ("a.npy", "b.npy"):
        with pytest.raises(ValueError, match=rf"{name}: expected an array of numbers") as refused:
            LoadArrayd()({"image": str(tmp_path / name)})
        told = "".join(traceback.format_exception(refused.value))
        assert "allow_pickle=" not in told
        assert "pickle.load" not in told
    assert not (tmp_path / "unpickled").exists()
