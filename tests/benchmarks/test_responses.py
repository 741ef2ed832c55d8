"""Channels of every sensor on the bands of instruments, against fine sums over the shape of each band."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.responses import (
    FINE_NM,
    INSTRUMENTS,
    SPECTRA,
    Channels,
    covered_channels,
    noise_gain,
    row_of,
    worst_error,
)

QUICK = ("EnMAP", "two cameras")


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in INSTRUMENTS]
)
def test_every_channel_is_exact_to_one_percent_without_more_noise(name: str) -> None:
    instrument, num_channels = INSTRUMENTS[name], 0
    spectra = {name: spectrum(FINE_NM) for name, spectrum in SPECTRA.items()}
    shapes = instrument.shapes()
    for channels in covered_channels(instrument):
        weights = channels.weights(instrument)
        found = worst_error(channels, weights, shapes, spectra)
        assert found.error < 0.01, found.where
        assert noise_gain(weights, channels.bare_weights(instrument)).max() < 1.3
        num_channels += len(channels.names)
    assert num_channels >= 70


def test_errors_are_those_of_a_sum_worked_by_hand() -> None:
    fine = np.zeros((len(FINE_NM), 1))
    fine[[100, 101]] = 0.5
    shapes = np.zeros((len(FINE_NM), 2))
    shapes[100, 0] = shapes[101, 1] = 1
    spectrum = {"ramp": np.arange(len(FINE_NM), dtype=float)}
    one = Channels("x", ("c",), fine)
    assert worst_error(one, np.array([[0.5], [0.5]]), shapes, spectrum).error == 0
    found = worst_error(one, np.array([[1.0], [0.0]]), shapes, spectrum)
    assert found.error == pytest.approx(0.5 / 100.5)
    assert found.where == "x:c, ramp"


def test_a_row_names_the_worst_case() -> None:
    cells = row_of("two", INSTRUMENTS["two cameras"], {"flat": np.full(len(FINE_NM), 0.4)})
    assert cells[:3] == ["two", "83", "0.00 %"]
