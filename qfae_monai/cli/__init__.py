"""The `qfae` command; each sub-command imports what it needs when it runs, so that `qfae --help` is quick."""

from __future__ import annotations

import logging
import traceback
import warnings

import typer

from qfae_monai import __version__
from qfae_monai.cli import encoders, experiments, model, weights
from qfae_monai.cli.check import check
from qfae_monai.cli.evaluate import calibrate, compare, evaluate
from qfae_monai.cli.experiments import demo
from qfae_monai.cli.model import export, inspect
from qfae_monai.cli.options import ended_by_signals
from qfae_monai.cli.predict import predict, view
from qfae_monai.cli.train import ALL_TO_THE_RECIPE, prepare, pretrain, train
from qfae_monai.screen import echo, echo_error, guard_messages

# Plain tracebacks: typer's own show local variables, which may hold patient data.
app = typer.Typer(name="qfae", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(encoders.app, name="encoders")
app.add_typer(experiments.app, name="experiments")
app.add_typer(model.app, name="model")
app.add_typer(weights.app, name="weights")
for command in (train, predict, view, evaluate, calibrate, check, demo, compare, export, inspect, pretrain):
    app.command()(command)
app.command(context_settings=ALL_TO_THE_RECIPE, add_help_option=False)(prepare)


def _show_version(asked: bool) -> None:
    if asked:
        echo(f"qfae {__version__}")
        raise typer.Exit


@app.callback()
def qfae(
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Show the version and stop."
    ),
) -> None:
    """Anomaly detection in medical images with a Q-Former Autoencoder (QFAE), trained on normal scans only."""


def main() -> None:
    """Entry point: an error that the user can act on is one line on stderr and exit code 1."""
    guard_messages()
    warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")  # which quote values of headers
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    with ended_by_signals():
        try:
            app()
        except (ValueError, OSError, ModuleNotFoundError) as error:
            echo_error(error)
            raise SystemExit(1) from None
        except Exception:  # a fault of the program: where it is, and of the data nothing that a terminal obeys
            echo(traceback.format_exc(), err=True, lines=True)
            raise SystemExit(1) from None
