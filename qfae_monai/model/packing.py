"""A model folder as one .zip, and back: names are checked, hashes are compared, and nothing is left behind."""

from __future__ import annotations

import atexit
import shutil
import tempfile
import zipfile
from functools import lru_cache
from pathlib import Path, PurePosixPath

from qfae_monai.files import whole_file
from qfae_monai.files.machine_memory import check_memory
from qfae_monai.model.folder import MANIFEST, ModelFolder

MOST_FILES = 10_000


def pack(folder: Path, output: Path) -> Path:
    """Write a model folder as one .zip, without what stays on the machine that trained it.

    Args:
        folder: of the model.
        output: file to write, ending in .zip.

    Raises:
        FileNotFoundError, ValueError: if it is no complete model, or the name does not end in .zip.
    """
    if output.suffix.lower() != ".zip":
        raise ValueError(f"{output}: expected a name that ends in .zip, got {output.suffix or 'none'}")
    model = ModelFolder.open(folder)
    model.check(list(model.files))
    with whole_file(output) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in (MANIFEST, *model.files):
            archive.write(folder / name, name)
    return output


def unpacked(path: Path) -> Path:
    """A model folder: the path itself, or what its .zip holds, in a folder of this process alone.

    Raises:
        ValueError: if the .zip is damaged or holds anything but a packed model.
    """
    return _unpack(path.resolve(), path.stat().st_mtime_ns) if path.is_file() and zipfile.is_zipfile(path) else path


@lru_cache(maxsize=8)  # the time tells a changed file from the one before
def _unpack(path: Path, modified_ns: int) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="qfae-model-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            _check_members(path, members)
            for member in members:
                target = folder / member.filename
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, target.open("wb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"{path}: expected a packed model, got a file that is damaged ({error})") from error
    model = ModelFolder.open(folder)
    model.check(list(model.files))
    return folder


def _check_members(path: Path, members: list[zipfile.ZipInfo]) -> None:
    names = [member.filename for member in members]
    bad = [name for name in names if not _is_below(name)]
    if bad or len(names) > MOST_FILES or len(set(names)) < len(names) or MANIFEST not in names:
        why = f"{bad[0][:100]!r}" if bad else f"{len(names)} members, {len(set(names))} names"
        raise ValueError(f"{path}: expected a packed model, whose files lie below it beside {MANIFEST}, got {why}")
    check_memory(str(path), sum(member.file_size for member in members), "a packed model")


def _is_below(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return bool(parts) and not name.startswith("/") and ".." not in parts and "\\" not in name and ":" not in name
