"""Findings as warnings of Python."""

import pickle

from hsr_tf.findings import ERROR, Finding
from hsr_tf.fusion.residuals import ResidualWarning


def test_a_warning_goes_from_one_process_to_another() -> None:
    warning = ResidualWarning.of(Finding(ERROR, "residuals", "much is left", "check the PSF"))
    again = pickle.loads(pickle.dumps(warning))
    assert type(again) is ResidualWarning
    assert (str(again), again.severity) == ("much is left; check the PSF", ERROR)
    assert ResidualWarning(*warning.args).severity == ERROR
