"""Content of an untrusted file or folder as plain text: nothing in it is evaluated, unpickled or imported."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from qfae_monai.anomaly.calibration import CALIBRATION
from qfae_monai.anomaly.detector import GRAPH_RECORD, RECORD_KEY
from qfae_monai.files import checked, parse_object, printable, read_rows, sha256_of, shown
from qfae_monai.files.configurations import SUFFIXES as CONFIGURATIONS
from qfae_monai.files.configurations import code_in, read_configuration
from qfae_monai.pretraining.card import CARD
from qfae_monai.weights import read_checkpoint
from qfae_monai.weights.checkpoints import CARD_KEY, read_metadata

__all__ = ["inspect_file", "inspect_folder"]

MOST_LINES = 500
SHORT = 20  # values of a list that are shown one by one
KINDS = {"slice_scores": ("calibration", CALIBRATION), "create_vit": ("model card", CARD)}
"""By a key that only such a file has: what it is called, and its schema."""
SCHEMAS = {CARD_KEY: CARD, RECORD_KEY: GRAPH_RECORD}
"""Of the fields of a weights file's or graph's metadata."""


def inspect_folder(folder: Path) -> Iterator[str]:
    """A line for each file below a folder: name, size and what it is; links are named and not followed."""
    paths = sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    for path in paths[:MOST_LINES]:
        name = path.relative_to(folder)
        if path.is_symlink() or not path.is_file():
            yield printable(f"{name}: a link or no plain file, left alone")
        else:
            yield printable(f"{name}: {_size(path)}; {next(_content(path), 'not looked into')}")
    if len(paths) > MOST_LINES:
        yield f"... and {len(paths) - MOST_LINES} more files"


def inspect_file(path: Path) -> Iterator[str]:
    """Size, SHA-256, what the file is, and what stands in it.

    Raises:
        FileNotFoundError: if there is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a file or a folder to look at, got none")
    yield printable(f"{path}: {_size(path)}, SHA-256 {sha256_of(path)}")
    for number, line in enumerate(_content(path)):
        if number == MOST_LINES:
            yield "..."
            return
        yield printable(line)


def _content(path: Path) -> Iterator[str]:
    """Kind of a file, then a line for each value; for a file that is not what its name says, the refusal."""
    try:
        yield from READERS.get(path.suffix.lower(), lambda _: iter(()))(path)
    except (ValueError, OSError) as error:
        yield f"refused: {' '.join(str(error).split())}"


def _configuration(path: Path) -> Iterator[str]:
    content = read_configuration(path)
    code = code_in(content)
    kind, check = next((KINDS[key] for key in KINDS if key in content), (None, None))
    if kind is not None and check is not None:
        yield f"{kind}{_verdict(content, check, path)}"
    elif code:
        yield f"configuration that runs code: {len(code)} places evaluate, call, import or open something"
    else:
        yield "values without code"
    yield from (f"  {key}: {text}" for key, text in _values(content))


def _safetensors(path: Path) -> Iterator[str]:
    try:
        with safe_open(path, framework="pt") as file:
            shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118 (no mapping)
    except SafetensorError as error:
        raise ValueError(f"{path}: expected tensors, got a file that is damaged ({error})") from None
    yield f"weights: {len(shapes)} tensors"
    yield from _metadata(read_metadata(path), path)
    yield from (f"  {name}: {shape}" for name, shape in shapes.items())


def _checkpoint(path: Path) -> Iterator[str]:
    state = read_checkpoint(path)
    yield f"checkpoint: {len(state)} tensors, {sum(weight.numel() for weight in state.values())} values"
    yield from (f"  {name}: {list(weight.shape)}" for name, weight in state.items())


def _graph(path: Path) -> Iterator[str]:
    try:
        import onnx  # noqa: PLC0415  (an optional part)
    except ModuleNotFoundError:
        yield "graph; the extra `export` shows its record"
        return
    try:
        found = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's own
        raise ValueError(f"{path}: expected an ONNX graph, got another file ({type(error).__name__})") from None
    yield f"graph: {len(found.graph.node)} operations"
    yield from _metadata({field.key: field.value for field in found.metadata_props}, path)


def _table(path: Path) -> Iterator[str]:
    rows = read_rows(path)
    yield f"table: {len(rows)} rows of {', '.join(rows[0]) if rows else 'no columns'}"


def _metadata(fields: Mapping[str, str], path: Path) -> Iterator[str]:
    for name, text in fields.items():
        if name not in SCHEMAS:
            yield f"  metadata {name}: {text}"
            continue
        content = parse_object(text, f"{path}, metadata {name!r}")
        yield f"  metadata {name}{_verdict(content, SCHEMAS[name], path)}"
        yield from (f"    {key}: {value}" for key, value in _values(content))


def _verdict(content: Any, check: Callable[[Any, str], None], path: Path) -> str:
    try:
        checked(content, check, path)
    except ValueError as error:
        return f", which would be refused: {error}"
    return ""


def _values(content: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Key and text of every value; long lists as how many they hold."""
    if isinstance(content, list) and len(content) > SHORT:
        yield key, shown(content)
    elif isinstance(content, dict | list) and content:
        for name, value in content.items() if isinstance(content, dict) else enumerate(content):
            yield from _values(value, f"{key}.{name}" if key else str(name))
    else:
        yield key, str(content)


def _size(path: Path) -> str:
    return f"{path.stat().st_size:,} bytes"


READERS: dict[str, Callable[[Path], Iterator[str]]] = {
    **dict.fromkeys(CONFIGURATIONS, _configuration),
    **dict.fromkeys((".pt", ".pth", ".bin"), _checkpoint),
    ".safetensors": _safetensors,
    ".onnx": _graph,
    ".csv": _table,
}
