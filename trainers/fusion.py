"""Train a fusion network: `python -m trainers.fusion --flagfile=configs/ms_ssfnet_x8.flags`.

Sharp cubes are cut into patches; both observations are simulated on the device in the compiled step, by the
`ObservationModel` that evaluation uses too; the loss is summed over the network's levels. With the base
"spectral_ls" each patch gets the spectral map that is fitted to its whole scene, as it will at inference.

With `--start_from` the run starts from a trained model of the method, which may be of another scale where the
network's layers belong to image sizes (ms_ssfnet): x32 from x16 needs a tenth of the steps.

With `--method=prior --cameras=random` cameras are drawn at random and one network is trained for all of them
(`_prior`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import flags

from hsr_tf import checks, methods
from hsr_tf.closed_forms.map_fit import MapFit
from hsr_tf.closed_forms.spectral_ls import fit_scene
from hsr_tf.console.flag_apps import run_app
from hsr_tf.data.patches import PatchPlan, PatchSource, without_margin
from hsr_tf.data.scenes import crop_to_multiple, top_left
from hsr_tf.data.storage import cubes_of, names_of
from hsr_tf.metrics.full_reference import ScoredPair, psnr_bands
from hsr_tf.metrics.table import Metric, compute, get
from hsr_tf.networks import losses
from hsr_tf.networks.fusion_model import FusionConfig
from hsr_tf.physics.cameras import make_cameras
from hsr_tf.physics.noise import GaussianNoise
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.resize import bicubic_enlarge
from hsr_tf.report.render import preview
from hsr_tf.scene import Scene
from hsr_tf.typing import Tensor
from trainers import _flags, _prior_flags, _protocols, _scene_sets
from trainers._hosts import join_hosts
from trainers._prior import PriorTrainer
from trainers._run import RunPlan, Validation
from trainers._start_from import started_model
from trainers._trainer import Trainer

FLAGS = flags.FLAGS
VALIDATED = ("psnr_bands", "sam_degrees")
OPTION_FLAGS = ("features", "num_levels", "upsampling_kernel", "activation")


def define_flags() -> None:
    """Define data, cameras, network and loss."""
    _flags.define_network_flags("ms_ssfnet", ", ".join(methods.names("network")), patch_size=64)
    _flags.define_camera_flags("gaussian", "nikon_d700")
    _scene_sets.define_training_flags()
    _prior_flags.define_flags()
    _protocols.define_flag()
    flags.DEFINE_list(
        "validation_metrics", None, f"Metrics of the validation by name (default: {','.join(VALIDATED)})."
    )
    flags.DEFINE_integer("scale", 8, "Scale factor: sharp pixels per coarse pixel along one side.", 1)
    flags.DEFINE_float(
        "hsi_snr_db", None, "Gaussian noise of the hyperspectral camera in training (default: none)."
    )
    flags.DEFINE_float("msi_snr_db", None, "Gaussian noise of the colour camera in training (default: none).")
    flags.DEFINE_float("noise_probability", 1.0, "Fraction of the patches that get noise.", 0.0, 1.0)
    flags.DEFINE_float("noise_span_db", 0.0, "The noise of a patch is weaker by up to this many dB.", 0.0)
    flags.DEFINE_enum(
        "base",
        "none",
        ["none", "bicubic", "spectral_ls", "sylvester"],
        "Estimate that the network adds its residual to; dhsis needs sylvester.",
    )
    flags.DEFINE_bool(
        "consistent",
        False,
        "Fit the estimate to both observations, in training and after; always with dhsis.",
    )
    flags.DEFINE_bool(
        "train_through_fit",
        None,
        "Train on the fitted estimate, with --consistent (default: true, but false for dhsis as published).",
    )
    flags.DEFINE_string(
        "start_from",
        None,
        "Start from the model in this folder, of the same network (ms_ssfnet: also of another scale).",
    )
    flags.DEFINE_list("features", None, "Same as --option=features=...; with commas, one width per size.")
    flags.DEFINE_integer("num_levels", None, "Same as --option=num_levels=...")
    flags.DEFINE_integer("upsampling_kernel", None, "Same as --option=upsampling_kernel=...")
    flags.DEFINE_string("activation", None, "Same as --option=activation=...")
    flags.DEFINE_string("report", None, "Write an HTML page that shows the run when it is done.")


@dataclass(frozen=True)
class NoisePlan:
    """How noisy the training patches are.

    Attributes:
        probability: share of the patches that get the cameras' noise.
        span_db: the noise of a patch is weaker than the cameras' by up to so many decibels, evenly drawn.
    """

    probability: float = 1.0
    span_db: float = 0.0


@dataclass(frozen=True, eq=False)
class FusionTask:
    """What is trained on what.

    Attributes:
        training: sharp scenes, in memory or in a cache.
        validation: scenes held back.
        cameras: what simulates the observations, without noise in validation.
        config: the model.
        patches: size, stride, augmentation.
        loss: name in `losses.LOSSES`.
        noise: which patches get the cameras' noise.
        metrics: of the validation.
        through_fit: whether the loss is that of the estimate after its fit to both observations.
        start_from: folder of a trained model whose weights are the first ones.
        validation_crop: side of the top left square that is validated; None for the largest part whose sides
            divide by the scale.
    """

    training: Sequence[Scene]
    validation: Sequence[Scene]
    cameras: ObservationModel
    config: FusionConfig
    patches: PatchPlan
    loss: str = "mse"
    noise: NoisePlan = NoisePlan()
    metrics: tuple[Metric, ...] = tuple(map(get, VALIDATED))
    validation_crop: int | None = None
    through_fit: bool = True
    start_from: str | None = None


class FusionTrainer(Trainer):
    """The model of a task and its compiled training step.

    Args:
        task: what is trained on what.
        plan: how.
    """

    def __init__(self, task: FusionTask, plan: RunPlan) -> None:
        self.task = task
        self.clean = ObservationModel(task.cameras.spatial, task.cameras.spectral)
        least = self.clean.scale * self.clean.spatial.reach_cells
        checks.require(
            task.patches.margin in (0, least),
            "margin",
            expected=f"0, or the {least} sharp pixels that the blur of a patch reaches, in whole cells",
            received=str(task.patches.margin),
            remedy="use scale * reach_cells of the spatial degradation",
        )
        source = PatchSource(cubes_of(task.training), task.patches)
        build = partial(started_model, task.config, self.clean, task.start_from, plan.run_dir)
        super().__init__(plan, build, source)
        self._loss = losses.get(task.loss)
        # Spectral map (N, K, C) and noise deviations (N, 1, 1, *) of every whole training scene.
        cameras = {"hsi": task.cameras.hsi_noise, "msi": task.cameras.msi_noise}
        noises = {name: noise for name, noise in cameras.items() if isinstance(noise, GaussianNoise)}
        maps: list[MapFit] = []
        found: dict[str, list[Any]] = {camera: [] for camera in noises}
        for scene in task.training if noises or task.config.base == "spectral_ls" else ():
            whole = crop_to_multiple(scene, self.clean.scale).cube[None]
            images = dict(zip(("hsi", "msi"), self.clean.simulate(tf.constant(whole)), strict=True))
            if task.config.base == "spectral_ls":
                maps.append(fit_scene(self.clean, *(np.asarray(image)[0] for image in images.values())))
            for camera, noise in noises.items():
                found[camera].append(noise.deviation(images[camera]))
        self._maps = tf.stack([found.spectral_map for found in maps]) if maps else None
        self._deviations = {camera: tf.concat(each, 0) for camera, each in found.items()}
        self._infer = tf.function(self._answer, autograph=False)
        self._shows_steps = task.config.base == "sylvester" and task.config.consistent

    def observe(self, hr_hsi: Tensor, scene: Tensor) -> tuple[Tensor, Tensor]:
        """Both observations of a batch of patches without their margin, some of them noisy as the task says.

        The noise of a patch has the deviation of its whole scene, so that dark parts are as noisy as in use.
        """
        lr_hsi, hr_msi = self.clean.spatial(hr_hsi), self.clean.spectral(self._within(hr_hsi))
        lr_hsi = without_margin(lr_hsi, self.task.patches.margin // self.clean.scale)
        if self._deviations:
            draws = keras.random.uniform((2, tf.shape(hr_hsi)[0], 1, 1, 1), seed=self.seeds)
            strength = tf.cast(draws[0] < self.task.noise.probability, hr_hsi.dtype)
            strength *= 10.0 ** (-self.task.noise.span_db / 20.0 * draws[1])
            lr_hsi = lr_hsi + strength * self._noise("hsi", lr_hsi, scene)
            hr_msi = hr_msi + strength * self._noise("msi", hr_msi, scene)
        return lr_hsi, hr_msi

    def _within(self, patches: Tensor) -> Tensor:
        """Patches without their margin."""
        return without_margin(patches, self.task.patches.margin)

    def _noise(self, camera: str, image: Tensor, scene: Tensor) -> Tensor | float:
        if camera not in self._deviations:
            return 0.0
        deviation = tf.gather(self._deviations[camera], scene)
        return deviation * keras.random.normal(tf.shape(image), seed=self.seeds)

    def validate(self) -> Validation:
        """Mean scores over the validation scenes, noise-free, whole; a picture of each with its error.

        Of a model in three steps (base, network, fit) also the PSNR after the first and the second.
        """
        found: dict[str, list[float]] = {metric.name: [] for metric in self.task.metrics}
        pictures = {}
        for scene in self._validation():
            steps = self._estimates(scene)
            estimate = steps.pop("estimate")
            for name, cube in steps.items():
                found.setdefault(f"psnr_bands_{name}", []).append(float(psnr_bands(scene.cube, cube)))
            pair = ScoredPair(
                reference=scene.cube,
                estimate=estimate,
                counted=np.ones(scene.shape[:2], bool),
                scale=self.clean.scale,
                wavelengths_nm=scene.wavelengths_nm,
            )
            known = [] if scene.wavelengths_nm is None else ["wavelengths"]
            for metric in self.task.metrics:
                found[metric.name].append(float(compute(metric, pair, known=known)))
            pictures[scene.name] = preview(scene.cube, estimate, scene.wavelengths_nm)
        return Validation({name: float(np.mean(values)) for name, values in found.items()}, pictures)

    def _validation(self) -> Iterator[Scene]:
        """The validation scenes one after another, cropped as the task says."""
        for scene in self.task.validation:
            yield crop_to_multiple(top_left(scene, self.task.validation_crop), self.clean.scale)

    @cached_property
    def bicubic_psnr(self) -> float:
        """Mean PSNR of bicubic interpolation over the validation scenes, which every model has to exceed."""
        found = []
        for scene in self._validation():
            lr_hsi, _ = self.clean.simulate(tf.constant(scene.cube[None]))
            bicubic = np.clip(np.asarray(bicubic_enlarge(lr_hsi, self.clean.scale))[0], 0.0, 1.0)
            found.append(psnr_bands(scene.cube, bicubic))
        return float(np.mean(found))

    def describe(self) -> dict[str, Any]:
        """Return names and wavelengths of the scenes, and the PSNR of bicubic interpolation."""
        wavelengths = self.task.training[0].wavelengths_nm
        return {
            "training_scenes": names_of(self.task.training),
            "validation_scenes": names_of(self.task.validation),
            "wavelengths_nm": None if wavelengths is None else wavelengths.tolist(),
            "bicubic_psnr_bands": self.bicubic_psnr,
        }

    def gains(self, scores: Mapping[str, float]) -> dict[str, float]:
        """Return the gain over bicubic interpolation, where the PSNR is among the scores."""
        return {"": scores["psnr_bands"] - self.bicubic_psnr} if "psnr_bands" in scores else {}

    def loss(self, patches: Tensor, index: Tensor) -> Tensor:
        """The sum over the levels, of observations made here."""
        lr_hsi, hr_msi = self.observe(patches, index)
        inputs = {"lr_hsi": lr_hsi, "hr_msi": hr_msi}
        if self._maps is not None:
            inputs["spectral_map"] = tf.gather(self._maps, index)
        levels = self.model.levels(inputs, fitted=self.task.through_fit)
        return losses.multi_level(self._within(patches), levels, self._loss)

    def _answer(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        return self.model.steps(inputs) if self._shows_steps else {"estimate": self.model(inputs)}

    def _estimates(self, scene: Scene) -> dict[str, np.ndarray]:
        """The estimate, and what the steps before it found, clipped."""
        lr_hsi, hr_msi = self.clean.simulate(tf.constant(scene.cube[None]))
        inputs = {"lr_hsi": lr_hsi, "hr_msi": hr_msi}
        if self._maps is not None:
            fitted = fit_scene(self.clean, np.asarray(lr_hsi)[0], np.asarray(hr_msi)[0])
            inputs["spectral_map"] = tf.constant(fitted.spectral_map[None])
            inputs["trust"] = tf.fill((1, 1, 1, 1), np.float32(fitted.trust))
        found = self._infer(inputs)
        return {name: np.clip(cube.numpy()[0], 0.0, 1.0) for name, cube in found.items()}


def main() -> None:
    """Read the flags, train, save."""
    join_hosts()
    _protocols.apply()
    _flags.require_report(FLAGS.report, Path(FLAGS.run_dir))
    if FLAGS.cameras == "random":
        _flags.train_and_save(partial(PriorTrainer, _prior_flags.task_from_flags()))
    else:
        _flags.train_and_save(partial(FusionTrainer, task_from_flags()))
    _flags.write_run_report(Path(FLAGS.run_dir), FLAGS.report)


def task_from_flags() -> FusionTask:
    """The task that the flags describe; scenes are read here."""
    _take_published_form()
    training, validation = _scene_sets.split_scenes(_scene_sets.read_scenes().scenes)
    snr_db, first = (FLAGS.hsi_snr_db, FLAGS.msi_snr_db), training[0]
    srf = _scene_sets.response_of(first)
    cameras = make_cameras(first, FLAGS.scale, psf=FLAGS.psf, srf=srf, snr_db=snr_db)
    config = FusionConfig(
        method=FLAGS.method,
        scale=FLAGS.scale,
        num_bands=first.num_bands,
        num_channels=cameras.spectral.matrix.shape[1],
        base=FLAGS.base,
        consistent=FLAGS.consistent,
        options=network_options(),
        init=FLAGS.init,
        seed=FLAGS.seed,
        dtype=FLAGS.dtype,
    )
    noise = NoisePlan(FLAGS.noise_probability, FLAGS.noise_span_db)
    metrics = tuple(map(get, FLAGS.validation_metrics or VALIDATED))
    patches = _flags.patch_plan(margin=cameras.scale * cameras.spatial.reach_cells)
    return FusionTask(
        training=training,
        validation=validation,
        cameras=cameras,
        config=config,
        patches=patches,
        loss=FLAGS.loss,
        noise=noise,
        metrics=metrics,
        validation_crop=FLAGS.validation_crop,
        through_fit=bool(FLAGS.train_through_fit),
        start_from=FLAGS.start_from,
    )


def network_options() -> tuple[tuple[str, Any], ...]:
    """Return the options of the network, by --option or by the flags that some of them have."""
    given = {name: value for name in OPTION_FLAGS if (value := FLAGS[name].value) is not None}
    return _flags.network_arguments(
        f"{name}={','.join(value) if isinstance(value, list) else value}" for name, value in given.items()
    )


def _take_published_form() -> None:
    """DHSIS is its CNN between two closed-form fits: set the flags so, and refuse another form of it."""
    if FLAGS.train_through_fit is None:
        FLAGS.train_through_fit = FLAGS.method != "dhsis"
    if FLAGS.method != "dhsis":
        return
    for name, published in (("base", "sylvester"), ("consistent", True)):
        flag = FLAGS[name]
        checks.require(
            not flag.present or flag.value == published,
            name,
            expected=f"{published} for dhsis, which starts from a closed-form fit and ends with one",
            received=str(flag.value),
            remedy=f"leave --{name} out, or choose another method",
        )
        setattr(FLAGS, name, published)
    trained = "through it" if FLAGS.train_through_fit else "before it"
    print(f"dhsis: base sylvester, then the network, then the closed form again (trained {trained})")


if __name__ == "__main__":
    _flags.define_run_flags()
    define_flags()
    run_app(main)
