"""What every recipe's command line has in common."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from qfae_monai.cli.options import ended_by_signals
from qfae_monai.files import one_writer
from qfae_monai.privacy import read_or_create_key
from qfae_monai.recipes import Recipe, prepare, task_backend
from qfae_monai.screen import echo, echo_error, guard_messages

__all__ = [
    "Allow",
    "Burned",
    "Dask",
    "Format",
    "Input",
    "Key",
    "Output",
    "Seed",
    "Variant",
    "VariantName",
    "Workers",
    "application",
    "errors",
    "run_recipe",
]


class VariantName(str, Enum):
    """Which form of a recipe."""

    published = "published"
    corrected = "corrected"


class FormatName(str, Enum):
    """What the images are written as."""

    png8 = "png8"
    png16 = "png16"
    npy = "npy"


Input = Annotated[Path, typer.Argument(help="Folder of the raw data set.", exists=True, file_okay=False)]
Output = Annotated[Path, typer.Argument(help="Folder to write; run again, and an interrupted run goes on.")]
Variant = Annotated[VariantName, typer.Option(help="As published, or with its weak points corrected.")]
Seed = Annotated[int, typer.Option(min=0, help="Of the splits.")]
Format = Annotated[
    FormatName,
    typer.Option("--format", help="8- or 16-bit PNG, or NPY (float32 in [0, 1]); all in BMAD's folders."),
]
Workers = Annotated[int, typer.Option(min=1, help="Processes.")]
Dask = Annotated[
    str | None, typer.Option(help="Address of a Dask scheduler, or 'local' for a cluster of --workers processes.")
]
Key = Annotated[
    Path | None,
    typer.Option(help="Key file of the pseudonyms; made if absent. Default: OUTPUT.key beside the output. Keep it."),
]
Allow = Annotated[list[str] | None, typer.Option(help="A risk that the reader may let pass; repeat for several.")]
Burned = Annotated[
    bool, typer.Option("--refuse-burned-in", help="Refuse a DICOM that says it has burned-in annotations.")
]


def application(command: Any) -> typer.Typer:
    """A command line of one command; plain tracebacks, as typer's own show local variables: patient data."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    return app


@contextmanager
def errors() -> Iterator[None]:
    """An error that the user can act on is one line on stderr and exit code 2."""
    try:
        yield
    except (ValueError, OSError) as error:
        echo_error(error)
        raise typer.Exit(2) from None


def run_recipe(
    recipe: Recipe,
    folder: Path,
    output: Path,
    *,
    seed: int,
    format: FormatName,
    workers: int,
    dask: str | None,
    key: Path | None,
    refuse_burned_in: bool = False,
) -> None:
    """Run a recipe, say what came of it, and exit: 0 all done, 1 some sources refused, 2 nothing done, 129, 130 or 143
    where a signal ended it."""
    guard_messages()
    start = time.perf_counter()
    with errors(), ended_by_signals(), one_writer(output):
        secret = read_or_create_key(key or output.with_name(output.name + ".key"), output)
        with task_backend(workers, dask):
            outcome = prepare(
                recipe,
                folder,
                output,
                key=secret,
                seed=seed,
                format=format.value,
                refuse_burned_in=refuse_burned_in,
                say=echo,
            )
    for source, reason in outcome.refused:
        echo(f"refused: {source}: {reason}", err=True)
    for series in outcome.burned_in:
        echo(f"burned-in annotation: series {series}", err=True)
    for (split, label), count in outcome.counts.items():
        echo(f"{split:5}  {('normal', 'abnormal')[label]:8}  {count:6} images")
    total, seconds = sum(outcome.counts.values()), time.perf_counter() - start
    echo(f"{total} images, {len(outcome.refused)} refused, {seconds:.1f} s: {output / 'qc.html'}")
    raise typer.Exit(outcome.exit_code)
