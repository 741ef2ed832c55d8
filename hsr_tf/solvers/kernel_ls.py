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

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsr_tf.physics.observation import ObservationModel
from hsr_tf.solvers.parts.assembly import Assembly, Start
from hsr_tf.solvers.parts.features import (
    FourierFeatures,
    Kernel,
    feature_images,
    pixel_inputs,
)
from hsr_tf.solvers.parts.ridge import RidgeFit, fit_ridge, judged_folds
from hsr_tf.solvers.parts.subspace import SpectralSubspace
from hsr_tf.solvers.solver import Controls, Cube, Iterations, Outcome, Solver, check_pair
from hsr_tf.tiling.blending import Cover
from hsr_tf.tiling.region import Region
from hsr_tf.typing import Mask

WEIGHTS = tuple(10.0**power for power in range(-9, -1))
NUM_THREADS = 4


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
        return self._solved(lr_hsi, hr_msi, None, controls)

    def solve_counted(self, lr_hsi: Cube, hr_msi: Cube, counted: Mask, controls: Controls) -> Outcome:
        """See `Solver.solve_counted`; pixels that do not count have no part in any fit."""
        return self._solved(lr_hsi, hr_msi, counted, controls)

    def _solved(self, lr_hsi: Cube, hr_msi: Cube, counted: Mask | None, controls: Controls) -> Outcome:
        check_pair(lr_hsi, hr_msi, self.model)
        assembly = Assembly(self.model, lr_hsi, hr_msi, counted)
        start = assembly.start()
        regression = KernelRegression(self.model, self.config, start, hr_msi, controls.seed)
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
    """The corrections of all kernels in all windows, as subspace codes.

    Args:
        model: the two cameras.
        config: options.
        start: the map whose residual is explained.
        hr_msi: Y, (H, W, c).
        seed: of the random features.

    Attributes:
        most: number of fits, one a kernel and window.
        finished: kernels that were fitted in every window.
    """

    def __init__(
        self, model: ObservationModel, config: KernelConfig, start: Start, hr_msi: Cube, seed: int
    ) -> None:
        self._model, self._config, self._seed = model, config, seed
        self._weights = np.sqrt(start.weights)[..., None]
        self.subspace = SpectralSubspace.of(self._weights * start.residual)
        self._targets = self._weights * self.subspace.codes(start.residual)
        self._inputs = pixel_inputs(hr_msi, model.scale)
        height, width, _ = start.residual.shape
        # Windows of a scene: `window` coarse pixels a side, but of 512 to 1024 sharp ones.
        side = int(np.clip(config.window, -(-512 // model.scale), max(2, 1024 // model.scale)))
        self._cover = Cover((height, width), model.scale, size=side, overlap=max(1, side // 8))
        self._sum = np.zeros((*hr_msi.shape[:2], self.subspace.rank), np.float32)
        self.most = config.draws * len(config.kernels) * len(self._cover.windows())
        self.finished = 0

    def codes(self) -> NDArray[np.float32]:
        """Mean correction of the kernels that were fitted in every window, (H, W, r)."""
        return (self._sum / max(1, self.finished)).astype(np.float32)

    def steps(self) -> Iterator[RidgeFit]:
        """Fit kernel after kernel, each in all windows; a kernel counts once it has been in all."""
        for number, lengths in enumerate(self._config.kernels * self._config.draws):
            rng = np.random.default_rng([self._seed, number])
            correction = np.zeros_like(self._sum)
            windows = self._cover.windows()
            for window in windows:
                fit = self._fit(window, Kernel(*lengths), rng, correction)
                if window is windows[-1]:
                    self._sum += correction
                    self.finished += 1
                yield fit

    def _fit(
        self, window: Region, kernel: Kernel, rng: np.random.Generator, correction: NDArray[np.float32]
    ) -> RidgeFit:
        sharp = window.scaled(self._model.scale).slices
        inputs = self._inputs[sharp]
        features = FourierFeatures.draw(
            kernel,
            num_channels=inputs.shape[-1] - 2,
            num_features=self._config.num_features,
            rng=rng,
        )
        chunks = features.chunks(inputs.shape[0] * inputs.shape[1])
        with ThreadPoolExecutor(NUM_THREADS) as threads:
            parts = list(threads.map(lambda part: self._blurred(inputs, features, part), chunks))
        targets = self._targets[window.slices]
        height, width, rank = targets.shape
        weights = self._weights[window.slices]
        fit = fit_ridge(
            np.concatenate([weights * part for part in parts], -1).reshape(height * width, -1),
            targets.reshape(-1, rank),
            judged_folds(height, width),
            weights=WEIGHTS,
        )
        coefficients = fit.coefficients.astype(np.float32)
        shares = self._cover.weights(window)[..., None]

        def apply(rows: slice) -> None:
            found = sum(feature_images(inputs[rows], features, part) @ coefficients[part] for part in chunks)
            correction[sharp][rows] += found * shares[rows]

        step = -(-len(inputs) // NUM_THREADS)
        with ThreadPoolExecutor(NUM_THREADS) as threads:
            list(threads.map(apply, [slice(k, k + step) for k in range(0, len(inputs), step)]))
        return fit

    def _blurred(
        self, inputs: NDArray[np.float32], features: FourierFeatures, part: slice
    ) -> NDArray[np.float32]:
        """D phi of some features, (h, w, m)."""
        return np.asarray(self._model.spatial.forward(feature_images(inputs, features, part)[None]))[0]
