"""A map of the error that an estimate is likely to have, for every pixel and band, without a truth.

    sigma^2 = (FACTOR[form] spread)^2 + |Z - Z_m|^2, both smoothed by a Gaussian of 1.5 pixels,

where the spread is the standard deviation over estimates that ought to be one, Z_m is their mean (a method's
own estimate has no second term), and the factor makes the 1-sigma coverage right. Forms:

- "kernels", for any method and the default: over the ten members of `kernel_ls`, each with its own kernel and
  draw of random features, so that they agree where the two images determine the spectra and part where they
  do not. A method that lies off their mean, for better or worse, has that distance for an error too, so one
  factor serves all methods. It costs one run of `kernel_ls`.
- "turns", for networks: over the eight turns and mirrorings of the scene (test-time ensembling). A closed
  form with a symmetric PSF gives the same for all of them: its spread would be zero.
- "iterates", for solvers: over their late iterates, by moments that forget by 0.7 a look.

The factors were set on CAVE training scenes by `python -m benchmarks.no_reference --calibrate`;
docs/quality.md tells how well they hold. No paper has it so; deep ensembles (Lakshminarayanan et al., NIPS
2017) are nearest.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hsr_tf import checks, methods
from hsr_tf.closed_forms.spectral_ls import SceneMap
from hsr_tf.fusion import api as fusion
from hsr_tf.fusion.repair import repair
from hsr_tf.networks.pretrained import load_model
from hsr_tf.networks.selection import select_weights
from hsr_tf.networks.tiles import is_based
from hsr_tf.physics.cameras import PsfLike, SrfLike, choose_cameras
from hsr_tf.physics.psf import Psf
from hsr_tf.physics.psf_shift import shifted_psf
from hsr_tf.physics.spectral import SpectralResponse
from hsr_tf.physics.tiled_pair import ArrayPair
from hsr_tf.scene import Observation, Scene, Solution
from hsr_tf.solvers.parts.assembly import Assembly
from hsr_tf.solvers.parts.turned import ALL_TURNS, OfScene, turned_estimate
from hsr_tf.solvers.solver import Controls, Step
from hsr_tf.tiling.stages import run_stages
from hsr_tf.typing import Cube

KERNELS, TURNS, ITERATES = "kernels", "turns", "iterates"
FORMS = (KERNELS, TURNS, ITERATES)
FACTOR = {KERNELS: 2.32, TURNS: 3.52, ITERATES: 1.44e4}
SMOOTHING, SMALLEST_COVER = 1.5, 1e-6
MEMBERS_OF = "kernel_ls"
LOOKS, FORGETTING = 24, 0.7


@dataclass(frozen=True, eq=False)
class Spread:
    """Mean and standard deviation over estimates, (H, W, C)."""

    mean: Cube
    std: Cube


@dataclass(frozen=True, eq=False)
class UncertainSolution:
    """An estimate with its map of sigma.

    Attributes:
        solution: as `hsr_tf.fuse` gives it.
        sigma: (H, W, C), one standard deviation of the error in the units of the cube, with the estimate's
            wavelengths and mask; its metadata tell `quantity`, `uncertainty_form` and `method`.
        spread: what it was made from.
        seconds: that the map took beside the solution.
    """

    solution: Solution
    sigma: Scene
    spread: Spread
    seconds: float


@dataclass(frozen=True)
class UncertainFusion:
    """`hsr_tf.fuse` with a map of the error that is to be expected.

    Attributes:
        form: "kernels", "turns" or "iterates", see the module.
    """

    form: str = KERNELS

    def __post_init__(self) -> None:
        checks.require_choice("form", self.form, FORMS)

    def __call__(
        self,
        observation: Observation,
        method: str | methods.Method = "auto",
        *,
        psf: PsfLike | None = None,
        srf: SrfLike | None = None,
        weights: str | os.PathLike[str] | None = None,
        controls: Controls = Controls(),
    ) -> UncertainSolution:
        """Fuse, and map the error.

        Args:
            observation, method, psf, srf, weights, controls: as in `hsr_tf.fuse`. A time limit holds for the
                method itself; the run of "kernels" ends by itself.

        Raises:
            ValueError: a method that has not the form, a solver that ended before its second look; and what
                `fuse` raises.
        """
        known = methods.get(method, methods.FUSION_KINDS) if isinstance(method, str) else method
        kind = {TURNS: "network", ITERATES: "solver"}.get(self.form, known.kind)
        checks.require(
            known.kind == kind,
            "form",
            expected=f"a {kind} for the form {self.form}",
            received=f"{known.name}, a {known.kind.replace('_', ' ')}",
            remedy=f"use {KERNELS}, which any method has",
        )
        looks = _looks(self.form, known)
        watched = replace(controls, callback=_both(controls.callback, looks)) if looks else controls
        solution = fusion.fuse(observation, known, psf=psf, srf=srf, weights=weights, controls=watched)
        began = time.perf_counter()
        if looks:
            found = looks.spread()
        elif self.form == TURNS:
            linear = observation.linear(solution.radiometry)
            found = turn_spread(linear, method=known, psf=psf, srf=srf, weights=weights)
        else:
            linear = observation.linear(solution.in_units_of_response)
            found = kernel_spread(linear, *_cameras_of(solution, psf, srf), controls=controls)
        distance = self.form == KERNELS and looks is None
        sigma = sigma_map(solution.estimate, found, FACTOR[self.form], distance=distance)
        sigma = replace(sigma, metadata={**sigma.metadata, "uncertainty_form": self.form})
        return UncertainSolution(solution, sigma, found, time.perf_counter() - began)


def sigma_map(estimate: Scene, spread: Spread, factor: float, *, distance: bool) -> Scene:
    """The map of an estimate; `distance` adds that to the mean of the ensemble."""
    variance = np.square(np.float32(factor) * spread.std)
    if distance:
        variance += np.square(estimate.cube - spread.mean)
    hole = estimate.nodata_mask
    if hole is not None:
        variance[hole] = 0  # smoothing is over the pixels with data alone
    covered = 1.0 if hole is None else _smoothed(np.where(hole, np.float32(0), np.float32(1)))
    for band in range(variance.shape[-1]):
        variance[..., band] = _smoothed(variance[..., band]) / np.maximum(covered, SMALLEST_COVER)
    sigma = np.sqrt(np.maximum(variance, 0, out=variance), out=variance)
    if hole is not None:
        sigma[hole] = 0
    metadata_of_map = {"quantity": "1 sigma of the error", "method": str(estimate.metadata.get("method", ""))}
    return Scene(sigma, estimate.wavelengths_nm, estimate.name, metadata_of_map, estimate.nodata_mask)


def _smoothed(image: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(ndimage.gaussian_filter(image, SMOOTHING, mode="nearest"))


def kernel_spread(
    observation: Observation,
    psf: PsfLike | None = None,
    srf: SrfLike | None = None,
    *,
    controls: Controls = Controls(),
) -> Spread:
    """Mean and standard deviation over the members of `kernel_ls`."""
    members = Members()
    quiet = replace(controls, callback=members, checkpoint=None, max_seconds=None)
    fusion.fuse(observation, MEMBERS_OF, psf=psf, srf=srf, controls=quiet)
    return members.spread()


def turn_spread(
    observation: Observation,
    *,
    method: methods.Method,
    psf: PsfLike | None = None,
    srf: SrfLike | None = None,
    weights: str | os.PathLike[str] | None = None,
) -> Spread:
    """Mean and standard deviation of a network's estimate over the eight turns of the scene."""
    repaired = repair(observation, keep_bands=True)
    images = repaired.observation
    network = load_model(select_weights(method.name, images, weights).folder)
    model = network.cameras or choose_cameras(images, psf=psf, srf=srf, srf_needed=True).model
    pair = (images.lr_hsi.cube, images.hr_msi.cube)
    spectral_map = None
    if is_based(network):
        tiled = ArrayPair(pair, model, repaired.holes)
        base = SceneMap(tiled)
        run_stages([base.survey()])
        pair, spectral_map = (base.lr_hsi(tiled.grid.whole), pair[1]), base.found().spectral_map[None]
    assembly = Assembly(model, *pair)
    moments = Moments()
    for turn in ALL_TURNS:
        cube = turned_estimate(network, *pair, scene=OfScene(spectral_map), turns=(turn,))
        if network.config.consistent:
            assembly.complete(cube)
        moments.add(cube)
    return moments.spread()


