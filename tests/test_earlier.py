"""What configurations of earlier models name is found where it is now, and needs no trust."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from pydoc import locate

import pytest
from monai.utils import optional_import

from qfae_monai.earlier import EARLIER, without_rooms
from qfae_monai.files.configurations import read_configuration, words_in
from qfae_monai.model.folder import INFERENCE
from qfae_monai.model.trust import check_model_trusted


@pytest.mark.parametrize(
    "name",
    [
        "qfae_monai.data.LoadSeriesd",
        "qfae_monai.engines.ReconstructionPrepareBatch",
        "qfae_monai.handlers.CaseTables",
        "qfae_monai.handlers.EpochSeed",
        "qfae_monai.inferers.AnomalyInferer",
        "qfae_monai.losses.WeightedSumLoss",
        "qfae_monai.metrics.PixelRanking",
        "qfae_monai.report.evaluation_report.EvaluationReport",
        "qfae_monai.scoring.AnomalyDetector",
    ],
)
def test_a_component_is_found_by_its_earlier_name(name: str) -> None:
    found = locate(name)
    assert isinstance(found, type)
    assert found.__name__ == name.rsplit(".", 1)[1]


@pytest.mark.parametrize("name", sorted(EARLIER))
def test_a_module_is_imported_by_its_earlier_name_and_has_nothing_else(name: str) -> None:
    module = import_module(name)
    assert sys.modules[name] is module
    assert optional_import(name)[1]  # how MONAI's configurations import
    with pytest.raises(AttributeError, match="'system' is no more"):
        module.system  # noqa: B018


def test_words_are_compared_without_their_rooms_and_nothing_else_is_left_out() -> None:
    assert without_rooms("$import qfae_monai.engines as engines") == without_rooms(
        "$import qfae_monai.training as training"
    )
    for strange in (
        "$import os as engines",
        "$os.engines.run()",
        "$os.system('engines.run')",
        "engines.run",
        "$import x as engines",
    ):
        assert without_rooms(strange) == strange
    named = without_rooms("$import qfae_monai.data as data")
    for other in ("os", "torch", "data; x"):  # no name of another module may stand for one of ours
        assert without_rooms(f"$import qfae_monai.data as {other}") != named


def test_a_model_of_an_earlier_version_needs_no_trust(model_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / INFERENCE
    file.parent.mkdir(parents=True)
    text = (model_folder / INFERENCE).read_text()
    for now, earlier in (("anomaly", "scoring"), ("training", "engines"), ("evaluation", "handlers")):
        text = text.replace(f"$import qfae_monai.{now} as {now}", f"$import qfae_monai.{earlier} as {earlier}")
        text = text.replace(f"${now}.", f"${earlier}.").replace(f"qfae_monai.{now}.", f"qfae_monai.{earlier}.")
    file.write_text(text)
    assert any("qfae_monai.scoring" in str(value) for _, value in words_in(read_configuration(file)))
    check_model_trusted(tmp_path, trusted=False)
    file.write_text(text.replace("qfae_monai.scoring.AnomalyDetector", "qfae_monai.scoring.subprocess.Popen"))
    with pytest.raises(ValueError, match="expected what this package writes"):
        check_model_trusted(tmp_path, trusted=False)
