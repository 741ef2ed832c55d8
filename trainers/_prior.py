"""Training of `prior`, one network for any two cameras: `trainers.fusion --method=prior --cameras=random`.

A pair is a part of a scene seen by cameras that were drawn at random (`_random_cameras`): simulated as a
whole, with its closed-form start. Pairs are made in a thread beside the step, each is used for several
batches, and crops are cut from start and observations, so that no crop has a border of its own.

The n-th batch depends on the seed and n alone. Batches take the scales in turn; each scale has a pool of the
latest pairs, of which every `steps_per_pair` batches the oldest leaves and a new one enters.

The loss is that of the projected estimate: what the network adds passes the projection onto both images as
far as they are believed. It is the mean over crops and bands of the logarithm of the MSE over that of the
start: -0.23 is a gain of one decibel.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from hsr_tf import checks
from hsr_tf.closed_forms.spectral_ls import fuse_scene
from hsr_tf.data.patches import Share, without_margin
from hsr_tf.data.scenes import crop_to_multiple, top_left
from hsr_tf.data.storage import names_of
from hsr_tf.metrics.full_reference import psnr_bands
from hsr_tf.networks.fusion_model import FusionConfig, FusionModel
from hsr_tf.networks.reference_view import ReferenceView
from hsr_tf.networks.tiles import network_tiles
from hsr_tf.physics.cameras import make_cameras
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.sample_degradation import SampleCameras
from hsr_tf.physics.tiled_pair import ArrayPair
from hsr_tf.report.render import preview
from hsr_tf.scene import Scene
from hsr_tf.tiling.stages import join, run_stages
from hsr_tf.typing import Tensor
from trainers._random_cameras import DrawnPair, DrawPlan, draw_pair
from trainers._run import RunPlan, Validation
from trainers._start_from import started_model
from trainers._trainer import Trainer

IMAGES = ("truth", "start", "residual")
CELLS_OF_CROP, POOL = 6, 8
WHOLE = Share()
SMALLEST_ERROR = 1e-6


@dataclass(frozen=True)
class CropPlan:
    """Which crops make a batch.

    Attributes:
        scales: scales that batches take in turn.
        patch_size: least side of a crop in sharp pixels; at least CELLS_OF_CROP coarse pixels.
        batch_size: crops of `patch_size`; of larger crops as many as have so many pixels, at least two.
        steps_per_pair: batches of a scale for which no new pair is made.
        seed: of everything that is drawn.
    """

    scales: tuple[int, ...] = (4, 8, 16)
    patch_size: int = 64
    batch_size: int = 16
    steps_per_pair: int = 2
    seed: int = 0

    def cells(self, scale: int) -> int:
        """Side of a crop in coarse pixels: whole cells of the network."""
        least, unit = max(CELLS_OF_CROP, -(-self.patch_size // scale)), ReferenceView(scale).unit
        return -(-least // unit) * unit

    def crops(self, scale: int) -> int:
        """Crops in a batch."""
        side = self.cells(scale) * scale
        return max(2, self.batch_size * self.patch_size**2 // side**2)


class PairSource:
    """Batches of crops of pairs by random cameras.

    Args:
        scenes: sharp scenes of any numbers of bands.
        draw: what cameras are drawn.
        crop: what crops are cut.

    Attributes:
        seconds: processor seconds of this thread that making pairs has taken so far.

    Raises:
        ValueError: a scale of which no scene has enough coarse pixels for a crop.
    """

    def __init__(self, scenes: Sequence[Scene], draw: DrawPlan, crop: CropPlan) -> None:
        self.scenes, self.draw, self.crop, self.seconds = scenes, draw, crop, 0.0
        self._pools: dict[tuple[int, int], DrawnPair] = {}
        self._fitting: dict[int, list[Scene]] = {}
        for scale in crop.scales:
            least = crop.cells(scale) * scale
            self._fitting[scale] = [one for one in scenes if min(one.shape[:2]) >= least]
            checks.require(
                bool(self._fitting[scale]) and draw.region >= least,
                "scales",
                expected=f"scenes, and a region of them, of {least} pixels a side for the scale {scale}",
                received=f"a region of {draw.region}, scenes of {max(min(x.shape[:2]) for x in scenes)}",
                remedy="raise --region, or leave the scale out",
            )

    def steps_of(self, epochs: float) -> int:
        """Steps in which each scene has been drawn `epochs` times, on average, by every scale."""
        pairs = epochs * len(self.scenes) * len(self.crop.scales)
        return max(1, int(pairs * self.crop.steps_per_pair))

    def dataset(self, start_step: int, num_steps: int, share: Share = WHOLE) -> tf.data.Dataset:
        """Batches `start_step` to `num_steps` - 1: dictionaries of `batch`, and their numbers.

        Raises:
            ValueError: for several devices, which would share a batch.
        """
        checks.require(
            share.total == 1,
            "cameras",
            expected="one device with random cameras",
            received=f"{share.total}",
            remedy="hide the others, e.g. by CUDA_VISIBLE_DEVICES=0",
        )
        first = self.batch(start_step)
        signature = {
            name: tf.TensorSpec([None] * value.ndim, tf.as_dtype(value.dtype))
            for name, value in first.items()
        }

        def batches() -> Iterator[tuple[dict[str, np.ndarray], int]]:
            for step in range(start_step, num_steps):
                yield self.batch(step), step

        found = tf.data.Dataset.from_generator(
            batches, output_signature=(signature, tf.TensorSpec((), tf.int64))
        )
        return found.prefetch(4)

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """Crops and constants of one step, by name: the images, and what `DrawnPair.scene` holds."""
        crop = self.crop
        group, turn = step % len(crop.scales), step // len(crop.scales)
        scale, newest = crop.scales[group], turn // crop.steps_per_pair
        rng = np.random.default_rng([crop.seed, 1, step])
        parts: list[dict[str, Any]] = []
        for number in rng.integers(newest, newest + POOL, crop.crops(scale)):
            parts.append(_cut(self._pair(group, int(number)), crop.cells(scale), rng))
        for old in [key for key in self._pools if key[0] == group and key[1] < newest]:
            del self._pools[old]
        return {name: np.stack([part[name] for part in parts]) for name in parts[0]}

    def _pair(self, group: int, number: int) -> DrawnPair:
        """A pair of a pool, made when it is first drawn."""
        key = (group, number)
        if key not in self._pools:
            begin = time.thread_time()
            rng = np.random.default_rng([self.crop.seed, 0, group, number])
            scenes = self._fitting[self.crop.scales[group]]
            scene = scenes[int(rng.integers(len(scenes)))]
            self._pools[key] = draw_pair(scene, self.crop.scales[group], self.draw, rng)
            self.seconds += time.thread_time() - begin
        return self._pools[key]


def _cut(pair: DrawnPair, cells: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A crop of a pair and its constants."""
    height, width = pair.residual.shape[:2]
    row, column = (int(rng.integers(size - cells + 1)) for size in (height, width))
    found: dict[str, np.ndarray] = dict(pair.scene)
    for name in IMAGES:
        unit = 1 if name in ("lr_hsi", "residual") else pair.scale
        rows, columns = (slice(n * unit, (n + cells) * unit) for n in (row, column))
        found[name] = getattr(pair, name)[rows, columns]
    return found


