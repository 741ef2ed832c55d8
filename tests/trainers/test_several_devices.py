"""Two devices train one model: MirroredStrategy, tried with two logical CPUs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys
from pathlib import Path
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from tests.trainers.test_fusion import tiny_plan, tiny_task
from trainers import _trainer, fusion

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
_trainer.device_strategy = lambda: strategy
trainer = fusion.FusionTrainer(tiny_task(loss="mse"), tiny_plan(Path(sys.argv[1])))
before = [w.numpy() for w in trainer.model.trainable_variables]
scores = trainer.train()
moved = max(np.abs(w.numpy() - b).max() for w, b in zip(trainer.model.trainable_variables, before))
print(strategy.num_replicas_in_sync, moved > 1e-5, np.isfinite(scores["psnr_bands"]))
"""


@pytest.mark.slow
def test_two_replicas_train_and_keep_a_checkpoint(tmp_path):
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split()[-3:] == ["2", "True", "True"]
    assert list((tmp_path / "checkpoints").glob("ckpt-*"))
