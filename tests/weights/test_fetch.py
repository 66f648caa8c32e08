"""Fetching: what the hub is asked for, what is stored and recorded; the hub is played by two small stand-ins."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from qfae_monai.weights import ChangedFileError, fetch_weights, find_weights, hub
from qfae_monai.weights.checksums import read_sums

CONTENT = b"weights"
SUM = hashlib.sha256(CONTENT).hexdigest()
COMMIT = "c" * 40
MAE = "vit_base_patch16_224.mae"


@dataclass
class Hub:
    """Stands in for the hub: files by name, and the sum it reports for each of them."""

    files: tuple[str, ...] = ("model.safetensors", "pytorch_model.bin")
    reported_sum: str | None = SUM

    def repo_info(self, repository: str, revision: str | None = None) -> Any:
        return SimpleNamespace(sha=revision or COMMIT)

    def get_paths_info(self, repository: str, names: list[str], revision: str) -> list[Any]:
        self.asked = revision
        large_file = SimpleNamespace(sha256=self.reported_sum) if self.reported_sum else None
        return [SimpleNamespace(path=name, lfs=large_file) for name in reversed(self.files) if name in names]

    def download(self, repository: str, name: str, local_dir: str | Path | None = None, *, revision: str) -> str:
        assert revision == self.asked
        path = Path(local_dir or self.cache) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.content)
        return str(path)

    cache: Path = Path()
    content: bytes = CONTENT
    asked: str = ""


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch, hub_cache: Path) -> Hub:
    stand_in = Hub(cache=hub_cache)
    monkeypatch.setattr(hub, "HfApi", lambda: stand_in)
    monkeypatch.setattr(hub, "hf_hub_download", stand_in.download)
    return stand_in


TEST_CASES = [
    [MAE, ("model.safetensors", "pytorch_model.bin"), f"{MAE}.safetensors"],
    [MAE, ("pytorch_model.bin",), f"{MAE}.bin"],
    ["qfae-brain", ("brain/last_ckpt.pth",), "qfae-brain.pth"],
]


@pytest.mark.parametrize(("name", "files", "expected"), TEST_CASES)
def test_fetched_file_is_stored_and_recorded(
    name: str, files: tuple[str, ...], expected: str, connected: Hub, tmp_path: Path
) -> None:
    connected.files = files
    output = tmp_path / "new" / "folder"
    path, revision, found = fetch_weights(name, output)
    assert (path, revision, found) == (output / expected, COMMIT, SUM)
    assert path.read_bytes() == CONTENT
    assert read_sums(output) == {expected: SUM}
    assert sorted(item.name for item in output.iterdir()) == ["SHA256SUMS", expected]
    assert find_weights(name, output) == path


def test_file_that_the_hub_does_not_describe_is_not_kept(connected: Hub, tmp_path: Path) -> None:
    connected.reported_sum = "0" * 64
    with pytest.raises(ChangedFileError, match=rf"the hub describes SHA-256 0{{64}}, what came has {SUM}"):
        fetch_weights(MAE, tmp_path / "folder")
    assert list((tmp_path / "folder").iterdir()) == []


def test_file_without_a_reported_sum_is_kept(connected: Hub, tmp_path: Path) -> None:
    connected.reported_sum = None
    assert fetch_weights(MAE, tmp_path / "folder").path.is_file()


def test_a_pinned_commit_is_asked_for_and_another_sum_is_refused(connected: Hub, tmp_path: Path) -> None:
    assert fetch_weights(MAE, tmp_path / "folder", revision="b" * 40, sha256=SUM.upper()).revision == "b" * 40
    assert connected.asked == "b" * 40
    with pytest.raises(ChangedFileError, match=rf"{MAE}: expected a file of SHA-256 0{{64}}, got {SUM} from timm/"):
        fetch_weights(MAE, tmp_path / "other", sha256="0" * 64)
    assert list((tmp_path / "other").iterdir()) == []


def test_the_first_fetch_holds_for_later_ones(connected: Hub, tmp_path: Path) -> None:
    fetch_weights(MAE, tmp_path)
    connected.content, connected.reported_sum = b"others", None
    with pytest.raises(ChangedFileError, match=rf"SHA256SUMS recorded SHA-256 {SUM} at an earlier fetch"):
        fetch_weights(MAE, tmp_path)
    assert (tmp_path / f"{MAE}.safetensors").read_bytes() == CONTENT
    insisted = hashlib.sha256(b"others").hexdigest()
    assert fetch_weights(MAE, tmp_path, sha256=insisted).sha256 == read_sums(tmp_path)[f"{MAE}.safetensors"] == insisted


def test_repository_without_the_file(connected: Hub, tmp_path: Path) -> None:
    connected.files = ("README.md",)
    with pytest.raises(ConnectionError, match=r"timm/vit_base_patch16_224\.mae: .*expected one of model\.safetensors"):
        fetch_weights(MAE, tmp_path / "folder")


def test_offline_error_names_the_network_and_the_repository(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Offline:
        def repo_info(self, *args: Any, **kwargs: Any) -> None:
            raise OSError("Name or service not known")

    monkeypatch.setattr(hub, "HfApi", Offline)
    with pytest.raises(ConnectionError, match=rf"{MAE} could not be fetched .* timm/{MAE}: OSError: Name or service"):
        fetch_weights(MAE, tmp_path / "folder")


def test_download_into_the_hub_cache_only_when_asked(connected: Hub, hub_cache: Path) -> None:
    with pytest.raises(FileNotFoundError, match="download=True"):
        find_weights(MAE, "hub")
    assert find_weights(MAE, "hub", download=True) == hub_cache / "model.safetensors"


def test_architecture_without_published_weights(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"vit_base_patch16_18x2_224: timm knows of no published weights"):
        fetch_weights("vit_base_patch16_18x2_224", tmp_path)
