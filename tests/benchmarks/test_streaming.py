"""The streaming benchmark tells how time grows."""

from __future__ import annotations

from benchmarks.streaming import growth


def test_a_straight_line_is_told_as_one() -> None:
    told = growth({1000: 3.0 + 2.0, 2000: 3.0 + 8.0, 4000: 3.0 + 32.0})
    assert told.startswith("processor time: 3.0 s + 2.00 s a megapixel")
    assert told.endswith("1000: +0 %, 2000: +0 %, 4000: +0 %") or told.count("-0 %") + told.count("+0 %") == 3


def test_a_size_off_the_line_is_told_with_its_share() -> None:
    told = growth({1000: 5.0, 2000: 11.0, 4000: 70.0})
    shares = [int(word.split(": ")[1].split(" ")[0]) for word in told.split("line: ")[1].split(", ")]
    assert max(abs(share) for share in shares) > 15
