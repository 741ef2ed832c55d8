"""What each option of `deep_prior` gains: `python -m benchmarks.prior_options --json=options.json`.

Two chains of variants on crops of training scenes at one scale, after the protocol of `benchmarks.solvers`:

- the default form with one option turned back at a time; the gain of an option is the default's score less
  that of the variant;
- with `--published`, the published form with one option turned on at a time; the gain is the variant's score
  less that of the published form.

All variants take their options' steps, or the first --num_steps of them, so that the scores do not depend on
what else the machine does. With `--base=spectral_ls` more is left for the network to find than `kernel_ls`
leaves. The cost is given as processor seconds, of all cores. With `--noisy` both images have noise as
in `benchmarks.solvers`. The tables in docs/solvers.md are what this prints.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from absl import flags
from tqdm import tqdm

from benchmarks import _report
from hsr_tf import checks, methods
from hsr_tf.console.flag_apps import run_app
from hsr_tf.data.scenes import crop_to_multiple, find_scenes, top_left
from hsr_tf.fusion.api import fuse, simulate
from hsr_tf.io import load
from hsr_tf.metrics.full_reference import scorecard
from hsr_tf.metrics.table import get
from hsr_tf.options import configured
from hsr_tf.scene import Observation, Scene
from hsr_tf.solvers.deep_prior import PUBLISHED, DeepPriorConfig
from hsr_tf.solvers.solver import Controls
from trainers.evaluate import HSI_SNR_DB, MSI_SNR_DB

FLAGS = flags.FLAGS
FOLDER = "hsi/cave_train"
DEFAULT = "default"
PUBLISHED_FORM = "published"

# Options turned back in the default form, and those turned on in the published one.
TURNED_BACK: dict[str, dict[str, Any]] = {
    "base=wide_networks": {"base": "wide_networks"},
    "base=spectral_ls": {"base": "spectral_ls"},
    "base=none": {"base": "none"},
    "subspace=false": {"subspace": False},
    "network=hourglass": {"network": "hourglass", "features": 64},
    "inputs=noise": {"inputs": "noise"},
    "coarse_levels=2": {"coarse_levels": 2},
    "tile=0": {"tile": 0},
    "hold_out=false": {"hold_out": False},
    "ema=0.0": {"ema": 0.0},
    "dtype=mixed_bfloat16": {"dtype": "mixed_bfloat16"},
    "consistent=false": {"consistent": False},
}
TURNED_ON: dict[str, dict[str, Any]] = {
    "base=spectral_ls": {"base": "spectral_ls"},
    "subspace=true": {"subspace": True},
    "network=pixelwise": {"network": "pixelwise", "features": 96},
    "inputs=noise": {"inputs": "noise"},
    "coarse_levels=2": {"coarse_levels": 2},
    "tile=16": {"tile": 16},
    "ema=0.98": {"ema": 0.98},
    "dtype=mixed_bfloat16": {"dtype": "mixed_bfloat16"},
    "consistent=true": {"consistent": True},
}


@dataclass(frozen=True)
class Line:
    """One variant, over the scenes.

    Attributes:
        form: "default" or "published": what the variant is compared with.
        variant: the option that differs, or the form itself.
        psnr: mean PSNR (bands), dB.
        sam_degrees: mean SAM.
        gain: of the option, mean over the scenes, dB; zero for the form itself.
        steps: mean number of steps until it stopped.
        processor_seconds: mean, of all cores together.
    """

    form: str
    variant: str
    psnr: float
    sam_degrees: float
    gain: float
    steps: float
    processor_seconds: float


@dataclass(frozen=True)
class Fit:
    """One variant on one scene; the fields are those of `Line`."""

    variant: str
    scene: str
    psnr: float
    sam_degrees: float
    steps: int
    processor_seconds: float


def define_flags() -> None:
    """What is measured, and where it goes."""
    _report.define_scenes(folder=FOLDER, crop=256, scenes=("flowers", "paints"))
    flags.DEFINE_integer("scale", 8, "Scale factor: sharp pixels per coarse pixel.", lower_bound=2)
    flags.DEFINE_integer("num_steps", None, "Most steps of every variant (default: the form's).", 1)
    flags.DEFINE_list("options", [], "Variants by name, e.g. tile=0,ema=0 (default: all).")
    flags.DEFINE_string("base", None, "Base of the form and its variants (default: the form's).")
    flags.DEFINE_bool("published", False, "Turn options on in the published form instead.")
    flags.DEFINE_integer("seed", 0, "Random seed.")
    _report.define_json()


def variants(
    form: str, chosen: Sequence[str], num_steps: int | None, *, base: str | None = None
) -> dict[str, DeepPriorConfig]:
    """The form and each of its variants by name, the form first.

    Raises:
        ValueError: a variant that the form does not have.
    """
    config = PUBLISHED if form == PUBLISHED_FORM else DeepPriorConfig()
    config = config if num_steps is None else replace(config, num_steps=num_steps)
    config = config if base is None else replace(config, base=base)
    known = TURNED_ON if form == PUBLISHED_FORM else TURNED_BACK
    for name in chosen:
        checks.require_choice("options", name, known)
    return {form: config} | {
        name: replace(config, **changes) for name, changes in known.items() if name in (chosen or known)
    }


def measure(configs: Mapping[str, DeepPriorConfig], scenes: Sequence[Scene]) -> list[Fit]:
    """Every variant on every scene."""
    snr_db = (HSI_SNR_DB, MSI_SNR_DB) if FLAGS.noisy else (None, None)
    fits = []
    with tqdm(total=len(configs) * len(scenes), unit="fit", dynamic_ncols=True) as bar:
        for scene in scenes:
            observation = simulate(scene, scale=FLAGS.scale, snr_db=snr_db)
            for name, config in configs.items():
                bar.set_postfix_str(f"{scene.name} {name}")
                fits.append(fit_one(name, config, scene, observation, seed=FLAGS.seed))
                bar.update()
    return fits


def fit_one(
    name: str, config: DeepPriorConfig, scene: Scene, observation: Observation, *, seed: int = 0
) -> Fit:
    """One variant on one scene, scored as every estimate is."""
    began = time.process_time()
    method = configured(methods.get("deep_prior"), config)
    found = fuse(observation, method, controls=Controls(seed=seed))
    spent = time.process_time() - began
    card = scorecard(scene.cube, found.estimate.cube, scale=observation.scale)
    return Fit(name, scene.name, card.psnr_bands, card.sam_degrees, found.iterations or 0, spent)


def summarise(form: str, fits: Sequence[Fit]) -> list[Line]:
    """A line a variant; with the published form a gain is what turning the option on adds."""
    scores = {(fit.variant, fit.scene): fit.psnr for fit in fits}
    sign = 1.0 if form == PUBLISHED_FORM else -1.0
    lines = []
    for variant in dict.fromkeys(fit.variant for fit in fits):
        chosen = [fit for fit in fits if fit.variant == variant]
        gains = [sign * (fit.psnr - scores[form, fit.scene]) for fit in chosen]
        means = {
            name: float(np.mean([getattr(fit, name) for fit in chosen]))
            for name in ("psnr", "sam_degrees", "steps", "processor_seconds")
        }
        lines.append(Line(form, variant, gain=float(np.mean(gains)), **means))
    return lines


def markdown(form: str, lines: Sequence[Line]) -> str:
    """The table of gains."""
    turned = "turned on" if form == PUBLISHED_FORM else "instead of the default's"
    psnr, sam = get("psnr_bands"), get("sam_degrees")
    heads = (turned, psnr.title, sam.title, "gain of the option, dB", "steps", "processor seconds")
    rows = []
    for line in lines:
        gain = "" if line.variant == form else f"{line.gain:+.2f}"
        scores = (psnr.number(line.psnr), sam.number(line.sam_degrees), gain)
        rows.append((line.variant, *scores, f"{line.steps:.0f}", f"{line.processor_seconds:.0f}"))
    return _report.table(heads, rows)


def main() -> None:
    """Measure, print, write."""
    form = PUBLISHED_FORM if FLAGS.published else DEFAULT
    configs = variants(form, FLAGS.options, FLAGS.num_steps, base=FLAGS.base)
    about = _report.machine()
    _report.print_machine(about)
    paths = find_scenes(FLAGS.data_dir, default=FOLDER, names=FLAGS.scenes)
    crops = (top_left(load(path), FLAGS.crop) for path in paths)
    fits = measure(configs, [crop_to_multiple(scene, FLAGS.scale) for scene in crops])
    lines = summarise(form, fits)
    print(f"\n{markdown(form, lines)}")
    _report.write({"machine": about, "lines": [asdict(x) for x in lines], "fits": [asdict(x) for x in fits]})


if __name__ == "__main__":
    define_flags()
    run_app(main)
