"""Training runs of equal cost: the steps that a budget affords, and runs that go on where they stopped.

A budget of M minutes is M minutes of all cores with nothing beside: M x 60 x cores seconds of processor time,
so that what else a machine does is of no account. The steps of a run follow from the processor time of one
step, which is the difference between a short run and a longer one; they are written down once, and every
later start keeps them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from hsr_tf.files import write_json

ROOT = Path(__file__).resolve().parents[1]
SHORT, LONG, LONGEST, GROWTH, TIMED_SECONDS = 4, 20, 1280, 4, 15.0
SECONDS_BETWEEN_CHECKPOINTS = 90.0
PLAN = "plan.json"


@dataclass(frozen=True)
class Budget:
    """What a method may cost in training.

    Attributes:
        minutes: with all cores free.
        cores: their number.
    """

    minutes: float
    cores: int

    @property
    def processor_seconds(self) -> float:
        """Seconds of processor time."""
        return 60.0 * self.minutes * self.cores


@dataclass(frozen=True)
class Stage:
    """One training run: `python -m module flags...`; the run before it is `{before}` in a flag."""

    module: str
    flags: tuple[str, ...]


@dataclass(frozen=True)
class StagePlan:
    """How long a run goes on.

    Attributes:
        num_steps: of the run.
        seconds_per_step: processor time of one.
        minutes: budget of the run.
        cores: of the machine.
    """

    num_steps: int
    seconds_per_step: float
    minutes: float
    cores: int


def train(stages: Sequence[Stage], folder: Path, budget: Budget) -> Path:
    """Train the stages one after the other, or go on with them, and return the folder of the last model.

    Args:
        stages: at least one; they share the budget equally.
        folder: of their runs, named 1, 2, ...; what is finished there is kept.
        budget: of all of them; of stages whose plan is in the folder, the plan counts.

    Raises:
        OSError: a run ended with an error, which it has printed.
    """
    share = Budget(budget.minutes / len(stages), budget.cores)
    model = folder
    for number, stage in enumerate(stages, start=1):
        run_dir, before = folder / str(number), model
        model = run_dir / "model"
        if (model / "model.json").is_file():
            continue
        flags = [flag.replace("{before}", str(before)) for flag in stage.flags]
        plan = plan_of(run_dir.with_suffix(".plan"), stage.module, flags, share)
        every = max(1, int(SECONDS_BETWEEN_CHECKPOINTS * budget.cores / plan.seconds_per_step))
        run_to_end(_command(stage.module, [*flags, f"--checkpoint_every={every}"], run_dir, plan.num_steps))
    return model


def plan_of(folder: Path, module: str, flags: Sequence[str], budget: Budget) -> StagePlan:
    """Return the plan in a folder; where there is none, time the step and write it."""
    path = folder / PLAN
    if path.is_file():
        return StagePlan(**json.loads(path.read_text(encoding="utf-8")))
    seconds = seconds_per_step(module, flags)
    num_steps = max(1, int(budget.processor_seconds / seconds))
    plan = StagePlan(num_steps, float(f"{seconds:.4g}"), budget.minutes, budget.cores)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(path, asdict(plan))
    return plan


def seconds_per_step(module: str, flags: Sequence[str]) -> float:
    """Return the processor time of one training step.

    A longer run less a run of 4 steps. The longer one has 20 steps, or as many more as take 15 seconds, since
    the time of a start varies by a second.
    """
    with tempfile.TemporaryDirectory() as folder:

        def seconds(steps: int) -> float:
            return run_to_end(_command(module, flags, Path(folder, str(steps)), steps))

        short, steps = seconds(SHORT), LONG
        while (found := seconds(steps) - short) < TIMED_SECONDS and steps < LONGEST:
            steps *= GROWTH
    return max(found / (steps - SHORT), 1e-4)


def _command(module: str, flags: Sequence[str], run_dir: Path, num_steps: int) -> list[str]:
    """A training run that is validated once, at its end."""
    once = (f"--run_dir={run_dir}", f"--num_steps={num_steps}", f"--validate_every={num_steps}")
    return [sys.executable, "-m", module, *flags, *once]


def run_to_end(command: Sequence[str]) -> float:
    """Run a command to its end and return its processor time in seconds.

    Ctrl-C reaches the command too, which writes a checkpoint before it ends.

    Raises:
        OSError: it ended with an error, which it has printed.
    """
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except KeyboardInterrupt:
        process.wait()
        raise
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise ChildProcessError(f"exit code {process.returncode} of {' '.join(command)}")
    return usage.ru_utime + usage.ru_stime
