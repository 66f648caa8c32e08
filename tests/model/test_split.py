"""Sections by patient: nobody in two, enough for thresholds where there are enough, and a word where not."""

from __future__ import annotations

import pytest

from qfae_monai.model.split import split
from tests.model.made_up import found, scan


@pytest.mark.parametrize(
    ("normal", "ill", "expected"),
    [(2, 0, (1, 1, 0)), (20, 0, (10, 10, 0)), (40, 10, (20, 19, 11)), (100, 30, (60, 20, 50)), (200, 3, (157, 40, 6))],
)
def test_sizes(normal: int, ill: int, expected: tuple[int, int, int]) -> None:
    scans = [scan(f"n{number}") for number in range(normal)] + [scan(f"i{n}", "abnormal") for n in range(ill)]
    parts = split(found(*scans))
    assert (len(parts.training), len(parts.validation), len(parts.test)) == expected
    assert any("need 19 held-out" in note for note in parts.notes) == (expected[1] < 19)


def test_all_scans_of_a_patient_stay_together_and_the_ill_are_never_trained_on() -> None:
    scans = [scan(f"n{number % 10}") for number in range(30)] + [scan("n3", "abnormal")]
    parts = split(found(*scans))
    owners = [{one.patient for one in part} for part in (parts.training, parts.validation, parts.test)]
    assert sum(map(len, owners)) == len(set.union(*owners)) == 10
    assert "n3" in owners[2]


def test_the_same_for_a_seed_whatever_the_order() -> None:
    scans = [scan(f"n{number}") for number in range(20)]
    first, again, other = split(found(*scans)), split(found(*scans[::-1])), split(found(*scans), seed=7)
    assert {one.patient for one in first.validation} == {one.patient for one in again.validation}
    assert {one.patient for one in first.validation} != {one.patient for one in other.validation}


def test_one_patient_is_refused() -> None:
    with pytest.raises(ValueError, match=r"at least 2 normal patients.*got 1 in 2 scans.*--patient PATTERN"):
        split(found(scan("a"), scan("a")))


def test_own_sections_are_kept_and_completed() -> None:
    scans = [scan(f"n{number}", section="training") for number in range(10)]
    parts = split(found(*scans, scan("i", "abnormal", section="test")))
    assert (len(parts.training), len(parts.validation), len(parts.test)) == (5, 5, 1)
    parts = split(found(*scans, scan("v", section="validation")))
    assert (len(parts.training), len(parts.validation)) == (10, 1)
    with pytest.raises(ValueError, match="1 patient in several"):
        split(found(*scans, scan("n3", section="test")))
