"""Memory that is left: of the machine and of containers, and what is refused for want of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from qfae_monai.files import machine_memory
from qfae_monai.files.machine_memory import TooLarge, available_memory, check_memory


def test_what_does_not_fit_is_refused_with_both_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_memory, "available_memory", lambda: 2_000_000_000)
    check_memory("a.png", 2_000_000_000, "an image")
    with pytest.raises(TooLarge, match=r"^a\.png: .*the 2\.0 GB .*got an image of 9 x 9 pixels, which takes 11\.5 GB$"):
        check_memory("a.png", 11_500_000_000, "an image of 9 x 9 pixels")


def test_small_things_and_unknown_machines_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_memory, "available_memory", lambda: 0)
    check_memory("a.png", 1000, "an image")
    monkeypatch.setattr(machine_memory, "available_memory", lambda: None)
    check_memory("a.png", 1 << 60, "an image")


def test_there_is_memory_here() -> None:
    found = available_memory()
    assert found is None or 0 < found < 1 << 60


VERSIONS = [
    ("0::/job/inner\n", "", "memory.max", "memory.current", "inactive_file 100"),
    (
        "4:cpu,memory:/job/inner\n0::/\n",
        "memory",
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        "cache 5\ntotal_inactive_file 100",
    ),
]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_container_around_the_process_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: tuple[str, ...]
) -> None:
    groups, kind, limit, used, stat = version
    inner = tmp_path / kind / "job" / "inner"
    inner.mkdir(parents=True)
    (inner / limit).write_text("max\n")
    (inner / used).write_text("7\n")
    (inner.parent / limit).write_text("5000\n")
    (inner.parent / used).write_text("2000\n")
    (inner.parent / "memory.stat").write_text(stat + "\n")
    read = machine_memory._lines
    monkeypatch.setattr(machine_memory, "CGROUPS", tmp_path)
    monkeypatch.setattr(
        machine_memory, "_lines", lambda path: groups.splitlines() if path.parts[1] == "proc" else read(path)
    )
    monkeypatch.setattr(machine_memory, "_machine", lambda: 1 << 40)
    assert available_memory() == 3100
