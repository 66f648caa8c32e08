"""`qfae compare`: two evaluations of the same cases, side by side."""

# ruff: noqa: PLC0415 (imports inside the command keep `qfae --help` quick)

from __future__ import annotations

from pathlib import Path

import typer

from qfae_monai.screen import echo


def compare(
    run_a: Path = typer.Argument(help="Output folder of an evaluation."),
    run_b: Path = typer.Argument(help="Output folder of another evaluation of the same cases."),
    output: Path | None = typer.Option(None, "--output", "-o", help="Folder for comparison.json and comparison.html."),
    samples: int = typer.Option(1000, min=1, help="Resamples of the patients."),
    seed: int = typer.Option(0, min=0, help="Of the resamples."),
) -> None:
    """Show the paired differences between two runs, with intervals over patients."""
    import json

    from qfae_monai.evaluation.comparison import compare as compare_runs
    from qfae_monai.evaluation.comparison import format_comparison
    from qfae_monai.evaluation.comparison_page import write_comparison
    from qfae_monai.files import write_whole

    comparison = compare_runs(run_a, run_b, samples=samples, seed=seed)
    echo(format_comparison(comparison), lines=True)
    if output is not None:
        write_whole(output / "comparison.json", json.dumps(comparison, indent=2, allow_nan=False) + "\n")
        echo(f"wrote {output / 'comparison.json'} and {write_comparison(output / 'comparison.html', comparison)}")
