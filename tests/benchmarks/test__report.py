"""What benchmarks share: names given by a flag."""

from __future__ import annotations

import pytest
from absl import flags

from benchmarks._misfit_pairs import CASES
from benchmarks._report import define_names


@pytest.fixture
def parse(monkeypatch: pytest.MonkeyPatch) -> flags.FlagValues:
    values = flags.FlagValues()
    for name in ("DEFINE_list", "register_validator"):
        define = getattr(flags, name)
        monkeypatch.setattr(flags, name, lambda *args, define=define: define(*args, flag_values=values))
    define_names("cases", ["ratio 7.3"], CASES, "Cases.")
    return values


def test_unknown_names_are_refused_when_the_flags_are_read(parse: flags.FlagValues) -> None:
    with pytest.raises(flags.IllegalFlagValueError, match="did you mean 'zero border'"):
        parse(["program", "--cases=ratio 7.3,zero borders"])


def test_every_case_can_be_named(parse: flags.FlagValues) -> None:
    parse(["program", "--cases=" + ",".join(CASES)])
    assert parse.cases == list(CASES)
