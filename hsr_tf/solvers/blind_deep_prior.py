"""Unsupervised fusion with unknown cameras: network, PSF and response are learnt together on this scene.

    theta, k, R = argmin |X - D_k Z|^2 + |Y - Z R|^2,   Z = F(input; theta)

k is a softmax over its support, R non-negative. The published form (`PUBLISHED_BLIND`) starts from a flat
kernel and a flat response, with F and loss as in `deep_prior`'s published form; its text gives no sizes and
no rates. With one rate for F and cameras it finds no kernel: Adam at 1e-3 moves a logit by about 1 in all.

`JOINT_BLIND` is the published form with what makes the cameras learn from that start, each an option:

- The cameras have an Adam of their own, whose rate is 50 times that of F (`camera_learning_rate`).
- The logits of k and R before its softplus are sums over several resolutions (`camera_scales`), so that the
  outline is found first.
- A third term |X R - D_k Y|^2 (`match`): both published terms can vanish only where it does. The sum is of
  logarithms (`balanced`), as the published terms are orders of magnitude larger while F learns, and would
  pull the cameras towards what suits an unfinished Z. For F that changes the size of its gradients alone.

Other departures, each an option, together the default form: the cameras start from `estimate_psf_srf`; F is
`deep_prior`'s over its base; the loss has a third term |X R - D_k Y|^2, which holds for the true cameras
whatever Z is; and the cameras learn slower than F, so that an estimate that is already exact stays so.

Both need enough pixels: the third term has h w c squares for all taps and sensitivities, which 8 x 8 coarse
pixels in three channels do not determine (192 for 349 numbers at x8 and 31 bands).

The result lies in the frame of the colour image: where that is shifted against the coarse cube, the PSF holds
the shift, and every sharp pixel shows what Y shows there. k sums to one, so that R is in the units of Y over
those of X.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf

from hsr_tf import checks
from hsr_tf.closed_forms.agreeing_pair import agreeing_scene
from hsr_tf.physics.learned import LearnedCameras, degrade, interior
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf import Psf, default_support
from hsr_tf.physics.psf_shift import image_shift, recentred_psf
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.spectral import SpectralResponse
from hsr_tf.radiometry import AS_RECORDED, Radiometry
from hsr_tf.solvers.cameras.psf_srf import PsfSrfConfig, check_sizes, estimate_psf_srf, relative_gaps
from hsr_tf.solvers.deep_prior import PUBLISHED, DeepPriorConfig, PriorScene, tile_of
from hsr_tf.solvers.parts.assembly import Assembly
from hsr_tf.solvers.parts.completion import degraded
from hsr_tf.solvers.parts.gradient_fit import FitPlan, FitTask, GradientFit, VariableGroup
from hsr_tf.solvers.parts.ridge import held_out_blocks
from hsr_tf.solvers.solver import Controls, Cube, Outcome, Solver

FLAT = "flat"
STARTS = ("estimate", FLAT)
UNMOVED = 0.02
Image = np.ndarray


@dataclass(frozen=True)
class BlindPriorConfig(DeepPriorConfig):
    """Options of `BlindDeepPrior`, beside those of `DeepPriorConfig`.

    Attributes:
        start: the cameras that are learnt on from: "estimate" (`estimate_psf_srf`) or "flat".
        camera_rate: how fast the cameras learn, relative to F.
        match: weight of |X R - D_k Y|^2.
        balanced: minimise log(first two terms) + `match` log(|X R - D_k Y|^2 / variance of D_k Y), the
            likelihood of noise of unknown strength; the variance keeps k from growing wide.
        camera_learning_rate: gives the cameras an Adam of their own that starts at this rate, whatever
            `camera_rate`; 0 for that of F.
        camera_scales: resolutions whose sum the logits of k and R before its softplus are, see
            `LearnedCameras`; 1 for every tap and band by itself.
    """

    start: str = "estimate"
    camera_rate: float = 0.01
    match: float = 1.0
    balanced: bool = False
    camera_learning_rate: float = 0.0
    camera_scales: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.require_choice("start", self.start, STARTS)


PUBLISHED_BLIND = BlindPriorConfig(
    **{name: getattr(PUBLISHED, name) for name in PUBLISHED.__dataclass_fields__},
    start="flat",
    camera_rate=1.0,
    match=0.0,
)
JOINT_BLIND = replace(PUBLISHED_BLIND, match=1.0, balanced=True, camera_learning_rate=0.05, camera_scales=4)


class BlindDeepPrior(Solver):
    """Unsupervised fusion with unknown cameras.

    Args:
        model: of which only the scale is used.
        config: options; `PUBLISHED_BLIND` for the published form, `JOINT_BLIND` for the one that learns its
            cameras.
    """

    name = "blind_deep_prior"
    explains_both = False

    def __init__(self, model: ObservationModel, config: BlindPriorConfig = BlindPriorConfig()) -> None:
        self.scale, self.config = model.scale, config

    def solve(self, lr_hsi: Cube, hr_msi: Cube, controls: Controls = Controls()) -> Outcome:
        """The sharp cube of X (h, w, C) and Y (s h, s w, c), where Y is; an iteration is one step.

        Tone curve and offsets of Y are undone first where the cameras start from an estimate. The details
        tell how far each channel, and each image by itself, is explained.
        """
        check_sizes(lr_hsi, hr_msi, self.scale)
        began = time.perf_counter()
        start = self._start(lr_hsi, hr_msi, controls)
        spent = time.perf_counter() - began
        left = _less(controls, spent)
        hr_msi = start.radiometry.linear(hr_msi)
        flat = self.config.start == FLAT  # cameras that say nothing yet of what has changed on the ground
        images = None if flat else agreeing_scene(start.model, lr_hsi, hr_msi)
        scene = BlindScene(start, self.config, (images.lr_hsi if images else lr_hsi, hr_msi), left)
        plan = FitPlan(
            num_steps=self.config.num_steps, learning_rate=self.config.learning_rate, ema=self.config.ema
        )
        task = scene.task(self.name)
        task = replace(task, seconds_before=spent + task.seconds_before)
        fit = GradientFit(task, plan, scene.left(left)).run()
        model, estimate = scene.model(), scene.finished()
        estimate = images.joined(estimate) if images else estimate
        # The centred PSF: the one that the search drew where learning did not move it, else interpolated.
        change = float(np.abs(model.spatial.psf.kernel - start.model.spatial.psf.kernel).sum())
        return Outcome(
            estimate,
            fit.iterations,
            fit.converged,
            psf=start.centred if change < UNMOVED else recentred_psf(model.spatial.psf),
            srf=model.spectral.matrix,
            shift=image_shift(model.spatial.psf),
            radiometry=start.radiometry,
            details={
                "camera_start": start.name,
                "best_step": fit.best_step,
                "cameras_apart": [float(gap) for gap in relative_gaps(model, lr_hsi, hr_msi)],
                **_unexplained(estimate, model, (lr_hsi, hr_msi)),
            },
        )

    def _start(self, lr_hsi: Cube, hr_msi: Cube, controls: Controls) -> CameraStart:
        if self.config.start == FLAT:
            flat = flat_cameras(lr_hsi, hr_msi, self.scale)
            warn_of_few_pixels(lr_hsi, flat.model)
            return flat
        limit = None if controls.max_seconds is None else controls.max_seconds / 3
        options, controls = PsfSrfConfig(radiometry=True), Controls(max_seconds=limit)
        found = estimate_psf_srf(lr_hsi, hr_msi, self.scale, options, controls)
        return CameraStart(found.shape, found.model, found.psf, found.radiometry)


@dataclass(frozen=True, eq=False)
class CameraStart:
    """The cameras before they are learnt.

    Attributes:
        name: where they are from.
        model: the cameras, a shift within the PSF.
        centred: the PSF without it.
        radiometry: what has to be undone in Y first.
    """

    name: str
    model: ObservationModel
    centred: Psf
    radiometry: Radiometry = AS_RECORDED


def flat_cameras(lr_hsi: Cube, hr_msi: Cube, scale: int) -> CameraStart:
    """The mean over the standard support, and the mean over all bands in the units of Y."""
    taps = default_support(scale)
    psf = Psf(np.ones((taps, taps)), "flat")
    gains = hr_msi.mean((0, 1), dtype=np.float64) / max(float(lr_hsi.mean(dtype=np.float64)), 1e-12)
    response = np.maximum(np.tile(gains, (lr_hsi.shape[2], 1)) / lr_hsi.shape[2], 1e-6)
    model = ObservationModel(SpatialDegradation(psf, scale), SpectralResponse(response, name="flat"))
    return CameraStart("flat", model, psf)


def warn_of_few_pixels(lr_hsi: Cube, model: ObservationModel) -> None:
    """Warn where |X R - D_k Y|^2, h w c squares, has fewer of them than k and R have numbers to find.

    Warns:
        UserWarning: as is the case with 64 x 64 sharp pixels at x8, 31 bands and 3 channels.
    """
    rows, columns, num_bands = lr_hsi.shape
    num_channels = model.spectral.matrix.shape[1]
    taps = model.spatial.psf.kernel.size
    equations, unknowns = rows * columns * num_channels, taps + num_bands * num_channels
    if equations < unknowns:
        warnings.warn(
            f"{rows} x {columns} coarse pixels in {num_channels} channels give {equations} equations for "
            f"{taps} taps of the PSF and {unknowns - taps} sensitivities, so that cameras learnt from a flat "
            "start may stay far from the true ones; give a larger part of the scene, or start=estimate",
            stacklevel=4,
        )


class BlindScene(PriorScene):
    """One scene whose cameras are learnt with the network.

    Args:
        start: the cameras that base and learning start from.
        config: options.
        images: X (h, w, C) and Y (H, W, c).
        controls: seed of features, weights, tiles and noise; time limit.
    """

    def __init__(
        self, start: CameraStart, config: BlindPriorConfig, images: tuple[Cube, Cube], controls: Controls
    ) -> None:
        super().__init__(start.model, config, *images, controls)
        self._blind = config
        psf, srf = start.model.spatial.psf, start.model.spectral.matrix
        self.cameras = LearnedCameras(
            psf,
            srf,
            rate=1.0 if config.camera_learning_rate else config.camera_rate,
            num_scales=config.camera_scales,
        )
        self._seed_of_tiles = controls.seed
        self._tile = tile_of(config.tile, start.model.scale)
        self._scale, self._start = start.model.scale, start.model
        base = tf.constant(self._base)
        self._base = np.asarray(base)  # a view, so that memory holds it once
        self._whole = [*map(tf.constant, images), base, self._loss.inputs]
        height, width = images[0].shape[:2]
        self._held = held_out_blocks(height, width).reshape(height, width) & config.hold_out
        self._seen = tf.constant(~self._held, tf.float32)

    def task(self, name: str) -> FitTask:
        """The fit of the network's weights and both cameras."""
        known = super().task(name)
        error = self._held_out_error if self.config.hold_out else None
        known = replace(known, loss=self._joint_loss, held_out_error=error, model=self.model)
        if not self._blind.camera_learning_rate:
            return replace(known, variables=[*known.variables, *self.cameras.variables])
        group = VariableGroup(self.cameras.variables, self._blind.camera_learning_rate)
        return replace(known, groups=[group])

    def finished(self) -> Cube:
        """The sharp cube of the current weights and cameras; the tiles are of no more use then."""
        self._whole, self._base = [], np.array(self._base)
        return super().finished()

    def model(self) -> ObservationModel:
        """The cameras as they are now; those of the start, to the last bit, where nothing was learnt.

        A separable PSF stays one then, which is many times as fast to invert.
        """
        learnt = any(np.any(variable.numpy()) for variable in self.cameras.variables)
        return self.cameras.model(self._scale) if learnt else self._start

    def _completed(self, cube: Cube) -> Cube:
        if self.config.consistent:
            self._current().complete(cube)
        return cube

    def _current(self) -> Assembly:
        return Assembly(self.model(), *self._images)

    def _held_out_error(self) -> float:
        """Mean square of X - D Z over the coarse pixels held out, relative to that of X."""
        left = self._images[0] - self._current().degraded(self.raw_estimate())
        return float(np.square(left[self._held]).mean() / np.square(self._images[0]).mean())

    def _joint_loss(self, step: tf.Tensor) -> tf.Tensor:
        """The data terms and the cameras' own, on a tile, divided by its sharp pixels."""
        # X, Y, base and inputs of a random tile, and which of its coarse pixels count.
        height, width = self._images[0].shape[:2]
        tall, wide = (min(self._tile, n) if self._tile else n for n in (height, width))
        seed = tf.stack([tf.constant(self._seed_of_tiles, tf.int32), step])
        limits = tf.constant([height - tall + 1, width - wide + 1], tf.float32)
        corner = tf.cast(tf.random.stateless_uniform([2], seed) * limits, tf.int32)
        parts = []
        for image, factor in zip(
            [*self._whole, self._seen[..., None]], (1, *[self._scale] * 3, 1), strict=True
        ):
            size = (tall * factor, wide * factor, image.shape[-1])
            parts.append(tf.slice(image, tf.concat([corner * factor, [0]], 0), size))
        seen_whole = (tall, wide) == (height, width)
        inside = interior((tall, wide), () if seen_whole else self.cameras.kernel().shape, self._scale)
        lr_hsi, hr_msi, base, inputs, seen = [*parts[:-1], parts[-1][..., 0] * inside]
        kernel, response = self.cameras.kernel(), self.cameras.response()
        vectors = tf.constant(self.subspace.strengths[:, None] * self.subspace.vectors, tf.float32)
        sharp = base + tf.tensordot(self._loss.tile_codes(self.network, inputs), vectors, 1)
        left = lr_hsi - degrade(sharp[None], kernel, self._scale)[0]
        fine = tf.reduce_sum(tf.square(hr_msi - tf.tensordot(sharp, response, 1)))
        total = tf.reduce_sum(tf.reduce_sum(tf.square(left), -1) * seen) + fine
        if self._blind.match:
            blurred = degrade(hr_msi[None], kernel, self._scale)[0]
            apart = tf.tensordot(lr_hsi, response, 1) - blurred
            gap = tf.reduce_sum(tf.reduce_sum(tf.square(apart), -1) * seen)
            if self._blind.balanced:
                gap /= tf.reduce_sum(tf.math.reduce_variance(blurred, (0, 1)))
                return tf.math.log(total) + self._blind.match * tf.math.log(gap + 1e-30)
            total += self._blind.match * gap
        return total / float(sharp.shape[0] * sharp.shape[1])


def _unexplained(estimate: Cube, model: ObservationModel, images: tuple[Cube, Cube]) -> dict[str, float]:
    """|X - D Z| / |X| and |Y - Z R| / |Y| under the cameras, for X (h, w, C) and Y (H, W, c)."""
    lr_hsi, hr_msi = images
    coarse = degraded(model.spatial, estimate)
    seen = estimate @ model.spectral.matrix.astype(np.float32)
    return {
        "lr_hsi_unexplained": float(np.linalg.norm(lr_hsi - coarse) / np.linalg.norm(lr_hsi)),
        "hr_msi_unexplained": float(np.linalg.norm(hr_msi - seen) / np.linalg.norm(hr_msi)),
    }


def _less(controls: Controls, seconds: float) -> Controls:
    if controls.max_seconds is None:
        return controls
    return replace(controls, max_seconds=max(1e-3, controls.max_seconds - seconds))
