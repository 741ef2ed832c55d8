"""A small scene for the tests of the report: asymmetric, not square, with the cameras of its two images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf import Psf
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.spectral import SpectralResponse
from hsr_tf.report.cameras import CamerasData
from hsr_tf.report.html import Curve, ReportData
from hsr_tf.scene import Scene

NASTY = "<script>alert(1)</script>"


def small_report(height=32, width=48, num_bands=9, scale=4, num_estimates=2, **changes) -> ReportData:
    """Ramps, noise and a bright square; estimates are the truth under growing noise."""
    rng = np.random.default_rng(3)
    rows, columns, bands = np.ogrid[:height, :width, :num_bands]
    cube = 0.1 + 0.4 * rows / height * bands / num_bands + 0.2 * columns / width * (1 - bands / num_bands)
    cube = (cube + 0.05 * rng.random((height, width, num_bands))).astype(np.float32)
    cube[5:11, 8:20] += np.linspace(0.0, 0.4, num_bands, dtype=np.float32)
    kernel = rng.random((4, 6))
    srf = rng.random((num_bands, 3))
    srf /= srf.sum(0)
    cameras = ObservationModel(SpatialDegradation(Psf(kernel / kernel.sum()), scale), SpectralResponse(srf))
    low, sharp = (np.asarray(image)[0] for image in cameras.simulate(cube[None]))
    noise = (rng.standard_normal(cube.shape).astype(np.float32) for _ in range(num_estimates))
    estimates = {f"method_{i}": cube + 0.01 * (i + 1) * part for i, part in enumerate(noise)}
    wavelengths = np.linspace(420.0, 680.0, num_bands)
    data = ReportData(
        title="a scene",
        lr_hsi=Scene(low, wavelengths),
        hr_msi=Scene(sharp),
        estimates=estimates,
        reference=cube,
        wavelengths_nm=wavelengths,
        cameras=CamerasData(title="", psf=kernel / kernel.sum(), srf=srf),
        curves={
            "objective": Curve("seconds", "objective", {"objective": ([0.0, 1.0, 2.0], [3.0, 2.0, 1.5])})
        },
        scores={name: {"psnr_bands": 30.0 + i} for i, name in enumerate(estimates)},
        configuration={"flags": {"scale": scale, "psf": None}},
        command=("hsr", "fuse", "--lr_hsi=a b.h5"),
    )
    return replace(data, **changes)
