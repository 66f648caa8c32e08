"""Names of rivals, the paper's methods among them, and what the list says."""

from __future__ import annotations

import pytest

from qfae_monai.experiments.rivals.catalogue import METHODS, NOT_OFFERED, find_method
from qfae_monai.experiments.rivals.listing import format_methods

TABLE_5 = {  # the paper's, without QFAE
    *("f-AnoGAN", "GANomaly", "DRAEM", "UTRAD", "DeepSVDD", "CutPaste", "SimpleNet", "MKD"),
    *("RD4AD", "STFPM", "PaDiM", "PatchCore", "CFA", "CFLOW", "CS-Flow", "P-VQ"),
}


def test_each_method_of_the_paper_is_a_rival_or_said_to_be_missing() -> None:
    offered = [method.paper for method in METHODS.values() if method.paper]
    assert len(TABLE_5) == 16
    assert sorted([*offered, *NOT_OFFERED]) == sorted(TABLE_5)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"qfae, mean-image, .*patchcore.*got 'patchcor' \(did you mean patchcore\?\)"):
        find_method("patchcor")


def test_the_list_has_every_name_with_its_file() -> None:
    lines = format_methods().splitlines()
    for method in METHODS.values():
        (line,) = [line for line in lines if line.split()[:1] == [method.name]]
        assert method.needs in line
    assert any("f-AnoGAN" in line for line in lines)
