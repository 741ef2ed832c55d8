"""Errors about input, as data, and the checks that raise them.

Every message names the argument or the file, what is wrong and what to do. Code that reacts to an error reads
its fields, never its text.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from difflib import get_close_matches
from functools import partial
from typing import Any

MARK_NOT_FINITE = (
    "repair them, or mark their pixels as no data: --nodata=VALUE of a command, or nodata_mask in Python"
)


class InputError(ValueError):
    """An argument that is not as it should be; its text is one line that has all four fields.

    Attributes:
        argument: its name, as the caller knows it.
        expected: what would have been right, e.g. "a positive integer".
        received: what came instead.
        remedy: what the caller can do about it.
    """

    def __init__(self, argument: str, *, expected: str, received: object, remedy: str) -> None:
        self.argument, self.expected = argument, expected
        self.received, self.remedy = str(received), remedy
        super().__init__(f"{self.problem}; {remedy}")

    @property
    def problem(self) -> str:
        """The line without the remedy."""
        return f"{self.argument}: expected {self.expected}, got {self.received}"

    def __reduce__(self) -> tuple[Any, ...]:
        fields = {"expected": self.expected, "received": self.received, "remedy": self.remedy}
        return partial(type(self), self.argument, **fields), (), self.__dict__


class FileError(OSError):
    """A file that cannot be used; its text is one line that has all three fields.

    Attributes:
        path: the file or folder.
        problem: what is wrong with it, e.g. "does not exist".
        remedy: what the caller can do about it.
        errno: of the operating system's error behind it, or None.
    """

    def __init__(
        self, path: str | os.PathLike[str], problem: str, *, remedy: str, errno: int | None = None
    ) -> None:
        self.path, self.problem, self.remedy = os.fspath(path), problem, remedy
        super().__init__(f"{self.path}: {problem}; {remedy}")
        self.errno = errno

    def __reduce__(self) -> tuple[Any, ...]:
        fields: dict[str, Any] = {"remedy": self.remedy, "errno": self.errno}
        return partial(type(self), self.path, self.problem, **fields), (), self.__dict__


def file_error(path: str | os.PathLike[str], problem: str, remedy: str) -> FileError:
    """The `FileError` of these fields, to be raised by the caller."""
    return FileError(path, problem, remedy=remedy)


def require(ok: bool, name: str, *, expected: str, received: object, remedy: str) -> None:
    """Raise an `InputError` about argument `name` unless `ok`.

    Args:
        ok: whether the argument is as it should be.
        name, expected, received, remedy: the fields of the error; `received` is formatted with `str`.

    Raises:
        InputError: when `ok` is false.
    """
    if not ok:
        raise InputError(name, expected=expected, received=received, remedy=remedy)


def require_positive_integers(*, remedy: str = "correct it", **values: float) -> None:
    """Raise an `InputError` about the first of the named values that is no whole number of at least 1."""
    for name, value in values.items():
        require(
            value >= 1 and int(value) == value,
            name,
            expected="a positive integer",
            received=value,
            remedy=remedy,
        )


def require_at_least(name: str, value: float, least: float, *, remedy: str) -> None:
    """Raise an `InputError` about argument `name` unless its value is `least` or more."""
    require(value >= least, name, expected=f"at least {least}", received=value, remedy=remedy)


def require_choice(name: str, value: str, choices: Iterable[str]) -> None:
    """Raise an `InputError` that lists the known names, and the nearest one, unless `value` is among them."""
    known = list(choices)
    if value not in known:
        near = get_close_matches(str(value), known, n=1)
        remedy = f"did you mean {near[0]!r}?" if near else "choose one of these"
        expected = f"one of {', '.join(sorted(known))}"
        raise InputError(name, expected=expected, received=repr(value), remedy=remedy)


def require_finite(
    name: str, array: Any, *, remedy: str = "repair them or mark their pixels in the nodata mask"
) -> None:
    """Raise an `InputError` that counts and locates them when `array` holds NaN or infinite values."""
    import numpy as np

    values = np.asarray(array)
    bad = ~np.isfinite(values)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise InputError(
            name,
            expected="finite values",
            received=f"{int(bad.sum())} NaN or infinite values (the first at index {where})",
            remedy=remedy,
        )
