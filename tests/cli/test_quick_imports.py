"""Garbage is collected again after imports, also after failed ones."""

from __future__ import annotations

import gc

import pytest

from qfae_monai.cli.options import quick_imports


def test_collection_is_off_within_and_on_behind() -> None:
    with quick_imports():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ImportError), quick_imports():
        raise ImportError
    assert gc.isenabled()
