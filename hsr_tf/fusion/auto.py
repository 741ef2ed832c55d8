"""`auto`: the mean of those methods that together predict held-out pixels of this scene best.

The candidates are two closed forms and a light form of `kernel_ls`, networks whose shipped weights were
trained for these bands, scale and cameras, `prior` for any cameras where the bands are those of visible
light, and, with enough `max_seconds`, further solvers. Held-out coarse pixels give each its weight
(`hsr_tf.fusion.evidence`); mostly two to four are kept. Their mean is then made to agree with both images as
far as these agree with each other (`hsr_tf.fusion.blend`). Up to 25 dB of noise `prior` refines that mean
(`hsr_tf.fusion.refined`), and a network for these cameras has an equal share beside it
(`hsr_tf.fusion.evidence.Evidence.of`).

A PSF that is neither given nor recorded is estimated from the two images where the response is known
(`hsr_tf.solvers.cameras.psf_fit`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from hsr_tf import checks
from hsr_tf.fusion.blend import KERNEL_LS, SPECTRAL_LS, WINDOW_SIDE, Blend, Candidate
from hsr_tf.fusion.evidence import Evidence, Verdict
from hsr_tf.options import AUTO
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.tiled_pair import TiledPair
from hsr_tf.solvers.solver import Controls
from hsr_tf.tiling.stages import Stage, StagedMethod
from hsr_tf.typing import Cube

CLOSED_FORMS = (SPECTRAL_LS, "colour_kernel")
SECONDS_OF = {"spectralift": 300.0}
KERNEL_SECONDS, MOST_FLOATS = 60.0, 2**26


@dataclass(frozen=True)
class AutoConfig:
    """Options of `Auto`.

    Attributes:
        candidates: names of the methods that are tried, the preferred one first; empty for those of the time.
        networks: whether shipped networks that fit the pair are tried too.
    """

    candidates: tuple[str, ...] = ()
    networks: bool = True


class Auto:
    """`auto` for a scene with these cameras.

    Args:
        model: the two cameras.
        config: options.
    """

    finds_psf: ClassVar[bool] = True

    def __init__(self, model: ObservationModel, config: AutoConfig = AutoConfig()) -> None:
        self.model, self.config = model, config

    def tiles(self, pair: TiledPair, controls: Controls = Controls()) -> StagedMethod:
        """The methods that suit the scene, over its parts; they are chosen here, once for all processes."""
        began = time.perf_counter()
        candidates = self.candidates(pair, controls)
        known = pair.store.load_json(AUTO)
        found = Evidence(pair, self.model, controls).of(candidates) if known is None else Verdict(**known)
        if known is None:
            pair.store.save_json(AUTO, found.plain())
        limit = controls.max_seconds
        if limit is not None:
            number = len(found.weights) + len(found.start)
            limit = max(1.0, limit - (time.perf_counter() - began)) / number
        controls = replace(controls, max_seconds=limit)
        start = tuple((one, found.start[one.name]) for one in candidates if one.name in found.start)
        parts = [
            (replace(one, start=start) if one.method.any_cameras else one, found.weights[one.name])
            for one in candidates
            if one.name in found.weights
        ]
        if not found.completed and len(parts) == 1:
            return _Chosen(parts[0][0].staged(pair, controls), found)
        return _Chosen(Blend(pair, parts, controls, completed=found.completed), found)

    def candidates(self, pair: TiledPair, controls: Controls) -> list[Candidate]:
        """What is tried on a pair, the preferred one first; solvers where the scene is one tile in memory."""
        whole = len(pair.grid) == 1
        names, limit = self.config.candidates, controls.max_seconds or 0.0
        if not names:
            sides = [length * self.model.scale for length in pair.grid.size]
            num_floats = sides[0] * sides[1] * len(self.model.spectral.matrix)
            small = max(sides) <= WINDOW_SIDE and num_floats <= MOST_FLOATS
            slow = tuple(n for n, least in SECONDS_OF.items() if whole and limit >= least)
            kernels = (KERNEL_LS,) if small or (whole and limit >= KERNEL_SECONDS) else ()
            names = CLOSED_FORMS + kernels + slow
        found = [Candidate.named(name) for name in names]
        checks.require(
            all(one.method.kind in ("closed_form", "solver") and one.name != AUTO for one in found),
            "option candidates",
            expected="closed forms and solvers",
            received=", ".join(names),
            remedy="leave the others out; networks are tried by themselves",
        )
        return found + (self._networks(pair) if self.config.networks else [])

    def _networks(self, pair: TiledPair) -> list[Candidate]:
        """Networks whose shipped weights were trained for this model, and the one for any cameras."""
        from hsr_tf.networks.selection import fitting_cards

        return [Candidate.of_card(card) for card in fitting_cards(self.model, pair.wavelengths_nm)]


class _Chosen(StagedMethod):
    """The chosen methods, which also record why."""

    def __init__(self, method: StagedMethod, found: Verdict) -> None:
        self._method, self._found = method, found

    def survey(self) -> Sequence[Stage]:
        """See `StagedMethod.survey`."""
        return self._method.survey()

    def estimate(self) -> Sequence[Stage]:
        """See `StagedMethod.estimate`."""
        return self._method.estimate()

    def finish(self, index: int) -> Cube:
        """See `StagedMethod.finish`."""
        return self._method.finish(index)

    def details(self) -> dict[str, Any]:
        """Those of the methods, what was chosen, and the scores of all candidates."""
        return {**self._method.details(), "chosen": chosen_words(self._found), **self._found.words}


def chosen_words(found: Verdict) -> str:
    """The methods of a mean: "70 % kernel_ls + 30 % colour_kernel", or "prior over" such a mean."""
    if not found.start:
        return _mean_words(found.weights)
    *others, refining = found.weights
    start = _mean_words(found.start)
    bracketed = f"({start})" if others and len(found.start) > 1 else start
    named = f"{refining} over {bracketed}"
    return _mean_words({**{name: found.weights[name] for name in others}, named: found.weights[refining]})


def _mean_words(weights: dict[str, float]) -> str:
    if len(weights) == 1:
        return next(iter(weights))
    ordered = sorted(weights.items(), key=lambda item: -item[1])
    return " + ".join(f"{100 * weight:.0f} % {name}" for name, weight in ordered)
