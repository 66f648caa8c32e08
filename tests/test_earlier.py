"""Modules of earlier versions can be imported, and know where their names are now."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from qfae_monai import earlier, rates


def test_a_module_that_is_no_more_is_imported_as_configurations_do() -> None:
    code = "import qfae_monai.engines.tuning as tuning; print(tuning.__name__, bool(tuning.__path__))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "qfae_monai.engines.tuning False\n"


def test_names_are_found_where_they_are_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(earlier.EARLIER_MODULES, "qfae_monai.gone", ("qfae_monai.files", "qfae_monai.rates"))
    monkeypatch.setitem(earlier.EARLIER_MODULES, "qfae_monai.gone.inner", ("qfae_monai.rates",))
    name = next(name for name in vars(rates) if callable(getattr(rates, name)))
    try:
        for gone in ("qfae_monai.gone", "qfae_monai.gone.inner"):
            module = importlib.import_module(gone)
            assert getattr(module, name) is getattr(rates, name)
            with pytest.raises(AttributeError, match=f"{gone} is of an earlier version.*'other' is no more"):
                _ = module.other
            with pytest.raises(ModuleNotFoundError):
                importlib.import_module(f"{gone}.other")
    finally:
        for gone in ("qfae_monai.gone.inner", "qfae_monai.gone"):
            sys.modules.pop(gone, None)


def test_other_names_are_still_unknown() -> None:
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("qfae_monai.never")