class Moments:
    """Mean and standard deviation of cubes that come one after the other (Welford 1962)."""

    def __init__(self) -> None:
        self._count = 0
        self._mean: Cube | None = None
        self._sum: Cube | None = None

    def add(self, cube: Cube) -> None:
        """Take one more."""
        self._count += 1
        if self._mean is None or self._sum is None:
            self._mean, self._sum = cube.copy(), np.zeros_like(cube)
            return
        gap = cube - self._mean
        self._mean += gap / self._count
        self._sum += gap * (cube - self._mean)

    def spread(self) -> Spread:
        """Mean and deviation (divided by the number less one).

        Raises:
            ValueError: for fewer than two cubes.
        """
        _require_two(self._count)
        assert self._mean is not None and self._sum is not None
        return Spread(self._mean, np.sqrt(np.maximum(self._sum / (self._count - 1), 0)))


class Members:
    """Callback of `kernel_ls`: its n-th member is n times the n-th mean less n - 1 times the one before.

    The means are made consistent with both images, an affine map, so the members are so too.
    """

    def __init__(self, num_members: int = 10) -> None:
        self._num_members = num_members
        self._moments = Moments()
        self._last: Cube | None = None
        self._count = 0

    def __call__(self, step: Step) -> None:
        """Look where another member has been fitted in all windows."""
        if step.iteration % max(1, step.most // self._num_members):
            return
        mean = np.asarray(step.estimate())
        self._count += 1
        last = mean if self._last is None else self._last
        self._moments.add(mean + np.float32(self._count - 1) * (mean - last))
        self._last = mean

    def spread(self) -> Spread:
        """Over the members so far."""
        return self._moments.spread()


class LateIterates:
    """Callback of any solver: moments of its iterates that forget the early ones."""

    def __init__(self) -> None:
        self._mean: Cube | None = None
        self._variance: Cube | None = None
        self._count = 0

    def __call__(self, step: Step) -> None:
        """Look at one iterate in `most` / 24."""
        if step.iteration % max(1, step.most // LOOKS):
            return
        cube = np.asarray(step.estimate())
        self._count += 1
        if self._mean is None or self._variance is None:
            self._mean, self._variance = cube.copy(), np.zeros_like(cube)
            return
        gap, share = cube - self._mean, np.float32(1 - FORGETTING)
        self._mean += share * gap
        self._variance = np.float32(FORGETTING) * (self._variance + share * np.square(gap))

    def spread(self) -> Spread:
        """Of the late iterates."""
        _require_two(self._count)
        assert self._mean is not None and self._variance is not None
        return Spread(self._mean, np.sqrt(self._variance))


def _looks(form: str, method: methods.Method) -> Members | LateIterates | None:
    """What watches the method's own run; None where the spread comes from elsewhere."""
    if form == ITERATES:
        return LateIterates()
    return Members() if form == KERNELS and method == methods.get(MEMBERS_OF) else None


def _both(first: Callable[[Step], None] | None, second: Callable[[Step], None]) -> Callable[[Step], None]:
    if first is None:
        return second

    def both(step: Step) -> None:
        first(step)
        second(step)

    return both


def _cameras_of(
    solution: Solution, psf: PsfLike | None, srf: SrfLike | None
) -> tuple[PsfLike | None, SrfLike | None]:
    """The cameras of a solution where it estimated them, so that they are estimated once."""
    if solution.psf is not None:
        psf = shifted_psf(Psf(solution.psf, "estimated", signed=True), solution.shift_pixels or (0.0, 0.0))
    return psf, srf if solution.srf is None else SpectralResponse(solution.srf, name="estimated")


def _require_two(count: int) -> None:
    checks.require(
        count >= 2,
        "uncertainty",
        expected="at least two estimates to compare",
        received=str(count),
        remedy="let the solver run longer",
    )
