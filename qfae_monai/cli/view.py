"""`qfae view`: image, anomaly map and mask of every study of an output folder, in the browser."""

# ruff: noqa: PLC0415 (imports inside the command keep `qfae --help` quick)

from __future__ import annotations

import webbrowser
from pathlib import Path

import typer

from qfae_monai.screen import echo

TEXT_BROWSERS = ("www-browser", "links", "elinks", "lynx", "w3m")  # would take over the terminal, and show nothing


def view(
    output: Path = typer.Argument(help="Output folder of `qfae predict`."),
    port: int = typer.Option(0, min=0, max=65535, help="Port to listen on; 0 takes any free one."),
    host: str = typer.Option("127.0.0.1", help="Name or address to listen on; the default is this machine alone."),
    browser: bool = typer.Option(True, "--browser/--no-browser", help="Open the page in the browser."),
) -> None:
    """Show the studies of an output folder in the browser, until Ctrl-C. Needs no internet.

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
