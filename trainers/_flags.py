"""Flags that trainers share: one definition each, and one resolved copy beside the checkpoints."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from absl import flags

from hsr_tf import checks, methods
from hsr_tf.data.patches import PatchPlan
from hsr_tf.files import HTML, replacing_file, require_output
from hsr_tf.networks import losses
from hsr_tf.networks.cards import INITIALIZERS
from hsr_tf.networks.pretrained import save_model
from hsr_tf.options import network_options
from hsr_tf.wording import percent
from trainers._hosts import these_hosts, wait_for_chief
from trainers._optimizers import OPTIMIZERS, SCHEDULES
from trainers._run import RunPlan
from trainers._trainer import Trainer

FLAGS = flags.FLAGS
FLAG_FILE = "flags.txt"
NUM_STEPS = 20_000
PATHS = (
    "cache_dir",
    "run_dir",
    "output_dir",
    "data_dir",
    "data_dirs",
    "other_data_dir",
    "responses_dirs",
    "start_from",
    "report",
)


def define_run_flags() -> None:
    """Define the optimiser, schedule, precision and checkpoints: the same names in every trainer."""
    flags.DEFINE_string(
        "run_dir", None, "Folder for checkpoints, logs and the resolved flags.", required=True
    )
    flags.DEFINE_string("output_dir", None, "Folder for the trained model (default: RUN_DIR/model).")
    flags.DEFINE_integer("num_steps", None, f"Training steps (default: {NUM_STEPS}).", 1)
    flags.DEFINE_float(
        "epochs", None, "Times that each patch position is shown, instead of --num_steps.", 0.0
    )
    flags.mark_flags_as_mutual_exclusive(["num_steps", "epochs"])
    flags.DEFINE_integer("batch_size", 16, "Patches per step.", 1)
    flags.DEFINE_enum("optimizer", "adamw", list(OPTIMIZERS), "Optimizer; older recipes use sgd.")
    flags.DEFINE_float("learning_rate", 1e-3, "Peak learning rate.", 0.0)
    flags.DEFINE_enum("schedule", "cosine", list(SCHEDULES), "Learning rate after the warm-up.")
    flags.DEFINE_integer("decay_every", 0, "Steps between decays of the rate (schedule=steps).", 0)
    flags.DEFINE_float("decay_factor", 0.1, "Factor of each decay.", 0.0, 1.0)
    flags.DEFINE_float("momentum", 0.9, "Momentum (sgd).", 0.0, 1.0)
    flags.DEFINE_integer("warmup_steps", 200, "Steps in which the learning rate rises from zero.", 0)
    flags.DEFINE_float("weight_decay", 0.0, "Weight decay: decoupled (adamw, muon) or in the gradient.", 0.0)
    flags.DEFINE_float("clip_norm", 1.0, "Largest norm of the whole gradient; 0 for no clipping.", 0.0)
    flags.DEFINE_float(
        "clip_theta", 0.0, "Largest change of a weight by one gradient (sgd); 0 for no clipping.", 0.0
    )
    flags.DEFINE_list(
        "muon_excludes", [], "Prefixes of layer names that muon leaves to Adam, such as kernel_."
    )
    flags.DEFINE_float(
        "ema",
        0.998,
        "Momentum of the averaged weights, which are saved, at most 1 - 10 / num_steps; 0 for none.",
    )
    precisions = ["float32", "mixed_bfloat16", "mixed_float16"]
    flags.DEFINE_enum("dtype", "float32", precisions, "Precision of the network.")
    flags.DEFINE_bool("jit_compile", False, "Compile the step with XLA: faster on accelerators, not on CPUs.")
    flags.DEFINE_integer("seed", 0, "Random seed of weights, patches and noise.")
    flags.DEFINE_integer("checkpoint_every", 500, "Steps between checkpoints.", 1)
    flags.DEFINE_integer("validate_every", 1000, "Steps between validations.", 1)
    flags.DEFINE_float(
        "max_seconds", None, "Stop this many seconds after the first step, with a checkpoint.", 1.0
    )


def define_network_flags(method: str, known: str, patch_size: int) -> None:
    """Define network, loss and patches; the defaults that differ between trainers are arguments."""
    flags.DEFINE_string("method", method, f"Network: {known}.")
    flags.DEFINE_multi_string(
        "option", [], "NAME=VALUE, an option of the network (num_blocks=8); may be repeated."
    )
    flags.DEFINE_enum("init", "he", list(INITIALIZERS), "Initial weights.")
    flags.DEFINE_enum("loss", "mse", sorted(losses.LOSSES), "Loss (of each level, where there are several).")
    flags.DEFINE_integer("patch_size", patch_size, "Side of a patch in sharp pixels.", 1)
    flags.DEFINE_integer("patch_stride", 1, "Distance of patch positions in sharp pixels.", 1)
    flags.DEFINE_bool("augment", True, "Rotate patches by multiples of 90 degrees and flip them.")
    flags.DEFINE_bool("rotations", True, "With --augment, rotate too; --norotations flips the patches only.")
    flags.DEFINE_bool(
        "patch_margin",
        True,
        "Cut patches with the margin of their blur, so that they are observed as within the whole image.",
    )


def define_memory_flags(what: str) -> None:
    """Define how much memory training images take, and where they lie beyond it."""
    flags.DEFINE_string(
        "memory_limit", "2GB", f"Keep {what} that take more in a cache of files, read patch by patch."
    )
    flags.DEFINE_string("cache_dir", None, "Folder of that cache, for several runs (default: RUN_DIR/cache).")


def cache_folder() -> Path:
    """Return the folder for training images that do not fit into memory."""
    return Path(FLAGS.cache_dir or Path(FLAGS.run_dir) / "cache")


def define_white_level_flag() -> None:
    """Define the white level of cubes that hold integers."""
    flags.DEFINE_float(
        "white_level",
        None,
        "Stored value that stands for 1.0 (default: the one in the files; 4095 for integers of 12 bits).",
        lower_bound=0.0,
    )


def define_camera_flags(psf: str | None, srf: str | None, default: str = "") -> None:
    """Define the cameras and their defaults; `default` describes a default that is None."""
    flags.DEFINE_string(
        "psf",
        psf,
        f"Point-spread function, e.g. gaussian, gaussian:sigma=2.5, box, bicubic, or a file{default}.",
    )
    flags.DEFINE_string("srf", srf, f"Spectral response: a name, or a CSV file{default}.")


def network_arguments(texts: Iterable[str] = ()) -> tuple[tuple[str, Any], ...]:
    """Return the arguments of the network that --option sets, over those of `texts`, sorted by name.

    Raises:
        InputError: an unknown option; the known ones are listed.
    """
    method = methods.get(FLAGS.method, ("network", "image_network"))
    return tuple(sorted(network_options(method, [*texts, *FLAGS.option]).items()))


def patch_plan(*, margin: int = 0) -> PatchPlan:
    """Return how patches are cut, from the flags.

    Args:
        margin: sharp pixels that a patch is degraded with on each side, unless --nopatch_margin is given.
    """
    return PatchPlan(
        patch_size=FLAGS.patch_size,
        batch_size=FLAGS.batch_size,
        stride=FLAGS.patch_stride,
        augment=FLAGS.augment,
        seed=FLAGS.seed,
        margin=margin if FLAGS.patch_margin else 0,
        rotations=FLAGS.rotations,
    )


def numbers(
    name: str, texts: Iterable[str], fits: Callable[[float], bool], *, expected: str, example: str
) -> list[float]:
    """Return the numbers in the texts of a list flag.

    Args:
        name: of the flag.
        texts: the values.
        fits: whether a number is allowed.
        expected: what is allowed, for the error.
        example: of the flag's value.

    Raises:
        InputError: a text that is no such number.
    """
    found = []
    for text in texts:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        checks.require(
            math.isfinite(value) and fits(value),
            name,
            expected=expected,
            received=text,
            remedy=f"write e.g. --{name}={example}",
        )
        found.append(value)
    return found


def run_plan() -> RunPlan:
    """Return the flags of `define_run_flags` as plain arguments."""
    names = RunPlan.__dataclass_fields__
    values = {name: getattr(FLAGS, name) for name in names if name not in ("run_dir", "num_steps")}
    return RunPlan(run_dir=Path(FLAGS.run_dir), num_steps=FLAGS.num_steps or NUM_STEPS, **values)


def save_resolved_flags(run_dir: Path) -> dict[str, Any]:
    """Write every flag of the application to RUN_DIR/flags.txt, a flag file that repeats the run.

    Of several hosts the first writes it.

    Raises:
        ValueError: as `require_flags_of_run`.
    """
    require_flags_of_run(run_dir)
    if these_hosts().is_chief:
        run_dir.mkdir(parents=True, exist_ok=True)
        with replacing_file(run_dir / FLAG_FILE) as draft:
            draft.write_text(_flag_file(), encoding="utf-8")
    return resolved_flags()


def train_and_save(make: Callable[[RunPlan], Trainer]) -> None:
    """Train to the last step, or resume, and save the model with the card that says how it was trained.

    Args:
        make: the trainer of a plan; called after the flags were compared with those of the run.
    """
    run_dir = Path(FLAGS.run_dir)
    require_flags_of_run(run_dir)
    trainer = make(run_plan())
    values = save_resolved_flags(run_dir)
    first, begin = trainer.run.restore(), time.monotonic()
    scores = trainer.train()
    record = {
        "flags": {name: value for name, value in values.items() if name not in PATHS},
        **trainer.describe(),
        "validation": scores,
        "num_steps": trainer.plan.num_steps,
        "first_step": first,
        "input_share": round(trainer.run.input_share, 4),
        "seconds": round(time.monotonic() - begin, 1),
        "cores": os.cpu_count(),
    }
    if these_hosts().is_chief:
        output = FLAGS.output_dir or run_dir / "model"
        folder = save_model(trainer.model.for_inference(), output, record)
        words = "  ".join(f"{name} {score:.2f}" for name, score in scores.items())
        print(f"trained model: {folder}  {words}")
        print(f"steps waited for their patches for {percent(trainer.run.input_share)} of the time")
    wait_for_chief()
    warn_below_bicubic(trainer.gains(scores))


def warn_below_bicubic(gains: Mapping[str, float]) -> None:
    """Warn in one line on stderr that a trained model is worse than bicubic interpolation everywhere.

    Args:
        gains: decibels over bicubic interpolation on the validation images, by what they were reduced by.
    """
    if gains and max(gains.values()) < 0 and these_hosts().is_chief:
        words = ", ".join(f"{-gain:.2f} dB below it{name and f' ({name})'}" for name, gain in gains.items())
        print(
            f"warning: the model is worse than bicubic interpolation of the validation images: {words}; "
            "train longer, lower --learning_rate, or check the values of the training images",
            file=sys.stderr,
            flush=True,
        )


def require_report(path: str | None, run_dir: Path | None = None) -> None:
    """Refuse a name for a report that could not be written, before the run begins.

    Args:
        path: of the page, or None.
        run_dir: a folder that the run makes, where the page may lie too.
    """
    if path is not None:
        require_output("report", path, suffixes=HTML, made=run_dir)


def write_run_report(run_dir: Path, path: str | None) -> None:
    """Write the page that `hsr report --run` makes of a run, where a path is given."""
    if path is not None and these_hosts().is_chief:
        from hsr_tf.report.html import write_report
        from hsr_tf.report.run_folder import run_report

        print(f"report: {write_report(run_report(run_dir), path)}")


def require_flags_of_run(run_dir: Path) -> None:
    """Refuse a folder that holds a run of other flags; nothing is written.

    Raises:
        ValueError: in one line that tells them.
    """
    path, text = run_dir / FLAG_FILE, _flag_file()
    if path.is_file() and path.read_text(encoding="utf-8") != text:
        old, new = set(path.read_text(encoding="utf-8").splitlines()), set(text.splitlines())
        raise checks.InputError(
            "run_dir",
            expected=f"the flags of the run in {run_dir} ({' '.join(sorted(old - new)) or 'and no more'})",
            received=" ".join(sorted(new - old)) or "fewer",
            remedy="give another --run_dir for a new run, or the old flags to resume",
        )


def _flag_file() -> str:
    """The flags as lines of a flag file; one that may be given again has a line a value."""
    lines = []
    for name, value in resolved_flags().items():
        repeated = isinstance(value, list) and isinstance(FLAGS[name], flags.MultiFlag)
        for part in value if repeated else [value]:
            text = ",".join(map(str, part)) if isinstance(part, list) else part
            lines += [] if value is None else [f"--{name}={text}\n"]
    return "".join(lines)


def resolved_flags() -> dict[str, Any]:
    """Name and value of every flag that the application's own modules define."""
    own = [
        flag
        for module, found in FLAGS.flags_by_module_dict().items()
        if module.startswith((__package__, "__main__")) or (module.endswith(".py") and "trainers" in module)
        for flag in found
    ]
    return {flag.name: flag.value for flag in sorted(own, key=lambda flag: flag.name)}
