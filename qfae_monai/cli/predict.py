"""`qfae predict` and `qfae view`: maps, masks, scores and pictures of studies, and the page that shows them."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from qfae_monai.cli.options import INCLUDE, INTERRUPTED, MODEL, SET, TRUST, VOLUME, quick_imports, rate
from qfae_monai.files import one_writer, printable
from qfae_monai.files.cores import spare_cores
from qfae_monai.screen import echo

if TYPE_CHECKING:
    from qfae_monai.predict.dicom_results import DicomResults
    from qfae_monai.predict.model import Model
    from qfae_monai.predict.outcome import Outcome
    from qfae_monai.predict.studies import Study
    from qfae_monai.privacy.pseudonyms import Pseudonyms

# `qfae view`: image, anomaly map and mask of every study of an output folder, in the browser.


TEXT_BROWSERS = ("www-browser", "links", "elinks", "lynx", "w3m")  # would take over the terminal, and show nothing


def view(
    output: Path = typer.Argument(help="Output folder of `qfae predict`."),
    port: int = typer.Option(0, min=0, max=65535, help="Port to listen on; 0 takes any free port."),
    host: str = typer.Option(
        "127.0.0.1", help="Name or address to listen on; the default can be reached from this machine only."
    ),
    browser: bool = typer.Option(True, "--browser/--no-browser", help="Open the page in the browser."),
) -> None:
    """Show the results of `qfae predict` in the browser. Ctrl-C stops the server. Needs no internet.

    There is no password: whoever can reach the port sees the studies.
    """
    from qfae_monai.viewer.output_folder import OutputFolder
    from qfae_monai.viewer.server import ViewerServer

    folder = OutputFolder(output)
    with ViewerServer(folder, host, port) as server:
        count = len(folder.listing()["studies"])
        echo(f"{count} {'study' if count == 1 else 'studies'} at {server.url} (Ctrl-C ends)")
        if browser:
            _open(server.url)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            echo("ended")


def _open(url: str) -> None:
    try:
        found = webbrowser.get()
    except webbrowser.Error:
        return
    if getattr(found, "name", "") not in TEXT_BROWSERS:
        found.open(url)


SOME_FAILED = 3  # exit code; 2 is typer's, of wrong options
ONNX = "onnx"
WORDS = {True: "above threshold", False: "below threshold", None: ""}


def predict(
    context: typer.Context,
    input_: Path = typer.Option(
        ..., "-i", "--input", help="DICOM folder or .zip, volume file, image file, or a folder of several scans."
    ),
    output: Path = typer.Option(..., "-o", "--output", help="Folder to write: one folder per scan, and report.html."),
    model: Path = MODEL,
    series: str | None = typer.Option(
        None, help="Score only the series with this description, number, UID or file name."
    ),
    volume: str | None = VOLUME,
    allow: list[str] | None = typer.Option(None, help="Name of a risk to accept (see `qfae check`). Repeatable."),
    include: list[str] | None = INCLUDE,
    device: str | None = typer.Option(
        None,
        help="cpu, cuda, cuda:1 ..., or onnx (ONNX Runtime, after `qfae export`); default: the GPU if there is one.",
    ),
    false_positive_rate: float = typer.Option(
        0.05, callback=rate, help="Share of normal volumes and slices above the threshold; above 0, below 1."
    ),
    dicom: bool = typer.Option(
        False,
        "--dicom",
        help="Also write DICOM objects (needs the extra `dicom`); --set region=head states the body region.",
    ),
    anonymous: bool = typer.Option(False, "--anonymous", help="Use pseudonyms: results hold no names and no identity."),
    key: Path | None = typer.Option(
        None,
        help="With --anonymous: key file of the pseudonyms, made if absent. Default: OUTPUT.key beside the output.",
    ),
    set_: list[str] | None = SET,
    workers: int | None = typer.Option(
        None,
        min=1,
        help="Threads that read the next scans and write the last ones beside the network; default: one less than "
        "the cores, at least 1. Each holds a scan in memory.",
    ),
    trust: bool = TRUST,
) -> None:
    """Score scans. For each scan, write its anomaly map, mask, scores.json and overlay.

    Exit code 0: all studies are done; 1: nothing could be started; 3: some studies failed, the others are done;
    129, 130 or 143: the terminal closed, interrupted, terminated.
    What is complete from an earlier run is kept.
    """
    with quick_imports():
        from qfae_monai.evaluation.prediction_page import write_prediction_page
        from qfae_monai.model.bundle import parse_settings
        from qfae_monai.predict.cohort import write_summary
        from qfae_monai.predict.result import check_pseudonyms, remove_unfinished
        from qfae_monai.predict.studies import studies_and_rest
        from qfae_monai.reading.dicom_header import kept_headers
        from qfae_monai.reading.left_aside import lines_of
        from qfae_monai.reading.quiet_libraries import quiet_libraries

    if input_.is_dir() and output.resolve().is_relative_to(input_.resolve()):
        raise ValueError(f"{output}: expected an output outside of the input {input_}, got one within it")
    pseudonyms = _pseudonyms(output, anonymous=anonymous, key=key)
    check_pseudonyms(output, pseudonyms)
    context.with_resource(one_writer(output))  # until the command ends
    context.with_resource(kept_headers())  # found, then read: each header is parsed once
    with quiet_libraries():
        studies, aside = studies_and_rest(
            input_, series=series, volume=volume, allow=allow or (), include=include or ()
        )
    for line in lines_of(aside):
        echo(line)
    if pseudonyms is not None:
        studies = [study.under(pseudonyms) for study in studies]
    settings: dict[str, Any] = {
        "false_positive_rate": false_positive_rate,
        **({} if device in (None, ONNX) else {"device": f"$torch.device({device!r})"}),
        **parse_settings(set_ or []),
    }
    region = settings.pop("region", None)  # of DICOM results; no key of the configuration
    runtime = ONNX if device == ONNX else "torch"
    scorer = _model(model, studies, {"settings": settings, "runtime": runtime, "trusted": trust})
    objects = _dicom_results(studies, pseudonyms, dicom=dicom, region=region)
    remove_unfinished(output)
    outcomes: list[Outcome] = []
    try:
        beside = {"workers": workers or spare_cores(), "allow": allow or [], "dicom": objects}
        _predict_all(studies, scorer, output, outcomes, **beside)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    finally:
        counts = write_summary(output, outcomes, scorer, pseudonyms, aside)
    page = write_prediction_page(output)
    echo(f"{counts['done']} done, {counts['kept']} kept, {counts['failed']} failed: {output / 'summary.csv'}, {page}")
    if counts["failed"]:
        raise typer.Exit(SOME_FAILED)


def _model(path: Path, studies: list[Study], how: dict[str, Any]) -> Model:
    """The model, once it is known that it scores such studies."""
    from qfae_monai.predict.model import Model

    model = Model(path, **how)
    fitting = [study for study in studies if study.is_image == model.images]
    if not fitting:
        kinds = ("volumes", "single images")
        raise ValueError(
            f"{path}: expected studies that are {kinds[model.images]}, as this model was trained on, got "
            f"{len(studies)} that are {kinds[not model.images]}"
        )
    if model.calibration is None:
        echo(f"{path} has no thresholds: scores without p-values and masks (`qfae calibrate` takes them)", err=True)
    return model


def _pseudonyms(output: Path, *, anonymous: bool, key: Path | None) -> Pseudonyms | None:
    """Pseudonyms that name the results; None for their own names. The key lies beside the output, never in it."""
    from qfae_monai.privacy.pseudonyms import Pseudonyms, read_or_create_key

    if not anonymous:
        if key is not None:
            raise ValueError("--key makes pseudonyms: expected --anonymous beside it")
        return None
    beside = output.resolve()
    return Pseudonyms(read_or_create_key(key or beside.with_name(f"{beside.name}.key"), output))


def _dicom_results(
    studies: list[Study], pseudonyms: Pseudonyms | None, *, dicom: bool, region: str | None
) -> DicomResults | None:
    """What writes the DICOM objects, where they were asked for."""
    if not dicom:
        if region:
            raise ValueError("--set region says how DICOM objects are written: expected --dicom beside it")
        return None
    if not any(study.kind == "DICOM" for study in studies):
        raise ValueError("--dicom writes beside a DICOM series: expected one in the input, got none")
    from qfae_monai.predict.dicom_results import DicomResults

    return DicomResults(pseudonyms, region)


def _predict_all(studies: list[Study], model: Model, output: Path, outcomes: list[Outcome], **how: Any) -> None:
    from tqdm import tqdm

    from qfae_monai.predict.cohort import predict_studies

    with (
        tqdm(total=len(studies), desc="studies", unit="study", disable=None) as bar,
        tqdm(unit="slice", leave=False, disable=None) as slices,
    ):
        current: Study | None = None

        def progress(study: Study, done: int, total: int) -> None:
            nonlocal current
            if study is not current:
                current = study
                slices.reset(total)
                slices.set_description(printable(study.name))
            slices.update(done - slices.n)  # tqdm counts steps, the model says how many are done

        def done(study: Study, outcome: Outcome) -> None:
            outcomes.append(outcome)
            further = [f"        {outcome.reason}"] if outcome.reason and outcome.status != "failed" else []
            further += [f"        warning: {warning}" for warning in outcome.warnings]
            for line in (_line(study, outcome), *further):
                bar.write(_encodable(printable(line)))
            bar.update()

        predict_studies(studies, model, output, done, progress=progress, **how)


def _encodable(text: str) -> str:
    """Text that the screen takes, whatever letters names have: a line that cannot be shown must not end a cohort."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)


def _line(study: Study, outcome: Outcome) -> str:
    if outcome.status == "failed":
        return f"failed  {study.name}: {outcome.reason}"
    p_value = "" if outcome.p_value is None else f"  p {outcome.p_value:.3g}"
    words = WORDS[outcome.above_threshold]
    skipped = {"empty": outcome.empty, "out of range": outcome.outside}
    left = "".join(f", {count} {why}" for why, count in skipped.items() if count)
    slices = f"  {outcome.scored} slices{left}" if left or (outcome.scored or 0) > 1 else ""
    return (
        f"{outcome.status:<6}  {study.name}  score {outcome.score:.4g}{p_value}{'  ' + words if words else ''}{slices}"
    )
