"""`qfae model`, `qfae inspect` and `qfae export`: model folders shown, checked, packed, imported and exported."""

from __future__ import annotations

from pathlib import Path

import typer

from qfae_monai.cli.options import MODEL, PRESET, SET, TRUST
from qfae_monai.screen import echo

# `qfae inspect`: what a file or folder from elsewhere says, before anything of it is used.


def inspect(
    path: Path = typer.Argument(help="File (calibration, model card, weights, configuration) or folder of such files."),
) -> None:
    """Show a calibration, model card, weights file, configuration or folder as plain text, without running any code.

    Configurations that would run code say so, in how many places and with which text.
    """
    from qfae_monai.evaluation.inspection import inspect_file, inspect_folder

    for line in inspect_folder(path) if path.is_dir() else inspect_file(path):
        echo(line)


app = typer.Typer(no_args_is_help=True, help="Model folders: show, verify, pack, and import checkpoints.")
FOLDER = typer.Argument(help="Model folder, or its .zip from `qfae model pack`.")


@app.command()
def show(model: Path = FOLDER) -> None:
    """Print the model card and the frozen networks with their licences."""
    from qfae_monai.model.card import model_card
    from qfae_monai.model.folder import ModelFolder
    from qfae_monai.model.packing import unpacked

    folder = ModelFolder.open(unpacked(model))
    echo(model_card(folder.path), lines=True)
    echo("## Frozen networks")
    for one in folder.content["frozen"]:
        place = one["file"] or "not in the folder, looked up by name"
        echo(f"- {one['role']}: {one['name']}, {place}; licence: {one['licence']}")


@app.command()
def verify(model: Path = FOLDER, trust: bool = TRUST) -> None:
    """Check that every file and every number of a model is unchanged."""
    from qfae_monai.files.configurations import path_text
    from qfae_monai.model.bundle import Bundle
    from qfae_monai.model.folder import INFERENCE, TRAINING, ModelFolder
    from qfae_monai.model.packing import unpacked
    from qfae_monai.model.trust import check_model_trusted

    folder = ModelFolder.open(unpacked(model))
    for name in (INFERENCE, TRAINING):
        check_model_trusted(folder.path, name, trusted=trust)
    bundle = Bundle([folder.path / INFERENCE], {"bundle_root": path_text(folder.path)})
    folder.check_signature(bundle.signature)
    folder.check(list(folder.files))
    echo(f"{model}: {len(folder.files)} files and {len(bundle.signature)} values are as they were written")


@app.command()
def pack(
    model: Path = typer.Argument(help="Model folder."),
    output: Path | None = typer.Option(
        None, "-o", "--output", help="File to write; default: the folder's name with .zip."
    ),
) -> None:
    """Pack a model folder into one .zip, which all commands but `calibrate` accept as a model."""
    from qfae_monai.model.packing import pack as write

    resolved = model.resolve()
    written = write(model, output or resolved.with_name(f"{resolved.name}.zip"))
    echo(f"{written}: {written.stat().st_size / 2**20:.1f} MB")


@app.command("import")
def import_(
    checkpoint: Path = typer.Argument(
        help="model.pt of an earlier version of this package, or a published last_ckpt.pth."
    ),
    output: Path = typer.Option(..., "-o", "--output", help="Model folder to write."),
    preset: str = PRESET,
    config: list[str] | None = typer.Option(
        None, help="Overlay of the training: a name such as datasets/phantoms, or a file. Repeatable."
    ),
    weights: Path | None = typer.Option(
        None, help="Folder with the frozen networks' weights; default: models/pretrained in the bundle."
    ),
    include_weights: bool | None = typer.Option(
        None,
        "--include-weights/--no-include-weights",
        help="Copy frozen networks into the model; default: if licence and size allow.",
    ),
    set_: list[str] | None = SET,
    trust: bool = TRUST,
) -> None:
    """Make a model folder from a checkpoint. A calibration.json beside the checkpoint is copied if it matches."""
    from qfae_monai.files import one_writer
    from qfae_monai.files.configurations import SUFFIXES, check_trusted, path_text
    from qfae_monai.model.bundle import Bundle, parse_settings
    from qfae_monai.model.folder import check_free
    from qfae_monai.model.importing import import_checkpoint

    overlays = [Path(name) if name.endswith(SUFFIXES) else name for name in config or []]
    check_trusted([name for name in overlays if isinstance(name, Path)], trusted=trust)
    settings = parse_settings(set_ or [])
    Bundle(["train", *overlays]).check_known(settings)
    check_free(output)
    with one_writer(output):
        import_checkpoint(
            checkpoint,
            output,
            ["train", *overlays],
            {
                "preset": preset,
                **({} if weights is None else {"weights_dir": path_text(weights)}),
                **settings,
            },
            include_weights=include_weights,
        )
    echo(f"{output}: a model folder; `qfae model show {output}` prints its card")


# `qfae export`: a model as ONNX or TorchScript, compared with PyTorch before it counts.


def export(
    model: Path = MODEL,
    output: Path | None = typer.Option(
        None,
        "-o",
        "--output",
        help="File to write: .onnx, or .ts for TorchScript; default: into the model, for --device onnx.",
    ),
    graph: str = typer.Option(
        "detector", help="Outputs: `detector` gives reconstruction, map and score; or only `reconstruction`."
    ),
    set_: list[str] | None = SET,
    trust: bool = TRUST,
) -> None:
    """Export a model as ONNX or TorchScript, for any batch size.

    It is run beside PyTorch first; a difference above 0.0001 is an error and nothing is written.
    """
    from qfae_monai.model.bundle import parse_settings
    from qfae_monai.model.export import read_source, write_graph
    from qfae_monai.model.folder import seal_again
    from qfae_monai.predict.model import GRAPH

    if output is None and graph != "detector":
        raise ValueError(f"--graph {graph}: expected --output beside it, as the model itself holds the detector alone")
    if output is None and model.is_file():
        raise ValueError(f"{model}: expected --output beside a packed model, which nothing is added to")
    source = read_source(model, graph, settings=parse_settings(set_ or []), trusted=trust)
    written = write_graph(source, output or model / GRAPH)
    if output is None:
        seal_again(model)
    for file in written.files:
        echo(f"{file}: {file.stat().st_size / 2**20:.1f} MB")
    differences = ", ".join(f"{name} {value:.1e}" for name, value in written.differences.items())
    echo(f"largest difference from PyTorch: {differences}")
