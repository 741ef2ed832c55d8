"""How often pictures are taken for noisy: `python -m benchmarks.picture_defects --sets=sisr/BSD200`.

Each picture is reduced by each factor, gets Gaussian noise of each deviation (in steps of 1 / 255, a seed for
each picture), is rounded to 8 bits and judged by `hsr_tf.pictures.defects`. At noise 0 the shares are false
alarms.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from absl import flags

from hsr_tf.console.flag_apps import run_app
from hsr_tf.data.pictures import find_pictures, load_picture
from hsr_tf.physics.reduction import reduce_picture
from hsr_tf.pictures.defects import defect

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Which pictures, and how they are degraded."""
    flags.DEFINE_list("sets", ["sisr/BSD200", "sisr/Set14"], "Folders, or folders of $HSR_DATA.")
    flags.DEFINE_list("factors", ["1", "2", "4"], "Factors that the pictures are reduced by first.")
    flags.DEFINE_list("noises", ["0", "5", "10", "20"], "Deviations of the noise.")


def share_warned_of(pictures: Sequence[np.ndarray], noise: float) -> float:
    """The share of pictures (H, W, C), in steps of 1 / 255, taken for noisy once they have the noise."""
    found = 0
    for seed, steps in enumerate(pictures):
        noisy = steps + noise * np.random.default_rng(seed).standard_normal(steps.shape)
        found += defect(np.clip(np.rint(noisy), 0, 255).astype(np.uint8), None) is not None
    return found / len(pictures)


def main() -> None:
    """Measure and print a table."""
    noises = [float(text) for text in FLAGS.noises]
    print("| pictures | " + " | ".join(f"noise {noise:g}" for noise in noises) + " |")
    print("| --- |" + " ---: |" * len(noises))
    for folder in FLAGS.sets:
        sharp = [load_picture(path).values.astype(np.float32) for path in find_pictures(folder)]
        for factor in (int(text) for text in FLAGS.factors):
            small = [np.asarray(reduce_picture(tf.constant(one[None]), factor))[0] for one in sharp]
            shares = [f"{100 * share_warned_of(small, noise):.3g} %" for noise in noises]
            print(f"| {len(sharp)} of {folder}, reduced by {factor} | {' | '.join(shares)} |", flush=True)


if __name__ == "__main__":
    define_flags()
    run_app(main)
