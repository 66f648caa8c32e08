"""What a score knows of normal scans, as a file; neighbours; folds."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from qfae_monai.anomaly import AnomalyScorer, Normals, TokenDistance, normals
from qfae_monai.anomaly.normals import ALL, DIRECTIONS, FOLDS, NearestTokens, fold_of
from qfae_monai.networks.token_decoder import Decoded

PATIENTS = [f"P{number}" for number in range(30)]


def decoded(batch: int = 2, groups: int = 2) -> Decoded:
    torch.manual_seed(1)
    tokens = [torch.randn(batch, groups, 16, 8) for _ in range(3)]
    return Decoded(torch.zeros(batch, 3, 32, 32), *tokens)


def test_it_comes_back_from_its_file(tmp_path: Path) -> None:
    maps = torch.rand(30, 3, 8, 8)
    made = Normals(Normals.of(maps, PATIENTS, torch.rand(30)).maps, NearestTokens.of(torch.randn(2, 5, 16, 8)))
    made.save(tmp_path / "models" / "normals.safetensors")
    read = Normals.load(tmp_path / "models" / "normals.safetensors")
    assert set(read.maps) == {ALL, *map(str, range(FOLDS))}
    torch.testing.assert_close(read.maps[ALL].spread, made.maps[ALL].spread)
    assert read.neighbours is not None
    assert read.neighbours.tokens.shape == (2, 5, 16, 8)


def test_a_fold_knows_nothing_of_its_own_patients() -> None:
    maps = torch.zeros(30, 1, 4, 4) + 0.01 * torch.rand(30, 1, 4, 4)
    strange = PATIENTS.index("P7")
    maps[strange] = 100
    found = Normals.of(maps, PATIENTS)
    own = str(fold_of("P7"))
    assert float(found.maps[own].location.max()) < 1
    assert float(found.maps[ALL].location.max()) > 1


def test_a_score_leaves_out_the_fold_that_it_is_told() -> None:
    maps = torch.rand(30, 2, 32, 32)
    scorer = AnomalyScorer(TokenDistance("none"), normals=Normals.of(maps, PATIENTS).maps)
    found, image = decoded(), torch.zeros(2, 1, 32, 32)
    scores = [scorer(image, found, without=without).score for without in (None, 0, 1)]
    assert len({tuple(score.tolist()) for score in scores}) == 3
    assert float(scorer(image, found).anomaly_map.min()) >= 0


def test_neighbours_are_found_anywhere_and_stand_behind_the_reconstruction() -> None:
    found = decoded()
    known = found.encoded.transpose(0, 1).flip(2)  # the same tokens at other places
    maps = NearestTokens(known)(found)
    assert maps.shape == (2, 4, 32, 32)
    assert float(maps[:, :2].abs().max()) < 1e-5  # found anywhere
    assert float(maps[:, 2:].mean()) > 0.1  # but not there
    same = NearestTokens(found.encoded.transpose(0, 1))(found)
    assert float(same.abs().max()) < 1e-5
    scorer = AnomalyScorer(TokenDistance("none"), neighbours=NearestTokens(known))
    assert scorer.maps(torch.zeros(2, 1, 32, 32), found).shape == (2, 6, 32, 32)
    chosen = AnomalyScorer(TokenDistance("none"), neighbours=NearestTokens(known), layers=[3])
    torch.testing.assert_close(chosen.maps(torch.zeros(2, 1, 32, 32), found)[:, 0], maps[:, 1])


def test_wide_tokens_are_compared_in_the_directions_in_which_normal_ones_lie(tmp_path: Path) -> None:
    torch.manual_seed(0)
    wide = torch.randn(2, 40, 16, 20) @ torch.randn(20, 300)  # in 20 of 300 directions
    strange = torch.randn(2, 2, 16, 300)  # in all of them
    found = Decoded(torch.zeros(2, 3, 32, 32), strange, strange, strange)
    whole, reduced = NearestTokens(wide), NearestTokens.of(wide)
    assert reduced.tokens.shape == (2, 40, 16, DIRECTIONS)
    torch.testing.assert_close(reduced(found), whole(found), atol=1e-4, rtol=0)
    Normals({}, reduced).save(tmp_path / "normals.safetensors")
    read = Normals.load(tmp_path / "normals.safetensors").neighbours
    assert read is not None
    torch.testing.assert_close(read(found), whole(found), atol=1e-3, rtol=0)  # in half the memory


def test_many_tokens_are_compared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    found, known = decoded(), torch.randn(2, 9, 16, 8)
    whole = NearestTokens(known)(found)
    monkeypatch.setattr(normals, "PART", 50)
    torch.testing.assert_close(NearestTokens(known)(found), whole)


def test_slices_are_compared_with_those_near_them_along_the_stack(tmp_path: Path) -> None:
    found = decoded()
    known = torch.cat([found.encoded.transpose(0, 1), torch.randn(2, 3, 16, 8)], dim=1)  # the same, then others
    nearest = NearestTokens(known, None, torch.tensor([0.0, 0.0, 0.5, 0.6, 1.0]))
    assert float(nearest(found, torch.tensor([0.1, 0.1])).abs().max()) < 1e-5
    away = nearest(found, torch.tensor([0.5, 0.5]))
    torch.testing.assert_close(away, NearestTokens(known[:, 2:4])(found))  # of five images two are near
    torch.testing.assert_close(nearest(found), away)  # the middle, where no place is known
    alone = NearestTokens(known[:, 4:], None, torch.tensor([1.0]))
    torch.testing.assert_close(alone(found, torch.zeros(2)), NearestTokens(known[:, 4:])(found))  # none is near
    Normals({}, nearest).save(tmp_path / "normals.safetensors")
    read = Normals.load(tmp_path / "normals.safetensors").neighbours
    assert read is not None
    torch.testing.assert_close(read(found, torch.tensor([0.5, 0.5])), away, atol=1e-3, rtol=0)
    image = torch.zeros(2, 1, 32, 32)
    scorer = AnomalyScorer(TokenDistance("none"), neighbours=nearest)
    assert scorer.looks_at_position
    assert not AnomalyScorer(TokenDistance("none"), neighbours=alone.of(known)).looks_at_position
    here, there = (scorer(image, found, torch.full((2,), place)).score for place in (0.1, 0.5))
    assert bool((here < there).all())


def test_tokens_of_earlier_models_are_whole(tmp_path: Path) -> None:
    found, known = decoded(), torch.randn(2, 5, 16, 8)
    save_file({"tokens": known.half()}, tmp_path / "normals.safetensors")
    read = Normals.load(tmp_path / "normals.safetensors").neighbours
    assert read is not None
    torch.testing.assert_close(read(found), NearestTokens(known.half())(found))


def test_missing_damaged_and_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "normals.safetensors"
    with pytest.raises(FileNotFoundError, match="statistics of normal scans of this model, got no such file"):
        Normals.load(path)
    path.write_bytes(b"\0" * 100)
    with pytest.raises(ValueError, match="expected statistics of normal scans, got another file"):
        Normals.load(path)
    save_file({"location.all": torch.zeros(1, 1, 2, 2)}, path)
    with pytest.raises(ValueError, match="expected statistics of normal scans, got another file"):
        Normals.load(path)
    save_file({"tokens": torch.zeros(1, 2, 4, 8), "directions": torch.zeros(1, 20, 7)}, path)
    with pytest.raises(ValueError, match=r"expected directions \(G, D, d\) of tokens"):
        Normals.load(path)
    save_file({"tokens": torch.zeros(1, 2, 4, 8), "places": torch.zeros(3)}, path)
    with pytest.raises(ValueError, match=r"expected places \(M,\) of tokens"):
        Normals.load(path)
