"""What the fusion benchmark measures: a synthetic scene, models and trainers as the configurations say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from hsr_tf.data.patches import PatchPlan
from hsr_tf.networks.fusion_model import FusionConfig, FusionModel
from hsr_tf.networks.pretrained import find_shipped, load_model
from hsr_tf.physics.cameras import make_cameras
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.scene import Scene
from trainers._run import RunPlan
from trainers.fusion import FusionTask, FusionTrainer, NoisePlan

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
WAVELENGTHS_NM = np.arange(400.0, 701.0, 10.0)


@dataclass(frozen=True)
class Recipe:
    """A model's configuration and how it is trained."""

    config: FusionConfig
    patch_size: int
    batch_size: int
    snr_db: tuple[float | None, float | None]
    noise: NoisePlan


def read_recipe(scale: int) -> Recipe:
    """The recipe of configs/ms_ssfnet_x<scale>.flags; for other scales that of x8 with 64 features."""
    path = CONFIGS / f"ms_ssfnet_x{scale}.flags"
    known = path.is_file()
    lines = (path if known else CONFIGS / "ms_ssfnet_x8.flags").read_text(encoding="utf-8").splitlines()
    pairs = [line.lstrip("-").partition("=") for line in lines if line.startswith("--")]
    given = {name: value for name, _, value in pairs}
    features = [int(width) for width in given["features"].split(",")] if known else 64
    options = {
        "features": features,
        "num_levels": min(int(given["num_levels"]), scale.bit_length() - 1),
        "upsampling_kernel": int(given["upsampling_kernel"]),
        "activation": given["activation"],
    }
    config = FusionConfig(
        method="ms_ssfnet",
        scale=scale,
        num_bands=len(WAVELENGTHS_NM),
        base=given["base"],
        consistent="consistent" in given,
        options=tuple(sorted(options.items())),
        dtype=given.get("dtype"),
    )
    snr_db = tuple(float(given[name]) if name in given else None for name in ("hsi_snr_db", "msi_snr_db"))
    noise = NoisePlan(float(given.get("noise_probability", 1)), float(given.get("noise_span_db", 0)))
    return Recipe(config, int(given["patch_size"]), int(given["batch_size"]), (snr_db[0], snr_db[1]), noise)


def synthetic_scene(size: int) -> Scene:
    """Smooth spectra over waves and noise, values in [0, 1]; the same every time."""
    rows, columns = np.mgrid[:size, :size] / size
    grain = np.random.default_rng(0).random((size, size))
    phase = 6.0 * rows + 9.0 * columns + 0.5 * grain
    cube = 0.5 + 0.4 * np.sin(phase[..., None] + np.linspace(0.0, 3.0, len(WAVELENGTHS_NM)))
    return Scene(cube.astype(np.float32), WAVELENGTHS_NM, "synthetic")


@dataclass(frozen=True, eq=False)
class Subject:
    """A model, and where its weights are from: "shipped" or "untrained"."""

    model: FusionModel
    origin: str


def find_model(scale: int, scene: Scene) -> Subject:
    """The shipped model of a scale, else an untrained one of its recipe; in float32, as in use."""
    card = find_shipped("ms_ssfnet", scale=scale, num_bands=scene.num_bands, num_channels=3)
    if card is not None:
        return Subject(load_model(card.folder).for_inference(), "shipped")
    cameras = make_cameras(scene, scale)
    model = FusionModel(read_recipe(scale).config, ObservationModel(cameras.spatial, cameras.spectral))
    return Subject(model.for_inference(), "untrained")


def task_of(recipe: Recipe, scene: Scene) -> FusionTask:
    """Training by a recipe on one scene, with patches that fit into it."""
    cameras = make_cameras(scene, recipe.config.scale, snr_db=recipe.snr_db)
    patches = PatchPlan(min(recipe.patch_size, *scene.shape[:2]), recipe.batch_size)
    return FusionTask([scene], [], cameras, recipe.config, patches, "log_mse", recipe.noise)


def plan_of(recipe: Recipe, folder: Path) -> RunPlan:
    """The step of a recipe."""
    dtype = recipe.config.dtype or "float32"
    return short_run(folder, recipe.batch_size, optimizer="adamw", learning_rate=1e-3, dtype=dtype)


def short_run(folder: Path, batch_size: int, *, optimizer: str, learning_rate: float, dtype: str) -> RunPlan:
    """A run whose step is measured; how long it goes on is of no account."""
    return RunPlan(
        run_dir=folder,
        num_steps=1000,
        batch_size=batch_size,
        optimizer=optimizer,
        learning_rate=learning_rate,
        schedule="cosine",
        warmup_steps=200,
        weight_decay=0.0,
        clip_norm=1.0,
        ema=0.998,
        dtype=dtype,
        jit_compile=False,
        seed=0,
        checkpoint_every=1000,
        validate_every=1000,
    )


class GivenObservations(FusionTrainer):
    """A trainer whose step takes observations that were made before."""

    given: tuple[tf.Tensor, tf.Tensor]

    def observe(self, hr_hsi: tf.Tensor, scene: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The given ones."""
        del hr_hsi, scene
        return self.given
