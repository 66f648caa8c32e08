"""Options that are rates."""

from __future__ import annotations

import typer

from qfae_monai.rates import check_rate


def rate(option: typer.CallbackParam, value: float) -> float:
    """Refuse what no threshold can keep before anything is read."""
    try:
        return check_rate(str(option.name), value)
    except ValueError as error:
        raise typer.BadParameter(str(error).partition(": ")[2]) from None
