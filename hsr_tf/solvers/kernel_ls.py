"""Kernel least squares: what `spectral_ls` leaves, regressed on colour and position, for this scene alone.

The residual X - D M(Y) of the quadratic map is explained by D phi(Y, position) with random Fourier features
phi (`features.py`), by ridge regression: where pixels of like colour lie near each other they share a
correction. As the features are degraded before the fit, the map is fitted to exactly what it produces, and
mixed coarse pixels are no error (area-to-point kriging, Kyriakidis 2004, with colour as a covariate). Several
kernels are fitted, each with its own draw of features and its own weight, and their corrections averaged;
the mean is better than the best of them. Then the result is made to agree with both images.

Scenes of more than about 64 x 64 coarse pixels are solved in overlapping windows, which adapts the map to
the place as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hsr_tf.closed_forms.agreeing_pair import AgreeingPair
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.solvers.parts.assembly import Assembly, Start
from hsr_tf.solvers.parts.features import Kernel, Member, RandomFeatures, pixel_inputs
from hsr_tf.solvers.parts.ridge import RidgeFit, fit_ridge, judged_folds
from hsr_tf.solvers.parts.subspace import SpectralSubspace
from hsr_tf.solvers.solver import Controls, Cube, Iterations, Outcome, Solver, check_pair
from hsr_tf.tiling.blending import Cover
from hsr_tf.tiling.region import Region
from hsr_tf.tiling.stages import TileStore
from hsr_tf.typing import Mask

WEIGHTS = tuple(10.0**power for power in range(-9, -1))
NUM_THREADS = 4
KERNEL_FEATURES = "kernel_features"
Result = TypeVar("Result")


@dataclass(frozen=True)
class KernelConfig:
    """Options of `KernelLS`.

    Attributes:
        kernels: lengths (colour in standard deviations of Y, position in coarse pixels) of each member.
        draws: times that every kernel is fitted, each with features of its own.
        num_features: M, random features of each member.
        window: side of a window in coarse pixels where the scene is larger, before limits on its sharp size.
        consistent: make the result agree with both images.
    """

    kernels: tuple[tuple[float, float], ...] = (
        (4.0, 16.0),
        (2.0, 8.0),
        (4.0, 8.0),
        (2.0, 4.0),
        (4.0, 2.0),
    )
    draws: int = 2
    num_features: int = 512
    window: int = 64
    consistent: bool = True

    @property
    def plan(self) -> RegressionPlan:
        """The members that are fitted, and how."""
        members = [Kernel(*lengths, self.num_features) for lengths in self.kernels] * self.draws
        return RegressionPlan(tuple((member, 1.0) for member in members), self.window)


@dataclass(frozen=True)
class RegressionPlan:
    """What is fitted to the residual of a scene.

    Attributes:
        members: and the weight of each in their mean.
        window: see `KernelConfig`.
    """

    members: tuple[tuple[Member, float], ...]
    window: int = KernelConfig.window


class KernelLS(Solver):
    """Kernel least squares of one scene.

    Args:
        model: the two cameras.
        config: options.
    """

    name = "kernel_ls"
    in_windows = True

    def __init__(self, model: ObservationModel, config: KernelConfig = KernelConfig()) -> None:
        self.model, self.config = model, config

    def solve(self, lr_hsi: Cube, hr_msi: Cube, controls: Controls = Controls()) -> Outcome:
        """The sharp cube of X (h, w, C) and Y (s h, s w, c); an iteration is one kernel in one window."""
        return self._solved(Assembly(self.model, lr_hsi, hr_msi), controls)

    def solve_counted(self, lr_hsi: Cube, hr_msi: Cube, counted: Mask, controls: Controls) -> Outcome:
        """See `Solver.solve_counted`; pixels that do not count have no part in any fit."""
        return self._solved(Assembly(self.model, lr_hsi, hr_msi, counted), controls)

    def solve_agreeing(self, images: AgreeingPair, controls: Controls) -> Outcome:
        """See `Solver.solve_agreeing`; the map that was surveyed is not fitted again."""
        if not images.as_surveyed:
            return super().solve_agreeing(images, controls)
        return self._solved(self._assembly(images), controls, images.scene_map.pair.store)

    def blurred(self, images: AgreeingPair, controls: Controls) -> Cube | None:
        """See `Solver.blurred`: D M(Y) + D phi W, of the features that were fitted."""
        if self.config.consistent or not images.as_surveyed:
            return None
        assembly = self._assembly(images)
        start, store = assembly.start(), images.scene_map.pair.store
        regression = KernelRegression(
            self.model, self.config.plan, start, images.hr_msi, controls.seed, store
        )
        if not regression.in_one_window:
            return None
        codes = [regression.blurred(number) for number in range(regression.most)]
        return np.asarray(images.lr_hsi - start.residual + regression.subspace.expand(np.mean(codes, 0)))

    def _assembly(self, images: AgreeingPair) -> Assembly:
        return Assembly(self.model, images.lr_hsi, images.hr_msi, surveyed=images.scene_map)

    def _solved(self, assembly: Assembly, controls: Controls, store: TileStore | None = None) -> Outcome:
        hr_msi = assembly.hr_msi
        check_pair(assembly.lr_hsi, hr_msi, self.model)
        start = assembly.start()
        regression = KernelRegression(self.model, self.config.plan, start, hr_msi, controls.seed, store)
        iterations = Iterations(self.name, regression.most, controls)

        def estimate() -> Cube:
            cube = assembly.cube(start.spectral_map, regression.codes(), regression.subspace.vectors)
            if self.config.consistent:
                assembly.complete(cube)
            return cube

        steps = regression.steps()
        for _ in iterations:
            next(steps)
            iterations.report(None, estimate)  # each kernel is fitted in closed form: no objective falls
        complete = iterations.done == iterations.most
        return Outcome(estimate(), iterations.done, complete, details={"rank": regression.subspace.rank})


class KernelRegression:
    """The corrections of all members in all windows, as subspace codes.

    Args:
        model: the two cameras.
        plan: what is fitted.
        start: the map whose residual is explained.
        hr_msi: Y, (H, W, c).
        seed: of the random features.
        store: where the blurred features are kept if it shares them, and looked for; None for nowhere. They
            are those of Y alone, so that fits to other coarse pixels share them.

    Attributes:
        most: number of fits, one for each member and window.
        finished: members that were fitted in every window.
    """

    def __init__(
        self,
        model: ObservationModel,
        plan: RegressionPlan,
        start: Start,
        hr_msi: Cube,
        seed: int,
        store: TileStore | None = None,
    ) -> None:
        self._model, self._plan, self._seed, self._store = model, plan, seed, store
        self._weights = np.sqrt(start.weights)[..., None]
        self.subspace = SpectralSubspace.of(self._weights * start.residual)
        self._targets = self._weights * self.subspace.codes(start.residual)
        self._inputs = pixel_inputs(hr_msi, model.scale)
        height, width, _ = start.residual.shape
        # Windows of a scene: `window` coarse pixels a side, but of 512 to 1024 sharp ones.
        side = int(np.clip(plan.window, -(-512 // model.scale), max(2, 1024 // model.scale)))
        self._cover = Cover((height, width), model.scale, size=side, overlap=max(1, side // 8))
        self._sum = np.zeros((*hr_msi.shape[:2], self.subspace.rank), np.float32)
        self.most = len(plan.members) * len(self._cover.windows())
        self._total, self.finished = 0.0, 0

    def codes(self) -> NDArray[np.float32]:
        """Mean correction of the members that were fitted in every window, (H, W, r)."""
        return (self._sum / (self._total or 1.0)).astype(np.float32)

    @property
    def in_one_window(self) -> bool:
        """Whether the scene is one window."""
        return len(self._cover.windows()) == 1

    def blurred(self, number: int) -> NDArray[np.float32]:
        """The blurred correction of a member in a scene of one window, (h, w, r)."""
        (window,) = self._cover.windows()
        images, fit = self._fit(window, self._features(window, number, self._generator(number)), number)
        return np.asarray(images @ fit.coefficients.astype(np.float32))

    def steps(self) -> Iterator[RidgeFit]:
        """Fit member after member, each in all windows; one counts once it has been in all."""
        for number in range(len(self._plan.members)):
            rng = self._generator(number)
            correction = np.zeros_like(self._sum)
            windows = self._cover.windows()
            for window in windows:
                features = self._features(window, number, rng)
                fit = self._fit(window, features, number)[1]
                self._apply(window, features, fit.coefficients.astype(np.float32), correction)
                if window is windows[-1]:
                    weight = self._plan.members[number][1]
                    self._sum += np.float32(weight) * correction
                    self._total += weight
                    self.finished += 1
                yield fit

    def _generator(self, number: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, number])

    def _features(self, window: Region, number: int, rng: np.random.Generator) -> RandomFeatures:
        """A draw of the features of a member."""
        inputs = self._inputs[window.scaled(self._model.scale).slices]
        return self._plan.members[number][0].draw(inputs, rng)

    def _fit(
        self, window: Region, features: RandomFeatures, number: int
    ) -> tuple[NDArray[np.float32], RidgeFit]:
        """D phi of a window, (h, w, M), and what is fitted to it."""
        images = self._blurred_features(window, features, number)
        targets, weights = self._targets[window.slices], self._weights[window.slices]
        height, width, rank = targets.shape
        fit = fit_ridge(
            (weights * images).reshape(height * width, -1),
            targets.reshape(-1, rank),
            judged_folds(height, width),
            weights=WEIGHTS,
        )
        return images, fit

    def _blurred_features(self, window: Region, features: RandomFeatures, number: int) -> NDArray[np.float32]:
        """D phi of a window, (h, w, M)."""
        store, shared = self._store, False
        if store is not None and store.shares(KERNEL_FEATURES) and self.in_one_window:
            if store.has(KERNEL_FEATURES, number):
                return store.load(KERNEL_FEATURES, number)
            shared = True
        inputs = self._inputs[window.scaled(self._model.scale).slices]
        parts = _in_threads(
            lambda part: self._blurred(inputs, features, part),
            features.chunks(inputs.shape[0] * inputs.shape[1]),
        )
        found = np.concatenate(parts, -1)
        if store is not None and shared:
            store.save(KERNEL_FEATURES, number, found)
        return found

    def _apply(
        self,
        window: Region,
        features: RandomFeatures,
        coefficients: NDArray[np.float32],
        correction: NDArray[np.float32],
    ) -> None:
        """Add phi W of a window to the correction."""
        sharp = window.scaled(self._model.scale).slices
        inputs, shares = self._inputs[sharp], self._cover.weights(window)[..., None]
        chunks = features.chunks(inputs.shape[0] * inputs.shape[1])

        def apply(rows: slice) -> None:
            found = sum(features.images(inputs[rows], part) @ coefficients[part] for part in chunks)
            correction[sharp][rows] += found * shares[rows]

        step = -(-len(inputs) // NUM_THREADS)
        _in_threads(apply, [slice(k, k + step) for k in range(0, len(inputs), step)])

    def _blurred(
        self, inputs: NDArray[np.float32], features: RandomFeatures, part: slice
    ) -> NDArray[np.float32]:
        """D phi of some features, (h, w, m)."""
        return np.asarray(self._model.spatial.forward(features.images(inputs, part)[None]))[0]


def _in_threads(work: Callable[[slice], Result], parts: list[slice]) -> list[Result]:
    """What the work makes of each part."""
    with ThreadPoolExecutor(NUM_THREADS) as threads:
        return list(threads.map(work, parts))
