"""Checkpoints: written whole, read as tensors only, and nothing changed by one that does not fit."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import torch
from torch import Tensor, nn

from qfae_monai.weights import load_checkpoint, read_checkpoint, save_checkpoint
from qfae_monai.weights.checkpoints import SUFFIXES


class Encoder(nn.Module):
    """Frozen trunk and trained projection, named as in `FrozenViT`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.trunk = nn.Linear(3, width)
        self.projection = nn.Linear(width, 2)


class Network(nn.Module):
    def __init__(self, width: int = 4, encoders: int = 2) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(Encoder(width) for _ in range(encoders))


def without_trunk(state: dict[str, Tensor], encoder: str = "") -> dict[str, Tensor]:
    return {name: weight for name, weight in state.items() if f"{encoder}.trunk." not in name}


def copy_of(network: nn.Module) -> dict[str, Tensor]:
    return {name: weight.clone() for name, weight in network.state_dict().items()}


def equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_plain_state_dict_survives_a_round_trip(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / "new" / f"model{suffix}"
    source, target = Network(), Network()
    save_checkpoint(path, source.state_dict())
    load_checkpoint(target, path)
    assert equal(copy_of(source), copy_of(target))
    assert os.listdir(path.parent) == [path.name]


def test_any_format_is_readable_by_the_same_people(tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        save_checkpoint(tmp_path / f"model{suffix}", Network().state_dict())
    (tmp_path / "plain").touch()
    assert len({path.stat().st_mode for path in tmp_path.iterdir()}) == 1


def test_state_dict_nested_as_monai_saves_it(tmp_path: Path) -> None:
    network = Network()
    optimizer = torch.optim.Adam(network.parameters())
    save_checkpoint(tmp_path / "a.pt", {"model": network.state_dict(), "optimizer": optimizer.state_dict()})
    assert equal(read_checkpoint(tmp_path / "a.pt"), copy_of(network))
    with pytest.raises(ValueError, match=r"a\.pt: expected .* under the key 'ema'; found the keys model, optimizer"):
        read_checkpoint(tmp_path / "a.pt", key="ema")


def test_failed_write_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.pt"
    save_checkpoint(path, {"a": torch.zeros(1)})

    def fail(state: Any, stream: BinaryIO) -> None:
        stream.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        save_checkpoint(path, {"a": torch.ones(1)})
    assert os.listdir(tmp_path) == ["model.pt"]
    assert equal(read_checkpoint(path), {"a": torch.zeros(1)})


def test_the_same_values_are_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.pt", "b.pt"):
        save_checkpoint(tmp_path / name, {"a": torch.arange(3.0)})
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()


def test_formats_that_cannot_hold_the_state(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.onnx: expected a file ending in \.pt, .* found \.onnx"):
        save_checkpoint(tmp_path / "a.onnx", {"a": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"a\.safetensors: expected a plain state dict .* found the keys model"):
        save_checkpoint(tmp_path / "a.safetensors", {"model": {"a": torch.zeros(1)}})


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"model\.pt not found: expected a file .* found nothing"):
        load_checkpoint(Network(), tmp_path / "model.pt")
    with pytest.raises(FileNotFoundError, match="found a folder"):
        load_checkpoint(Network(), tmp_path)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("length", [0, 100, 700])
def test_truncated_file(suffix: str, length: int, tmp_path: Path) -> None:
    path = tmp_path / f"model{suffix}"
    network = Network()
    save_checkpoint(path, network.state_dict())
    path.write_bytes(path.read_bytes()[:length])
    before = copy_of(network)
    with pytest.raises(ValueError, match=rf"model\{suffix}: expected a complete file of tensors"):
        load_checkpoint(network, path)
    assert equal(copy_of(network), before)


class Command:
    """Unpickling this would run a command."""

    def __reduce__(self) -> tuple:
        return os.mkdir, ("unpickled",)


def test_nothing_but_tensors_is_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Command()}, tmp_path / "model.pt")
    with pytest.raises(ValueError, match=r"model\.pt: .*only code can make \(posix\.mkdir\); nothing of it was run"):
        read_checkpoint(tmp_path / "model.pt")
    assert not (tmp_path / "unpickled").exists()


TEST_CASES_NO_STATE_DICT = [[torch.zeros(2), "a Tensor"], [{}, "no keys"], [{"a": 1}, "the keys a"]]


@pytest.mark.parametrize(("content", "found"), TEST_CASES_NO_STATE_DICT)
def test_file_without_a_state_dict(content: object, found: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(ValueError, match=rf"model\.pt: expected a state dict of tensors, .* found {found}"):
        read_checkpoint(tmp_path / "model.pt")


TEST_CASES_OTHER_NETWORK = [
    [Network(width=5), r"encoders\.0\.trunk\.weight: expected \(4, 3\), found \(5, 3\); .*and 1 more"],
    [Network(encoders=1), r"encoders\.1\.trunk\.weight: expected \(4, 3\), found none"],
    [Network(encoders=3), r"encoders\.2\.trunk\.weight: expected none, found \(4, 3\)"],
]


@pytest.mark.parametrize(("other", "message"), TEST_CASES_OTHER_NETWORK)
def test_checkpoint_of_another_network_changes_nothing(other: Network, message: str, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    save_checkpoint(path, other.state_dict())
    network = Network()
    before = copy_of(network)
    with pytest.raises(ValueError, match=rf"model\.pt does not fit Network: {message}"):
        load_checkpoint(network, path)
    assert equal(copy_of(network), before)


def test_trunk_may_be_absent_only_if_asked_and_only_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    source, network = Network(), Network()
    save_checkpoint(path, without_trunk(source.state_dict()))
    with pytest.raises(ValueError, match=r"trunk\.weight: expected \(4, 3\), found none.*trunk='optional'"):
        load_checkpoint(network, path)
    before = copy_of(network)
    load_checkpoint(network, path, trunk="optional")
    assert equal(copy_of(network), {**before, **without_trunk(source.state_dict())})

    part = {name: weight for name, weight in source.state_dict().items() if name != "encoders.0.trunk.bias"}
    save_checkpoint(path, part)
    with pytest.raises(ValueError, match=r"encoders\.0\.trunk\.bias: expected \(4\), found none"):
        load_checkpoint(network, path, trunk="optional")


def test_one_of_two_trunks_may_be_absent(tmp_path: Path) -> None:
    source, network = Network(), Network()
    save_checkpoint(tmp_path / "model.pt", without_trunk(source.state_dict(), "encoders.1"))
    load_checkpoint(network, tmp_path / "model.pt", trunk="optional")
    name = "encoders.0.trunk.weight"
    assert torch.equal(network.get_parameter(name), source.get_parameter(name))


def test_network_that_waits_for_its_trunk_refuses_a_checkpoint_without(tmp_path: Path) -> None:
    source, network = Network(), Network()
    save_checkpoint(tmp_path / "model.pt", without_trunk(source.state_dict()))
    nn.init.constant_(network.get_parameter("encoders.1.trunk.bias"), float("nan"))
    with pytest.raises(ValueError, match=r"model\.pt holds no trunk, and neither does the network .*encoders\.1"):
        load_checkpoint(network, tmp_path / "model.pt", trunk="optional")


def test_checkpoint_with_nan_is_refused(tmp_path: Path) -> None:
    state = copy_of(Network())
    state["encoders.0.projection.bias"][0] = float("nan")
    save_checkpoint(tmp_path / "model.pt", state)
    with pytest.raises(ValueError, match=r"model\.pt is not usable: 1 of 8 weights hold NaN, encoders\.0\.projection"):
        load_checkpoint(Network(), tmp_path / "model.pt")


def test_unknown_trunk_option(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "model.pt", Network().state_dict())
    with pytest.raises(ValueError, match="trunk must be 'required' or 'optional', got 'maybe'"):
        load_checkpoint(Network(), tmp_path / "model.pt", trunk="maybe")  # type: ignore[arg-type]
