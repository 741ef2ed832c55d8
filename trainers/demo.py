"""The main job from nothing but packages: `python -m trainers.demo`.

MS-SSFNet is trained on the west of a real scene and fuses the south-east, which it has never seen, beside
`bicubic` and `spectral_ls`. Each part is observed as two cameras would see it: all 200 bands at a quarter of
the resolution, and four broad bands (as boxes, Sentinel-2's of 10 m) at full resolution. Written to
--output_dir: the trained model, the three files of the test (reference, lr_hsi, hr_msi), and a picture sheet.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from absl import flags
from rich.table import Column, Table

from hsr_tf.console.flag_apps import run_app
from hsr_tf.console.terminal import show
from hsr_tf.data.indian_pines import SENTINEL2_NM, Parts, cut, load_indian_pines, sentinel2_response
from hsr_tf.data.patches import PatchPlan
from hsr_tf.fusion.api import fuse, simulate
from hsr_tf.io import save
from hsr_tf.metrics.full_reference import Scorecard, psnr_per_band, scorecard
from hsr_tf.metrics.table import metrics_for
from hsr_tf.networks.fusion_model import FusionConfig
from hsr_tf.networks.pretrained import save_model
from hsr_tf.physics.cameras import make_cameras
from hsr_tf.report.screen import plain_table
from hsr_tf.report.sheet import SheetData, picture_sheet
from hsr_tf.scene import Observation, Scene, Solution
from trainers._run import RunPlan
from trainers.fusion import FusionTask, FusionTrainer

FLAGS = flags.FLAGS
SCALE = 4
METHODS = ("bicubic", "spectral_ls", "ms_ssfnet")
OPTIONS = (
    ("activation", "leaky_relu"),
    ("features", [64, 48, 32]),
    ("num_levels", 2),
    ("upsampling_kernel", 2),
)
PATCH_SIZE, BATCH_SIZE = 32, 8
MAX_SECONDS = 90.0


def define_flags() -> None:
    """What may be changed."""
    flags.DEFINE_string(
        "output_dir", "demo_output", "Folder for the model, the test files and the picture sheet."
    )
    flags.DEFINE_integer("num_steps", 600, "Training steps.", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "Random seed of weights and patches.")


def demo_task(parts: Parts, seed: int) -> FusionTask:
    """What is trained on what."""
    response = sentinel2_response(parts.training)
    config = FusionConfig(
        method="ms_ssfnet",
        scale=SCALE,
        num_bands=parts.training.num_bands,
        num_channels=len(response.channels),
        base="spectral_ls",
        consistent=True,
        options=OPTIONS,
        seed=seed,
    )
    cameras = make_cameras(parts.training, SCALE, srf=response)
    patches = PatchPlan(PATCH_SIZE, BATCH_SIZE, seed=seed)
    return FusionTask([parts.training], [parts.validation], cameras, config, patches, loss="log_mse")


def demo_plan(run_dir: Path, num_steps: int, seed: int) -> RunPlan:
    """How it is trained: the shipped models' recipe, shortened, with a limit of time for slow machines."""
    return RunPlan(
        run_dir=run_dir,
        num_steps=num_steps,
        batch_size=BATCH_SIZE,
        optimizer="adamw",
        learning_rate=2e-3,
        schedule="cosine",
        warmup_steps=min(50, num_steps // 4),
        weight_decay=0.0,
        clip_norm=1.0,
        ema=0.98,
        dtype="float32",
        jit_compile=False,
        seed=seed,
        checkpoint_every=num_steps,
        validate_every=max(1, num_steps // 5),
        max_seconds=MAX_SECONDS,
    )


def train(parts: Parts, folder: Path) -> None:
    """Train and keep the model in `folder`; checkpoints and logs are thrown away."""
    with tempfile.TemporaryDirectory() as run_dir:
        plan = demo_plan(Path(run_dir), FLAGS.num_steps, FLAGS.seed)
        trainer = FusionTrainer(demo_task(parts, FLAGS.seed), plan)
        scores = trainer.train()
        steps_done = int(trainer.run.step.numpy())
    record = {
        "flags": {"num_steps": FLAGS.num_steps, "seed": FLAGS.seed},
        "steps_done": steps_done,
        "training_scenes": [parts.training.name],
        "validation_scenes": [parts.validation.name],
        "wavelengths_nm": np.asarray(parts.training.wavelengths_nm).tolist(),
        "validation": scores,
    }
    save_model(trainer.model.for_inference(), folder, record)
    if steps_done < plan.num_steps:
        print(f"Stopped after {MAX_SECONDS:.0f} seconds, at step {steps_done} of {plan.num_steps}.")


def observe(parts: Parts, folder: Path) -> Observation:
    """What the two cameras see of the test part; the three cubes are written to `folder`."""
    response = sentinel2_response(parts.test)
    observation = simulate(parts.test, scale=SCALE, srf=response)
    for name, scene in (
        ("reference", parts.test),
        ("lr_hsi", observation.lr_hsi),
        ("hr_msi", observation.hr_msi),
    ):
        save(scene, folder / f"{name}.h5")
    return observation


def results_table(cards: Mapping[str, Scorecard], seconds: Mapping[str, float]) -> Table:
    """Return one line per method, with the best of each score in bold."""
    table = plain_table(Column("method", no_wrap=True))
    scores = {method: card.by_name() for method, card in cards.items()}
    metrics = [metric for metric in metrics_for() if all(metric.name in card for card in scores.values())]
    for metric in metrics:
        table.add_column(metric.heading or metric.label, justify="right")
    table.add_column("seconds", justify="right", style="dim")
    best = {metric.name: metric.best([card[metric.name] for card in scores.values()]) for metric in metrics}
    for method, card in scores.items():
        cells = [
            f"[bold]{metric.number(value)}[/]" if value == best[metric.name] else metric.number(value)
            for metric in metrics
            for value in [card[metric.name]]
        ]
        table.add_row(method, *cells, f"{seconds[method]:.2f}")
    return table


def verdict(cards: Mapping[str, Scorecard]) -> str:
    """Which method won, by how much, in a sentence."""
    gain = cards["ms_ssfnet"].psnr_bands - cards["spectral_ls"].psnr_bands
    if gain > 0:
        return f"MS-SSFNet is {gain:.2f} dB above spectral_ls, the floor that needs no training."
    return f"MS-SSFNet is {-gain:.2f} dB below spectral_ls, the floor that needs no training."


def gains_by_range(reference: Scene, solutions: Mapping[str, Solution]) -> str:
    """Where MS-SSFNet gains on spectral_ls: over the wavelengths that the sharp camera sees, and beyond."""
    psnr = {
        name: np.asarray(psnr_per_band(reference.cube, np.clip(solution.estimate.cube, 0, 1)))
        for name, solution in solutions.items()
    }
    gain = psnr["ms_ssfnet"] - psnr["spectral_ls"]
    longest_nm = max(centre + width / 2 for centre, width in SENTINEL2_NM.values())
    seen = np.asarray(reference.wavelengths_nm) <= longest_nm
    return (
        f"Up to {longest_nm:.0f} nm, where the sharp camera sees, the difference is "
        f"{gain[seen].mean():+.2f} dB; beyond, {gain[~seen].mean():+.2f} dB."
    )


def main() -> None:
    """Load, train, compare, draw."""
    folder = Path(FLAGS.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    parts = cut(load_indian_pines())
    print(introduction(parts), flush=True)
    try:
        train(parts, folder / "model")
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted; the demonstration starts anew next time\n")
        sys.exit(130)
    observation = observe(parts, folder)
    weights = {"ms_ssfnet": folder / "model"}
    solutions = {name: fuse(observation, name, weights=weights.get(name)) for name in METHODS}
    cards = {
        name: scorecard(parts.test.cube, solution.estimate.cube, scale=SCALE)
        for name, solution in solutions.items()
    }
    data = SheetData.of(
        observation,
        parts.test,
        {name: solution.estimate.cube for name, solution in solutions.items()},
        title="Indian Pines, south-east: MS-SSFNet trained on the west of the scene",
    )
    wavelengths_nm = np.asarray(parts.test.wavelengths_nm)
    shown = [SENTINEL2_NM[name][0] for name in ("B8 infrared", "B4 red", "B3 green")]
    infrared, red, green = (int(np.abs(wavelengths_nm - centre).argmin()) for centre in shown)
    data = replace(data, msi_channels=(3, 2, 1), hsi_bands=(infrared, red, green))
    sheet = picture_sheet(folder / "sheet.png", data)
    print("\nThe south-east, which the training has not seen:")
    seconds = {name: solution.seconds for name, solution in solutions.items()}
    show(results_table(cards, seconds))
    print(verdict(cards))
    print(gains_by_range(parts.test, solutions))
    print(f"picture sheet: {sheet}")
    program = Path(sys.executable).parent / "hsr"
    print(
        "\nthe same from files, in the environment just made:\n"
        f"  {program} fuse --method=ms_ssfnet --weights={folder / 'model'} \\\n"
        f"    --lr_hsi={folder / 'lr_hsi.h5'} --hr_msi={folder / 'hr_msi.h5'} \\\n"
        f"    --output={folder / 'estimate.h5'}"
    )


def introduction(parts: Parts) -> str:
    """What will happen, for the terminal."""
    rows, columns, num_bands = parts.training.shape
    test = parts.test.shape
    return (
        f"Indian Pines: an AVIRIS scene of farmland in Indiana, {num_bands} bands, 400 to 2500 nm.\n"
        f"Two cameras look at it. One has all bands, in pixels {SCALE} times as wide; the other has\n"
        "sharp pixels, in four bands only (blue, green, red and infrared, as Sentinel-2).\n"
        "Wanted: all bands in sharp pixels.\n"
        f"MS-SSFNet learns that on the west of the scene ({rows} x {columns} pixels) and is then tested\n"
        f"on the south-east ({test[0]} x {test[1]} pixels), which it has not seen. Training takes\n"
        f"{FLAGS.num_steps} steps, or {MAX_SECONDS:.0f} seconds where that is less; the scores shown "
        "meanwhile are\nthose of a third part, the north-east.\n"
    )


if __name__ == "__main__":
    define_flags()
    run_app(main)
