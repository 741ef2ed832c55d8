"""The linear mixing model of a pair: X = (A D) E and Y = A (E R), with what coupled unmixing needs of it."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from hsr_tf.arrays import ops
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.resize import bicubic_enlarge
from hsr_tf.solvers.parts.assembly import Assembly
from hsr_tf.solvers.parts.colour_map import ColourMap
from hsr_tf.solvers.parts.endmembers import Descent, Matrix, Projection, Stop, constrained_rows
from hsr_tf.solvers.solver import Cube, check_pair

STARTS = ("bicubic", "spectral_ls")


class MixedPair:
    """Both observations as matrices of spectra, a row a pixel, and the cameras acting on abundances.

    Args:
        model: the two cameras.
        lr_hsi: X, (h, w, C).
        hr_msi: Y, (s h, s w, c).

    Raises:
        ValueError: for images that do not fit each other or the cameras.
    """

    def __init__(self, model: ObservationModel, lr_hsi: Cube, hr_msi: Cube) -> None:
        check_pair(lr_hsi, hr_msi, model)
        self.model, self.lr_hsi, self.hr_msi = model, lr_hsi, hr_msi
        self.spectra: Matrix = np.ascontiguousarray(lr_hsi.reshape(-1, lr_hsi.shape[-1]), np.float32)
        self.colours: Matrix = np.ascontiguousarray(hr_msi.reshape(-1, hr_msi.shape[-1]), np.float32)
        self.response = model.spectral.matrix.astype(np.float32)

    def coarse(self, abundances: Matrix) -> Matrix:
        """A D: (s h s w, p) to (h w, p)."""
        return self._rows(self.model.spatial.forward(self._image(abundances, self.hr_msi)))

    def spread(self, coarse: Matrix) -> Matrix:
        """The adjoint of `coarse`: (h w, p) to (s h s w, p)."""
        return self._rows(self.model.spatial.adjoint(self._image(coarse, self.lr_hsi)))

    def enlarged(self, coarse: Matrix) -> Matrix:
        """Bicubic enlargement: (h w, p) to (s h s w, p)."""
        return self._rows(bicubic_enlarge(self._image(coarse, self.lr_hsi), self.model.scale))

    @cached_property
    def colour_map(self) -> ColourMap:
        """The closed-form map of the pair."""
        return ColourMap(self.model, self.lr_hsi, self.hr_msi)

    def guess(self) -> Matrix:
        """The closed-form spectra at every sharp pixel, `ColourMap.trusted`, (s h s w, C)."""
        return self.colour_map.trusted().reshape(-1, self.lr_hsi.shape[-1])

    def first_abundances(
        self, endmembers: Matrix, coarse: Matrix, *, start: str, project: Projection, stop: Stop
    ) -> Matrix:
        """Abundances of Y to begin with: those of X enlarged, or those that come nearest to `guess`.

        Args:
            endmembers: E, (p, C).
            coarse: abundances of X, (h w, p).
            start: "bicubic" or "spectral_ls".
            project: nearest rows that obey the constraint.
            stop: leaves the enlarged ones where it says yes.
        """
        enlarged = project(self.enlarged(coarse))
        if start == "bicubic" or stop():
            return enlarged
        basis, descent = np.linalg.qr(endmembers.T)[0], Descent(100, 1e-3)
        targets, design = self.guess() @ basis, endmembers @ basis
        return constrained_rows(targets, design, enlarged, project=project, descent=descent, stop=stop)

    def residuals(self, abundances: Matrix, endmembers: Matrix) -> tuple[float, float]:
        """|X - (A D) E|^2 and |Y - A (E R)|^2."""
        left = self.spectra - self.coarse(abundances) @ endmembers
        colour_left = self.colours - abundances @ (endmembers @ self.response)
        return float(np.vdot(left, left)), float(np.vdot(colour_left, colour_left))

    def cube(self, abundances: Matrix, endmembers: Matrix, *, averaged: bool, consistent: bool) -> Cube:
        """Z = A E, (s h, s w, C); where asked for, averaged with the closed-form map and made consistent.

        See `ColourMap.average` and `Assembly.complete`.
        """
        cube = (abundances @ endmembers).reshape(*self.hr_msi.shape[:2], -1)
        if averaged:
            self.colour_map.average(cube)
        if consistent:
            Assembly(self.model, self.lr_hsi, self.hr_msi).complete(cube)
        return cube

    @staticmethod
    def _image(rows: Matrix, like: Cube) -> Any:
        return ops.convert_to_tensor(rows.reshape(1, *like.shape[:2], -1))

    @staticmethod
    def _rows(image: Any) -> Matrix:
        return np.asarray(ops.convert_to_numpy(image)).reshape(-1, image.shape[-1])
