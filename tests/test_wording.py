"""A command names arguments as its flags are typed, and only in what it advises."""

from __future__ import annotations

import math
import re
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsr_tf.checks import InputError, file_error
from hsr_tf.console import errors
from hsr_tf.wording import as_flags, error_line, number, percent, signed

ADVICE = 'have them estimated (psf="estimate", srf="estimate")'
TYPED = "have them estimated (--psf=estimate, --srf=estimate)"


@pytest.mark.parametrize(
    ("advice", "typed"),
    [
        (ADVICE, TYPED),
        (
            'say that it is blind there (srf_outside="zero")',
            "say that it is blind there (--srf_outside=zero)",
        ),
        ("give e.g. --white_level=10000", "give e.g. --white_level=10000"),
        ('write e.g. "band,row,col"', 'write e.g. "band,row,col"'),
        (TYPED, TYPED),
    ],
)
def test_arguments_become_flags(advice: str, typed: str) -> None:
    assert as_flags(advice) == typed


def test_what_was_given_is_shown_as_it_was_given() -> None:
    error = InputError("psf", expected="a PSF", received='name="box"', remedy=ADVICE)
    assert error_line(error) == f'psf: expected a PSF, got name="box"; {TYPED}'
    assert str(error).endswith(ADVICE)
    assert error_line(file_error('a="b".h5', "is\ndamaged", "fetch it")) == 'a="b".h5: is damaged; fetch it'


def test_errors_and_warnings_of_commands_name_flags(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> int:
        warnings.warn(f"the PSF is wrong; {ADVICE}", stacklevel=2)
        raise InputError("method", expected="one with cameras", received="x", remedy=ADVICE)

    assert errors.exit_code(command) == errors.BAD_INPUT
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        f"warning: the PSF is wrong; {TYPED}",
        f"error: method: expected one with cameras, got x; {TYPED}",
    ]


def significant(text: str) -> int:
    """Digits of a number without the zeros in front and, in whole numbers, at the end."""
    digits = re.sub(r"[^0-9.]", "", text)
    bare = digits.replace(".", "").lstrip("0")
    return len(bare if "." in digits else bare.rstrip("0"))


@given(st.floats(allow_nan=False))
def test_figures_have_three_digits_no_exponent_and_no_negative_zero(value: float) -> None:
    for text in (percent(value), number(value)):
        assert not re.search(r"[0-9]e[+-]?[0-9]", text) and significant(text) <= 3
        assert not re.fullmatch(r"-0(\.0*)?( %)?", text)
    assert not re.fullmatch(r"-0\.?0*", signed(value if math.isfinite(value) else 0.0))


@given(st.floats(1e-4, 9.9))
def test_figures_are_those_of_the_value(value: float) -> None:
    assert float(number(value)) == pytest.approx(value, rel=6e-3)
    assert float(percent(value).removesuffix(" %")) == pytest.approx(100 * value, rel=6e-2)
