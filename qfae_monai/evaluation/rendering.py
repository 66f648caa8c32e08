"""From a jinja template to one self-contained page: styles and scripts inlined, every request forbidden."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib.resources import files
from math import isfinite
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from qfae_monai.files import write_whole

__all__ = ["UNDEFINED", "interval", "number", "percent", "write_page"]

UNDEFINED = "\N{EN DASH}"
PACKAGE = "qfae_monai.evaluation"


def write_page(path: Path, template: str, script: str | None = None, **context: Any) -> Path:
    """Render a template of this folder and write it, whole or not at all.

    The page's policy lets it load nothing but pictures within itself, and run no script but the one named here. What
    comes from data is escaped.

    Args:
        path: of the page.
        template: its name, `<name>.html.jinja`.
        script: name of its script in `static/`.
        context: what the template shows.

    Raises:
        ValueError: if the context lacks what the template shows.
    """
    code = _static(script) if script else ""
    digest = b64encode(sha256(code.encode()).digest()).decode()
    allowed = f"'sha256-{digest}'" if script else "'none'"
    policy = (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {allowed}; "
        "base-uri 'none'; form-action 'none'"
    )
    try:
        content = (
            _environment()
            .get_template(template)
            .render(policy=policy, style=Markup(_static("report.css")), script=Markup(code), **context)
        )
    except jinja2.UndefinedError as error:
        raise ValueError(f"{path}: expected what the page shows, got something else: {error}") from error
    write_whole(path, content)
    return path


@cache
def _environment() -> jinja2.Environment:
    """Templates, each compiled once per process."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(PACKAGE, "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, percent=percent, interval=interval, bar=bar)
    return environment


def number(value: float | None, digits: int = 3) -> str:
    """A measure with fixed digits behind the point; a dash where it is undefined.

    >>> number(0.91251), number(None)
    ('0.913', '–')
    """
    return UNDEFINED if value is None or not isfinite(value) else _signed(f"{value:.{digits}f}")


def percent(value: float | None, digits: int = 1) -> str:
    """A share as percentage.

    >>> percent(0.0625)
    '6.2 %'
    """
    return UNDEFINED if value is None or not isfinite(value) else f"{100 * value:.{digits}f} %"


def interval(value: Mapping[str, Any] | None, digits: int = 3) -> str:
    """The bounds of an interval {"low", "high"}.

    >>> interval({"value": 0.9, "low": 0.8512, "high": 0.9333}), interval({"value": 0.9, "low": None, "high": None})
    ('0.851 to 0.933', '–')
    """
    if value is None or value["low"] is None or value["high"] is None:
        return UNDEFINED
    return f"{number(value['low'], digits)} to {number(value['high'], digits)}"


def bar(value: Mapping[str, Any] | None, low: float = 0.0, high: float = 1.0) -> Markup:
    """An interval {"value", "low", "high"} as a small drawing on a scale from `low` to `high`, for the eye alone."""
    if value is None or value["value"] is None:
        return Markup("")

    def place(number: float) -> float:
        return 2 + 116 * min(max((number - low) / (high - low), 0.0), 1.0)

    span = ""
    if value["low"] is not None and value["high"] is not None:
        span = f'<path class="span" d="M{place(value["low"]):.1f} 7H{place(value["high"]):.1f}"/>'
    middle = place((low + high) / 2)
    return Markup(
        '<svg class="bar" width="120" height="14" viewBox="0 0 120 14" aria-hidden="true">'
        f'<path class="axis" d="M2 7H118M{middle} 3V11"/>{span}'
        f'<circle cx="{place(value["value"]):.1f}" cy="7" r="3"/></svg>'
    )


def _signed(text: str) -> str:
    """With a minus as wide as the digits."""
    return text.replace("-", "\N{MINUS SIGN}")


def _static(name: str) -> str:
    return (files(PACKAGE) / "static" / name).read_text(encoding="utf-8")