@dataclass(frozen=True, eq=False)
class PriorTask:
    """What is trained on what.

    Attributes:
        training: sharp scenes.
        validation: scenes held back, of the same bands.
        config: the model; its sizes are those of its card alone.
        cameras: of the card.
        draw, crop: of the training pairs.
        judged: cameras and scales of the validation, by name.
        validation_crop: side of the top left square that is validated; None for the whole.
        start_from: folder of a trained model whose weights are the first ones.
    """

    training: Sequence[Scene]
    validation: Sequence[Scene]
    config: FusionConfig
    cameras: ObservationModel
    draw: DrawPlan
    crop: CropPlan
    judged: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    validation_crop: int | None = None
    start_from: str | None = None


class PriorTrainer(Trainer):
    """The network and its compiled training step.

    Args:
        task: what is trained on what.
        plan: how.
    """

    def __init__(self, task: PriorTask, plan: RunPlan) -> None:
        self.task = task
        self.pairs = PairSource(task.training, task.draw, task.crop)
        build = partial(started_model, task.config, task.cameras, task.start_from, plan.run_dir)
        super().__init__(plan, build, self.pairs)
        self._starts: dict[tuple[str, str], float] = {}

    def loss(self, patches: dict[str, Tensor], index: Tensor) -> Tensor:
        """See the module; crops without the coarse pixels at their border."""
        del index
        estimate = self.projected(patches)
        scale = patches["start"].shape[1] // patches["residual"].shape[1]
        truth, *others = (without_margin(x, scale) for x in (patches["truth"], estimate, patches["start"]))
        found, start = (tf.reduce_mean(tf.square(x - truth), (1, 2)) for x in others)
        level = patches["error"] + SMALLEST_ERROR
        return tf.reduce_mean(tf.math.log((found + level) / (start + level)))

    def projected(self, crops: dict[str, Tensor]) -> Tensor:
        """The estimate of crops, (B, p, p, C)."""
        scale = crops["start"].shape[1] // crops["residual"].shape[1]
        # The bands of a draw are taken for the reference ones, wherever they lie: images are to be learnt.
        change = ReferenceView(scale).change(self.model.network, crops["start"], crops["residual"])
        cameras = SampleCameras(*(crops[name] for name in ("response", "lift", "cells", "solver")))
        trust = crops["trust"][:, None, None, None]
        return crops["start"] + change + trust * (cameras.free(change, scale) - change)

    def validate(self) -> Validation:
        """PSNR and gain over the start, dB, of every camera on the validation scenes, noise-free."""
        scores: dict[str, list[float]] = {"psnr_bands": [], "gain": []}
        pictures = {}
        for name, (srf, scale) in self.task.judged.items():
            for scene in self.task.validation:
                scene = crop_to_multiple(top_left(scene, self.task.validation_crop), scale)
                cameras = make_cameras(scene, scale, srf=srf)
                lr_hsi, hr_msi = (np.asarray(x)[0] for x in cameras.simulate(scene.cube[None]))
                key = (name, scene.name)
                if key not in self._starts:
                    start = fuse_scene(cameras, lr_hsi, hr_msi).estimate
                    self._starts[key] = float(psnr_bands(scene.cube, np.clip(start, 0, 1)))
                estimate = np.clip(fused(self.model, lr_hsi, hr_msi, cameras, scene), 0, 1)
                found = float(psnr_bands(scene.cube, estimate))
                scores["psnr_bands"].append(found)
                scores["gain"].append(found - self._starts[key])
                scores.setdefault(f"gain_{name}", []).append(found - self._starts[key])
                pictures[f"{scene.name}_{name}"] = preview(scene.cube, estimate, scene.wavelengths_nm)
        return Validation({name: float(np.mean(values)) for name, values in scores.items()}, pictures)

    def describe(self) -> dict[str, Any]:
        """Return names of the scenes, and the share of the processor time that making pairs took."""
        return {
            "training_scenes": names_of(self.task.training),
            "validation_scenes": names_of(self.task.validation),
            "wavelengths_nm": None,
            "cameras": "random",
            "pair_seconds": round(self.pairs.seconds, 1),
        }

    def gains(self, scores: Mapping[str, float]) -> dict[str, float]:
        """Return the gain over the start, which is far above bicubic interpolation."""
        return {"": scores["gain"]}


def fused(
    model: FusionModel, lr_hsi: np.ndarray, hr_msi: np.ndarray, cameras: ObservationModel, scene: Scene
) -> np.ndarray:
    """The estimate of a whole scene in memory by the weights of a model, for its own cameras."""
    centres = None if scene.wavelengths_nm is None else scene.wavelengths_nm.tolist()
    pair = ArrayPair((lr_hsi, hr_msi), cameras)
    staged = network_tiles(pair, model.for_cameras(cameras, centres))
    run_stages(staged.stages())
    return join(staged, pair.grid)
