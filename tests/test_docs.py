"""The pages say what there is: commands with their options, configurations, modules, files; and their examples run."""

from __future__ import annotations

import doctest
import importlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from qfae_monai.cli import app

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / "bundles" / "qfae" / "configs"
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "bundles/qfae/docs/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
LONGEST = 120
STARTS = ("qfae", "python", "make", "pip", "torchrun", "$RUN", "exec", "srun", "uv", "curl", "cp", "cd", "ssh", "for")
OF_MODELS = ("inference.yaml", "training.yaml", "plan.yaml", "mine.yaml")
"""YAML that a model folder has, or a user writes."""
RENAMED = re.compile(r"\.json'|presets/(tiny|small|paper)\b|multi_gpu|--checkpoint demo|qfae-monai\[")
"""What stood in pages before configurations were YAML and models folders."""


def blocks(page: Path, language: str | None = None) -> list[str]:
    """Texts between ``` fences, of one language or of all."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [text for name, text in found if language is None or name == language]


def commands(page: Path) -> Iterator[str]:
    """Commands of a page's blocks, each with its continued lines and without its comment."""
    for block in blocks(page):
        for line in re.sub(r"\\\n\s*", "", block).splitlines():
            words = line.split()
            if words and (words[0].rpartition("/")[2] in STARTS or re.match(r"[A-Z]+=", words[0])):
                yield re.sub(r"\s+#(?=\s).*", "", line.strip())


def named_qfae(page: Path) -> list[str]:
    """Every `qfae ...` of a page, in blocks and within sentences."""
    text = page.read_text(encoding="utf-8")
    inline = [one for one in re.findall(r"`([^`\n]+)`", text) if one.startswith("qfae ")]
    parts = [part.strip() for line in commands(page) for part in re.split("&&|;", line)]
    return [*inline, *(part.removeprefix(".venv/bin/") for part in parts if re.match(r"(\.venv/bin/)?qfae ", part))]


def parse(text: str) -> tuple[Any, list[str]]:
    """The command that a text names, and the options that stand behind it."""
    words = [word.rstrip(",:") for word in re.split(r"\s+", re.sub(r"[\[\]|]", " ", text).strip())][1:]
    command: Any = typer.main.get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    missing = hasattr(command, "commands") and words and not words[0].startswith("-")
    assert not missing, f"{text!r}: there is no command {words[0]!r}"
    return command, [word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_are_short(page: Path) -> None:
    assert [line for line in commands(page) if len(line) > LONGEST] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_qfae_has_the_commands_and_options_that_are_named(page: Path) -> None:
    for text in named_qfae(page):
        command, given = parse(text)
        if command.context_settings.get("ignore_unknown_options"):
            continue  # handed on to a recipe
        known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {"--help", "--version"}
        assert set(given) <= known, f"{text!r}: {sorted(set(given) - known)}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_configurations_that_are_named_exist(page: Path) -> None:
    text = re.sub(r"<[^>]*>|\w*NAME\w*\.yaml|OVERLAY\.yaml|-\*\.yaml|pretrain_\$method\.yaml", "", page.read_text())
    for name in re.findall(r"[\w/$.-]*\w\.yaml", text):
        places = [ROOT, CONFIGS, CONFIGS / "datasets", CONFIGS / "experiments"]
        found = any((place / name.rpartition("configs/")[2]).is_file() for place in places)
        assert found or name.rpartition("/")[2] in OF_MODELS, f"{page.name}: {name}"
    for name in re.findall(r"--config (datasets/\w+|experiments/[\w-]+)", text):
        assert (CONFIGS / f"{name}.yaml").is_file(), f"{page.name}: {name}"
    assert [one.group() for one in RENAMED.finditer(text)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_modules_that_are_named_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in set(re.findall(r"\bqfae_monai(?:\.[A-Za-z_]\w*)+", text)):
        assert _resolves(name), f"{page.name}: {name}"
    for name in re.findall(r"python -m ((?:benchmarks|preprocessing)\.[a-z]\w+)", text):
        assert (ROOT / name.replace(".", "/")).with_suffix(".py").is_file(), f"{page.name}: {name}"
    for name in set(re.findall(r"\b(?:qfae_monai|tests|benchmarks|preprocessing|deploy)/[\w/]+\.py\b", text)):
        assert (ROOT / name).is_file(), f"{page.name}: {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in link:
            file, _, heading = link.partition("#")
            target = page.parent / file if file else page
            assert target.exists(), f"{page.name}: {link}"
            assert not heading or heading in _headings(target), f"{page.name}: {link}"


def test_the_index_leads_to_every_page() -> None:
    docs = ROOT / "docs"
    index = (docs / "README.md").read_text(encoding="utf-8")
    pages = [*docs.rglob("*.md"), *docs.rglob("*.ipynb")]
    others = [page.relative_to(docs).as_posix() for page in pages if page != docs / "README.md"]
    assert [name for name in others if f"({name}" not in index] == []


def test_examples_without_a_model_run() -> None:
    options = doctest.ELLIPSIS
    found = doctest.testfile(str(ROOT / "docs" / "python.md"), module_relative=False, optionflags=options)
    assert found.attempted > 10
    assert not found.failed


def test_examples_with_a_model_run(
    model_folder: Path, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "demo" / "data" / "image").mkdir(parents=True)
    shutil.copytree(model_folder, tmp_path / "demo" / "model")
    scan = sorted((scans / "image").glob("test-*.nii.gz"))[-1]
    shutil.copy(scan, tmp_path / "demo" / "data" / "image" / "test-016.nii.gz")
    monkeypatch.chdir(tmp_path)
    examples = [
        text
        for name in ("README.md", "docs/python.md", "docs/model-folder.md")
        for text in blocks(ROOT / name, "python")
        if "demo/model" in text
    ]
    assert len(examples) == 4
    for text in examples:
        exec(compile(text, "example", "exec"), {})
    printed = capsys.readouterr().out
    assert "above the threshold: " in printed
    assert "(64, 64, 24)" in printed


def _resolves(name: str) -> bool:
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


def _headings(page: Path) -> set[str]:
    lines = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}
