"""IKC's estimator, trained by one optimiser step per batch, or by one per correction as its authors do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops

from hsr_tf.networks.ikc import IKC
from hsr_tf.networks.image_layers import KernelEncode
from hsr_tf.networks.pretrained import save_model
from hsr_tf.networks.srresnet import CODE_LENGTH
from hsr_tf.typing import Tensor
from trainers._run import RunPlan
from trainers.blind_sr import BlindTask, BlindTrainer

SIZE = {"num_corrections": 4, "num_blocks": 2, "features": 16, "published_layers": True}


class StepPerCorrection(BlindTrainer):
    """A step of the optimiser after the predictor and after every correction of a batch."""

    model: IKC

    def __init__(self, task: BlindTask, plan: RunPlan) -> None:
        super().__init__(task, plan)
        self._encode = KernelEncode(CODE_LENGTH)
        self._encode.build()

    def _step(self, patches: Tensor, index: Tensor) -> Tensor:
        del index
        truth = self.observe(tf.cast(patches, tf.float32) / 255.0)
        true, parts = self._encode(truth.kernel), self.model._shared
        total: Any = 0.0
        code = self._taken(lambda: parts._predicted(truth.lr_image), true, "predictor")
        for _ in range(int(self.model.get_config()["num_corrections"])):
            start, picture = code, parts.sharpened(truth.lr_image, code)
            code = self._taken(_correction(parts, picture, start), true, "corrector")
            total += tf.reduce_mean(tf.square(code - true))
        return total

    def _taken(self, made: Callable[[], Tensor], true: Tensor, part: str) -> Tensor:
        """A step of a part by the squared error of its code; the code from before it."""
        weights = [weight.value for weight in self.model.weights_of(part)]
        with tf.GradientTape() as tape:
            code = made()
            loss = ops.mean(ops.square(code - true))
        self.optimizer.apply(tape.gradient(loss, weights), self.model.weights_of(part))
        return tf.stop_gradient(code)


def _correction(parts: object, picture: Tensor, start: Tensor) -> Callable[[], Tensor]:
    return lambda: start + parts.correction(picture, start)  # type: ignore[attr-defined]


def estimator_scores(task: BlindTask, plan: RunPlan, folder: Path) -> Iterator[tuple[str, dict[str, float]]]:
    """Train SFT-MD, and the estimator over it in both ways on as many batches; mean scores of each."""
    image = replace(task, network=replace(task.network, part="image"))
    trainer = BlindTrainer(image, replace(plan, run_dir=folder / "image"))
    trainer.train()
    start = save_model(trainer.model, folder / "model", {})
    network = replace(task.network, part="estimator", start_from=str(start))
    ways = {"one step per batch": BlindTrainer, "one step per correction": StepPerCorrection}
    for name, kind in ways.items():
        run = replace(plan, run_dir=folder / name.replace(" ", "_"), schedule="constant", learning_rate=5e-4)
        scores = kind(replace(task, network=network), run).train()
        kinds = ("psnr", "kernel_l1")
        yield (
            name,
            {word: float(np.mean([v for k, v in scores.items() if k.startswith(word)])) for word in kinds},
        )
