"""Fit a solver to one scene whose cameras are known: `python -m trainers.unsupervised --flagfile=...`.

    python -m trainers.unsupervised --lr_hsi=x.h5 --hr_msi=y.h5 --run_dir=runs/mine
    python -m trainers.unsupervised --reference=balloons.h5 --scale=8 --max_seconds=120 --run_dir=runs/b
    python -m trainers.unsupervised --lr_hsi=x.h5 --hr_msi=y.h5 --adapt --method=ms_ssfnet --run_dir=runs/a

No training set: the two images are all there is. Written to --run_dir: estimate.h5, solution.json (residuals,
time, iterations, scores where there is a reference), curve.csv and curve.png (quality against time),
flags.txt. A run that was killed goes on from its checkpoint, where the solver writes one, when it is started
again with the same command.
"""

from __future__ import annotations

from absl import flags

from hsr_tf import checks, methods
from hsr_tf.console.flag_apps import run_app
from trainers._solving import define_solving_flags, job_from_flags, solve_and_write

FLAGS = flags.FLAGS


def define_flags() -> None:
    """The flags of a run."""
    define_solving_flags("deep_prior")


def main() -> None:
    """Flags to arguments, solve, write."""
    known = methods.get(FLAGS.method)
    checks.require(
        FLAGS.adapt or known.kind == "solver",
        "method",
        expected=f"a solver ({', '.join(methods.names('solver'))})",
        received=f"{known.name}, of kind {known.kind}",
        remedy="use hsr fuse for the others, or --adapt for a network",
    )
    given = FLAGS.reference is None
    psf, srf = (FLAGS.psf if given else None, FLAGS.srf if given else None)
    solve_and_write(lambda: job_from_flags(psf=psf, srf=srf), "trainers.unsupervised")


if __name__ == "__main__":
    define_flags()
    run_app(main)
