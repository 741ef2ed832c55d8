"""The verdict on a pair: one severity and one line that follow from the findings."""

from __future__ import annotations

from collections.abc import Iterable

from hsr_tf.findings import ERROR, NOTE, OK, WARNING, Finding, Verdict, counted

# Topics whose warnings say that the two images may not show the same thing.
DOUBTS = ("orientation", "registration", "ground", "files")


def verdict_on(findings: Iterable[Finding]) -> Verdict:
    """Judge a pair by its findings: an error stops it, a warning is named, a doubt is no permission."""
    kept = list(findings)
    topics = {name: [f.topic for f in kept if f.severity == name] for name in (ERROR, WARNING)}
    if topics[ERROR]:
        return Verdict(ERROR, f"the pair cannot be fused as it is: {counted(topics[ERROR], 'error')}")
    doubts = [topic for topic in topics[WARNING] if topic in DOUBTS]
    if doubts:
        said = "it is doubtful that the images show the same, a fusion is of no use then"
        return Verdict(WARNING, f"{said}: {counted(topics[WARNING], 'warning')}")
    if topics[WARNING]:
        return Verdict(WARNING, f"the pair can be fused, with {counted(topics[WARNING], 'warning')}")
    num_notes = sum(f.severity == NOTE for f in kept)
    notes = f" ({num_notes} note{'s' * (num_notes != 1)})" if num_notes else ""
    return Verdict(OK, f"the pair can be fused{notes}")
