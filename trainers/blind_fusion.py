"""Fit a solver to one scene whose cameras are not known: `python -m trainers.blind_fusion --flagfile=...`.

    python -m trainers.blind_fusion --lr_hsi=x.h5 --hr_msi=y.h5 --run_dir=runs/mine
    python -m trainers.blind_fusion --reference=balloons.h5 --scale=8 --psf=box --run_dir=runs/blind

Blur, response and shift are estimated from the two images, by the method itself or, for one that needs them
(--method=deep_prior, --method=spectral_ls), before it. With --reference, --psf, --srf and --shift simulate
the images; the method does not get them. Written to --run_dir: what trainers.unsupervised writes, and
cameras.png (estimated against true kernel and response); with --kernels also kernels.png, the kernel from
iteration to iteration.
"""

from __future__ import annotations

from absl import flags

from hsr_tf import checks, methods
from hsr_tf.console.flag_apps import run_app
from hsr_tf.fusion.cameras import ESTIMATE
from trainers._solving import define_solving_flags, job_from_flags, solve_and_write

FLAGS = flags.FLAGS


def define_flags() -> None:
    """The flags of a run."""
    define_solving_flags("blind_deep_prior")
    flags.DEFINE_bool(
        "kernels",
        False,
        "Draw the kernel that is learnt, true, after a few iterations and at the end: kernels.png.",
    )


def main() -> None:
    """Flags to arguments, solve, write."""
    known = methods.get(FLAGS.method)
    checks.require(
        FLAGS.reference is not None or not (FLAGS.psf or FLAGS.srf),
        "psf, srf",
        expected="none, as they are estimated",
        received=", ".join(filter(None, (FLAGS.psf, FLAGS.srf))),
        remedy="leave them out, or use trainers.unsupervised with known cameras",
    )
    beforehand = [known.kind != "solver" or need in known.needs for need in ("psf", "srf")]
    psf, srf = (ESTIMATE if first else None for first in beforehand)
    solve_and_write(lambda: job_from_flags(psf=psf, srf=srf), "trainers.blind_fusion", kernels=FLAGS.kernels)


if __name__ == "__main__":
    define_flags()
    run_app(main)
