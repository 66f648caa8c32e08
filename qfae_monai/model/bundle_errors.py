"""Bundle errors without MONAI's wrapping: they state the cause, not its place in the configuration."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def plain_errors() -> Iterator[None]:
    """Around whatever builds parts of a bundle: MONAI's parser wraps each error in RuntimeErrors that name the
    configuration's keys, and not what a user can do.

    Raises:
        ValueError, OSError: the wrapped one, where there is one.
        RuntimeError: MONAI's own otherwise, or one that was raised by the method itself.

    Example:
        >>> with plain_errors():
        ...     raise RuntimeError("Failed to instantiate") from ValueError("expected a depth from 1, got 0")
        Traceback (most recent call last):
        ValueError: expected a depth from 1, got 0
    """
    try:
        yield
    except RuntimeError as error:
        cause = root_cause(error)
        if isinstance(cause, ValueError | OSError):
            raise cause from error
        raise


def root_cause(error: BaseException) -> BaseException:
    """The error that nested RuntimeErrors wrap."""
    while isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__
    return error
