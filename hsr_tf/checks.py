"""Argument checks: every message names the argument, what was expected, what came and what to do."""

from __future__ import annotations

import os
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import numpy as np

MARK_NOT_FINITE = "repair them, or mark their pixels as without data: hsr convert FILE NEW --nodata=nan"


def require(ok: bool, name: str, *, expected: str, received: object, remedy: str) -> None:
    """Raise a one-line `ValueError` about argument `name` unless `ok`.

    Args:
        ok: whether the argument is as it should be.
        name: the argument, as the caller knows it.
        expected: what would have been right, e.g. "a positive integer".
        received: what came instead; formatted with `str`.
        remedy: what the caller can do about it.

    Raises:
        ValueError: when `ok` is false.
    """
    if not ok:
        raise ValueError(f"{name}: expected {expected}, got {received}; {remedy}")


def require_choice(name: str, value: str, choices: Iterable[str]) -> None:
    """Raise a `ValueError` that lists the known names, and the nearest one, unless `value` is among them."""
    known = list(choices)
    if value not in known:
        near = get_close_matches(str(value), known, n=1)
        remedy = f"did you mean {near[0]!r}?" if near else "choose one of these"
        require(
            False, name, expected=f"one of {', '.join(sorted(known))}", received=repr(value), remedy=remedy
        )


def require_finite(name: str, array: Any, remedy: str = "repair them or leave their pixels out") -> None:
    """Raise a `ValueError` that counts and locates them when `array` holds NaN or infinite values."""
    values = np.asarray(array)
    bad = ~np.isfinite(values)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        require(
            False,
            name,
            expected="finite values",
            received=f"{int(bad.sum())} NaN or infinite values (the first at index {where})",
            remedy=remedy,
        )


class FileProblem(OSError):
    """An error about a file that says in one line all that there is to say; nobody wraps it again."""


def file_error(path: str | os.PathLike[str], problem: str, remedy: str) -> OSError:
    """A one-line `OSError` about a file, to be raised by the caller."""
    return FileProblem(f"{os.fspath(path)}: {problem}; {remedy}")
