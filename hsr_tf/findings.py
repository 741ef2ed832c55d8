"""What was found about images or a result: one finding per matter, and the verdict on all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from hsr_tf.checks import InputError

OK, NOTE, WARNING, ERROR = "ok", "note", "warning", "error"
SEVERITIES = (OK, NOTE, WARNING, ERROR)
GREEN, YELLOW, RED = "green", "yellow", "red"


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


class FindingWarning(UserWarning):
    """A finding as a warning of Python.

    Made of plain arguments, so that it can go from one process to another.

    Args:
        line: its text.
        severity: "warning" or "error".
    """

    def __init__(self, line: str, severity: str = WARNING) -> None:
        super().__init__(line, severity)
        self.severity = severity

    def __str__(self) -> str:
        return str(self.args[0])

    @classmethod
    def of(cls, finding: Finding) -> Self:
        """The warning that says a finding."""
        return cls(finding.line, finding.severity)


@dataclass(frozen=True)
class Verdict:
    """What follows from findings.

    Attributes:
        severity: "ok", "warning" or "error", the worst of the findings; a note is "ok".
        line: the verdict in words.
    """

    severity: str
    line: str

    @property
    def color(self) -> str:
        """ "green", "yellow" for a warning, "red" for an error."""
        return {ERROR: RED, WARNING: YELLOW}.get(self.severity, GREEN)


def estimate_verdict(findings: Iterable[Finding]) -> Verdict:
    """Judge an estimate by the findings of its fusion: the worst counts, and the topics are named."""
    kept = list(findings)
    for severity, said in ((ERROR, "do not rely on the estimate"), (WARNING, "use the estimate with care")):
        topics = [finding.topic for finding in kept if finding.severity == severity]
        if topics:
            return Verdict(severity, f"{said}: {counted(topics, severity)}")
    return Verdict(OK, "nothing speaks against the estimate")


def counted(topics: Sequence[str], name: str) -> str:
    """E.g. "2 warnings (noise, samples)"."""
    return f"{len(topics)} {name}{'s' * (len(topics) != 1)} ({listed(dict.fromkeys(topics))})"


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
