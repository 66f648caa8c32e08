"""Rates and shares that a threshold can keep: above 0 and below 1."""

from __future__ import annotations

__all__ = ["check_rate"]


def check_rate(name: str, value: float) -> float:
    """The value, if some items can be above and some below a threshold of it.

    Raises:
        ValueError: for 0, 1, what lies outside, and no number.

    Example:
        >>> check_rate("false_positive_rate", 0.05)
        0.05
    """
    if not 0 < value < 1:
        raise ValueError(f"{name}: expected a rate above 0 and below 1, got {value:g}")
    return value
