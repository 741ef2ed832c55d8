"""Checks of options that several solvers share."""

from __future__ import annotations

from hsr_tf import checks


def require_positive(config: object, *names: str, or_zero: bool = False) -> None:
    """Raise a one-line `ValueError` unless these options are positive numbers (or zero, if allowed)."""
    for name in names:
        value = getattr(config, name)
        checks.require(
            value >= 0 if or_zero else value > 0,
            name,
            expected="zero or a positive number" if or_zero else "a positive number",
            received=str(value),
            remedy="correct it",
        )
