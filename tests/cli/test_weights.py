"""`qfae weights`, as a user types it: what it prints, what it writes, and how it fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from qfae_monai import __version__, cli
from qfae_monai.weights import hub, read_checkpoint
from qfae_monai.weights.checksums import record_sum

RELEASED = {
    "encoders.0.model.norm.weight": torch.zeros(5),
    "encoders.0.final_projection.bias": torch.zeros(3),
    "decoder.cls_token": torch.zeros(1, 1, 2),
}


def qfae(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Run the command in this process; its exit code."""
    monkeypatch.setattr(sys, "argv", ["qfae", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return int(stop.value.code or 0)


@pytest.mark.slow
def test_help_and_version_load_no_heavy_package() -> None:
    code = "import sys, qfae_monai.cli; sys.exit('torch' in sys.modules or 'monai' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert qfae(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"qfae {__version__}\n"


def test_list_shows_licence_and_place(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "vit_large_patch16_224.mae.safetensors"
    path.write_bytes(bytes(1_500_000))
    monkeypatch.setattr(hub, "try_to_load_from_cache", lambda *arguments: None)
    assert qfae(monkeypatch, "weights", "list", "--folder", tmp_path) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "perceptual, encoder" in lines["vit_large_patch16_224.mae"]
    assert "CC BY-NC 4.0" in lines["vit_large_patch16_224.mae"]
    assert lines["vit_large_patch16_224.mae"].endswith(f"1.5 MB  {path}")
    assert lines["qfae-brain"].split()[-2:] == ["-", "-"]
    assert lines["qfae-brain"].count("not recorded") == 2  # no commit and no sum of it has been checked


def test_fetch_tells_licence_place_and_sum(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def download(entry: object, folder: str, **pins: object) -> tuple[Path, str]:
        path = Path(folder) / "last_ckpt.pth"
        path.write_bytes(b"weights")
        return path, "c" * 40

    monkeypatch.setattr(hub, "download", download)
    assert qfae(monkeypatch, "weights", "fetch", "qfae-brain", "--output", tmp_path) == 0
    output = capsys.readouterr().out
    assert "licence: not stated by the authors" in output
    assert f"wrote {tmp_path / 'qfae-brain.pth'}" in output
    assert f"qfae weights fetch qfae-brain --revision {'c' * 40} --sha256 " in output
    assert qfae(monkeypatch, "weights", "check", tmp_path) == 0
    assert capsys.readouterr().out == "unchanged  qfae-brain.pth\n"


def test_offline_fetch_is_one_line_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    class Offline:
        def repo_info(self, *arguments: object, **more: object) -> None:
            raise OSError("no route\nto the hub")

    monkeypatch.setattr(hub, "HfApi", Offline)
    assert qfae(monkeypatch, "weights", "fetch", "qfae-brain", "--output", tmp_path) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: qfae-brain could not be fetched from the Hugging Face repository ebayar/QFAE")
    assert error.endswith("no route to the hub\n")
    assert error.count("\n") == 1


def test_check_names_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in ("a.bin", "b.bin"):
        (tmp_path / name).write_bytes(b"")
        record_sum(tmp_path / name)
    (tmp_path / "a.bin").write_bytes(b"other")
    (tmp_path / "b.bin").rename(tmp_path / "c.bin")
    assert qfae(monkeypatch, "weights", "check", tmp_path) == 1
    output = capsys.readouterr()
    assert output.out.split() == ["changed", "a.bin", "missing", "b.bin", "unlisted", "c.bin"]
    assert output.err == f"error: {tmp_path}: 1 changed and 1 missing files\n"


@pytest.mark.parametrize("name", ["model.pt", "model.safetensors"])
@pytest.mark.parametrize("options", [(), ("--without-trunk",)])
def test_import_writes_a_plain_state_dict(
    name: str,
    options: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    summary = "2 tensors, 5 parameters, without trunk" if options else "3 tensors, 10 parameters, with trunk"
    torch.save(RELEASED, tmp_path / "last_ckpt.pth")
    output = tmp_path / "models" / name
    assert qfae(monkeypatch, "weights", "import", tmp_path / "last_ckpt.pth", output, *options) == 0
    assert capsys.readouterr().out == f"wrote {output}: {summary}\n"
    state = read_checkpoint(output)
    assert "encoders.0.projection.bias" in state
    assert ("encoders.0.trunk.norm.weight" in state) == (not options)


TEST_CASES_ERROR = [
    [("import", "none.pth", "model.pt"), "error: checkpoint none.pth not found: expected a file"],
    [("check", "no-such-folder"), "error: no-such-folder/SHA256SUMS not found: expected"],
    [("fetch", "vit_nonsense", "--output", "."), "error: 'vit_nonsense' is neither in the catalogue"],
]


@pytest.mark.parametrize(("arguments", "message"), TEST_CASES_ERROR)
def test_errors_are_one_line_on_stderr(
    arguments: tuple[str, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert qfae(monkeypatch, "weights", *arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith(message)
    assert error.count("\n") == 1
