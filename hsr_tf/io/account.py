"""The account of a reader: what it used of a file, what it left, and what it took for granted.

A reader collects it while it reads the header. It is kept in the header, shown by `hsr info`, listed by
`hsr convert` and reported as findings of a check and a fusion.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.findings import NOTE, WARNING, Finding, listed
from hsr_tf.io.nanometres import flags_of, numbers_of

if TYPE_CHECKING:
    from hsr_tf.io.header import CubeHeader

LEFT, TAKEN, FILE = "not used", "reading", "file"
SCENE_KEY = "source_findings"
MOST_FINDINGS, LONGEST_TEXT = 40, 400


class Account:
    """What a reader says of a file; items are named as the file names them.

    Args:
        one_of_several: whether the cube is one of several arrays, to which what is left may belong: nothing
            that is left matters then.
    """

    def __init__(self, *, one_of_several: bool = False) -> None:
        self._one_of_several = one_of_several
        self._used: dict[str, None] = {}
        self._findings: list[Finding] = []

    @classmethod
    def of(cls, header: CubeHeader, *, without: str = "") -> Account:
        """Return an account that goes on with that of a header, but for what it says of an item."""
        account = cls()
        account.use(*header.used)
        kept = [one for one in header.findings if not one.found.startswith(f"{without}: ")]
        account._findings.extend(kept)
        return account

    @property
    def used(self) -> tuple[str, ...]:
        """Names of the items that the header is made of."""
        return tuple(self._used)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was left and what was taken for granted, in the order in which it was met."""
        return tuple(self._findings[:MOST_FINDINGS])

    def use(self, *names: str) -> None:
        """Say that items were used."""
        self._used |= dict.fromkeys(names)

    def leave(self, name: str, why: str, advice: str = "", *, matters: bool = True) -> None:
        """Say that an item was not used; the first reason counts.

        Args:
            name: of the item.
            why: the reason.
            advice: what to do.
            matters: whether pixels may be read wrongly or lack something for it.
        """
        if any(one.found.startswith(f"{name}: ") for one in self._findings):
            return
        severity = WARNING if matters and not self._one_of_several else NOTE
        self._findings.append(Finding(severity, LEFT, _short(f"{name}: {why}"), _short(advice)))

    def take(self, found: str, advice: str = "", *, severity: str = NOTE) -> None:
        """Say what was taken for granted where the file says nothing."""
        self._findings.append(Finding(severity, TAKEN, _short(found), _short(advice)))

    def leave_all(self, what: str, names: Iterable[str]) -> None:
        """Say in one line that several items of a kind were not used."""
        kept = list(names)
        if kept:
            self.leave(what, listed(kept), matters=False)

    def numbers(self, name: str, values: Any, count: int) -> NDArray[np.float64] | None:
        """Return `count` finite numbers, or None if there are none; the account says which."""
        return self._read(name, values, count, numbers_of)

    def flags(self, name: str, values: Any, count: int) -> NDArray[np.bool_] | None:
        """Return a bad-band list as True for good bands, as `numbers` does."""
        return self._read(name, values, count, flags_of)

    def texts(self, name: str, values: Any, count: int) -> tuple[str, ...] | None:
        """Return `count` texts, as `numbers` does."""
        if values is None:
            return None
        if len(values) != count:
            self.leave(name, f"{len(values)} values where {count} are needed")
            return None
        self.use(name)
        return tuple(str(value) for value in values)

    def _read(self, name: str, values: Any, count: int, read: Any) -> Any:
        if values is None:
            return None
        try:
            found = read(values, count)
        except ValueError as error:
            self.leave(name, str(error))
            return None
        self.use(name)
        return found


def as_metadata(findings: Iterable[Finding]) -> dict[str, Any]:
    """Return the metadata of a scene that was read with these findings; `scene_findings` is the inverse."""
    plain = [asdict(one) for one in findings]
    return {SCENE_KEY: plain} if plain else {}


def scene_findings(metadata: Mapping[str, Any]) -> tuple[Finding, ...]:
    """Return the findings that a loaded scene with these metadata was read with."""
    kept = metadata.get(SCENE_KEY)
    if not isinstance(kept, list | tuple):
        return ()
    names = ("severity", "topic", "found", "advice")
    usable = [one for one in kept if isinstance(one, Mapping) and all(name in one for name in names)]
    return tuple(
        Finding(str(one["severity"]), str(one["topic"]), str(one["found"]), str(one["advice"]))
        for one in usable
    )


def pair_findings(lr_hsi: Iterable[Finding], hr_msi: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return what the readers of two images say that matters for a fusion, with the name of each image."""
    found = []
    for name, findings in (("lr_hsi", lr_hsi), ("hr_msi", hr_msi)):
        for one in findings:
            if one.severity == WARNING or one.topic == TAKEN:
                found.append(Finding(one.severity, FILE, f"{name}: {one.found}", one.advice))
    return tuple(found)


def scene_pair_findings(
    lr_metadata: Mapping[str, Any], hr_metadata: Mapping[str, Any]
) -> tuple[Finding, ...]:
    """Return the same for two loaded scenes with these metadata."""
    return pair_findings(scene_findings(lr_metadata), scene_findings(hr_metadata))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_TEXT else f"{line[: LONGEST_TEXT - 3]}..."
