"""What was found about images or a result: one finding per matter, with what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hsr_tf.checks import InputError

OK, NOTE, WARNING, ERROR = "ok", "note", "warning", "error"
SEVERITIES = (OK, NOTE, WARNING, ERROR)


@dataclass(frozen=True)
class Finding:
    """One matter that was looked at.

    Attributes:
        severity: "ok", "note" (worth knowing), "warning" (the result may suffer) or "error" (something has to
            be done before the pair can be fused).
        topic: what was looked at, a word or two.
        found: what was found.
        advice: what to do; empty where nothing is.
        flags: (name, value) of the flags of a fusion that carry out the advice, e.g. ("srf", "estimate").
    """

    severity: str
    topic: str
    found: str
    advice: str = ""
    flags: tuple[tuple[str, str], ...] = ()

    @property
    def line(self) -> str:
        """The finding and the advice in one line."""
        return f"{self.found}; {self.advice}" if self.advice else self.found


def error_finding(topic: str, error: ValueError) -> Finding:
    """The finding of an error that stopped the look at something; its advice is the error's remedy."""
    if isinstance(error, InputError):
        return Finding(ERROR, topic, error.problem, error.remedy)
    return Finding(ERROR, topic, str(error))


def is_fusable(findings: Iterable[Finding]) -> bool:
    """Whether no finding is an error."""
    return all(finding.severity != ERROR for finding in findings)


def listed(names: Iterable[str], most: int = 6) -> str:
    """Names in a row, the first of them where they are many."""
    kept = list(names)
    return ", ".join(kept[:most]) + (f" and {len(kept) - most} more" if len(kept) > most else "")
