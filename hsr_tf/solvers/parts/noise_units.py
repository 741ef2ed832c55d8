"""Both data terms weighed by the noise of each band and channel, for any solver of plain least squares.

With X' = X S, Y' = Y T and R' = S^-1 R T, S and T diagonal, the cube Z' = Z S has

    |X' - D Z'|^2 + |Y' - Z' R'|^2 = sum_b s_b^2 |X_b - D Z_b|^2 + sum_k t_k^2 |Y_k - (Z R)_k|^2,

so that a solver that weighs all bands alike weighs them by their noise when it is given X', Y' and R'. Here
s_b = g / sqrt(n_b + f), t_k = g / sqrt(n_k + f), with n the mean squares of the noise (`MapFit`), g such that
the geometric mean of the s_b is one, and f the square of 1 % of Y, which keeps the weights of images with
little noise alike: with a tenth of it scenes without noise lose 0.2 to 0.6 dB.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from hsr_tf.closed_forms.spectral_ls import fit_scene
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.spectral import SpectralResponse
from hsr_tf.solvers.solver import Controls, Cube, Outcome, Solver, Step

FLOOR, ALIKE = 1e-2, 1.02


@dataclass(frozen=True, eq=False)
class NoiseUnits:
    """The units in which a pair is solved.

    Attributes:
        bands: s, (C,) float32.
        channels: t, (c,) float32.
    """

    bands: Cube
    channels: Cube

    @classmethod
    def of(cls, model: ObservationModel, lr_hsi: Cube, hr_msi: Cube) -> NoiseUnits:
        """The units of a scene.

        Args:
            model: the two cameras.
            lr_hsi: X, (h, w, C).
            hr_msi: Y, (s h, s w, c).
        """
        fit = fit_scene(model, lr_hsi, hr_msi)
        assert fit.noise_energy is not None and fit.channel_variance is not None
        least = FLOOR**2 * float(np.square(hr_msi, dtype=np.float64).mean()) + 1e-30
        bands, channels = (np.sqrt(energy + least) for energy in (fit.noise_energy, fit.channel_variance))
        unit = np.exp(np.log(bands).mean())
        return cls((unit / bands).astype(np.float32), (unit / channels).astype(np.float32))

    @property
    def alike(self) -> bool:
        """Whether all weights are nearly the same, so that nothing is to be gained."""
        both = np.concatenate([self.bands, self.channels])
        return bool(both.max() < ALIKE * both.min())

    def model(self, model: ObservationModel) -> ObservationModel:
        """The cameras in these units."""
        spectral = model.spectral
        matrix = spectral.matrix / self.bands[:, None] * self.channels
        return ObservationModel(model.spatial, SpectralResponse(matrix, name=spectral.name))

    def restored(self, estimate: Cube) -> Cube:
        """Z of Z', (H, W, C)."""
        return np.asarray(estimate / self.bands, np.float32)

    def controls(self, controls: Controls) -> Controls:
        """The controls with a callback that sees estimates in the units of X."""
        observe = controls.callback
        if observe is None:
            return controls

        def callback(step: Step) -> None:
            observe(replace(step, estimate=lambda: self.restored(step.estimate())))

        return replace(controls, callback=callback)


def solved_in_noise_units(
    build: Callable[[ObservationModel], Solver],
    model: ObservationModel,
    images: tuple[Cube, Cube],
    controls: Controls,
) -> Outcome:
    """What a solver makes of a pair in the units of its noise.

    Args:
        build: makes the solver for two cameras.
        model: the two cameras.
        images: X (h, w, C) and Y (s h, s w, c).
        controls: how the solver is run.
    """
    units = NoiseUnits.of(model, *images)
    if units.alike:
        return build(model).solve(*images, controls)
    lr_hsi, hr_msi = images[0] * units.bands, images[1] * units.channels
    found = build(units.model(model)).solve(lr_hsi, hr_msi, units.controls(controls))
    return replace(found, estimate=units.restored(found.estimate))
