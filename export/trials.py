"""Test inputs of exported models: real inputs of the kind that a model was trained for, and the truth.

Pictures are degraded as the evaluation protocol degrades them (bicubic; for networks that find or take a blur
kernel, with Gaussians before), cubes are seen by the cameras that the model was trained for. The same makes
the patches that integers are calibrated with, so that calibration, test and training agree on what an input
is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from hsr_tf import checks
from hsr_tf.data.patches import PatchPlan, PatchSource
from hsr_tf.data.picture_cases import Case
from hsr_tf.data.pictures import find_pictures, load_picture
from hsr_tf.data.scenes import crop_to_multiple, find_scenes, load_scenes, top_left
from hsr_tf.data.white_level import in_unit_range
from hsr_tf.metrics.full_reference import luma_scores, psnr_bands
from hsr_tf.networks.cards import cameras_from_dict
from hsr_tf.networks.model_info import FUSION, SINGLE_IMAGE, ModelInfo
from hsr_tf.physics.reduction import enlarge_picture
from hsr_tf.scene import Scene

FACTORS, SIGMAS = (2, 3, 4), (0.2, 1.3, 2.6)
LARGEST_SCENE = 256
NUM_PICTURES, NUM_SCENES = 12, 4


@dataclass(frozen=True, eq=False)
class Trial:
    """One input with its truth.

    Attributes:
        name: of the picture or scene, and how it was degraded.
        inputs: by name, batches of one, float32.
        truth: (H, W, C).
        scale: pixels a given one along one side.
    """

    name: str
    inputs: dict[str, np.ndarray]
    truth: np.ndarray
    scale: int

    def psnr(self, estimate: np.ndarray) -> float:
        """The task's PSNR of an estimate (1, H, W, C): on Y for pictures, the mean over bands for cubes."""
        if self.truth.shape[-1] == 1:
            return luma_scores(self.truth, estimate[0], border=self.scale).psnr
        return float(psnr_bands(self.truth, np.clip(estimate[0], 0.0, 1.0)))


class Task:
    """Inputs of the kind that a model was made for.

    Args:
        info: metadata of the model.

    Raises:
        ValueError: for a fusion model without cameras in its metadata, or a network of colour pictures.
    """

    def __init__(self, info: ModelInfo) -> None:
        self.kind, self.scale, self._info = info.kind, info.scale, info
        self._factor = info.factor
        self._cameras = cameras_from_dict(info.cameras) if self.kind == FUSION else None
        checks.require(
            self.kind == SINGLE_IMAGE or self._cameras is not None,
            "saved_model",
            expected="the cameras that the model was trained for",
            received="none",
            remedy="export a model that was trained with trainers.fusion",
        )
        checks.require(
            self.kind == FUSION or info.num_channels == 1,
            "saved_model",
            expected="a network on luminance",
            received=f"{info.num_channels} channels",
            remedy="try it on pictures of your own with hsr upscale",
        )

    def _unit_scenes(self, paths: Sequence[Path]) -> Sequence[Scene]:
        """Cubes of a folder, in [0, 1]."""
        remedy = "divide them by their white level, e.g. with hsr convert --white_level=10000"
        return in_unit_range(load_scenes(paths), flag="data_dir, calibration_dir", remedy=remedy).scenes

    def trials(self, folder: str | os.PathLike[str]) -> Iterator[Trial]:
        """Whole pictures, or scenes of at most 256 x 256 pixels, of a folder."""
        if self.kind == FUSION:
            for scene in self._unit_scenes(find_scenes(folder, default="")):
                part = crop_to_multiple(top_left(scene, LARGEST_SCENE), self._factor)
                yield Trial(scene.name, self._seen(part.cube[None]), part.cube, self._factor)
            return
        for path in find_pictures(folder):
            luma = load_picture(path).luma.astype(np.float32) / 255.0
            for case in self._cases():
                truth = case.cut(luma)
                yield Trial(
                    f"{path.stem} {case.label}", self._degraded(truth[None], case), truth, int(case.scale)
                )

    def calibration(
        self,
        folder: str | os.PathLike[str],
        *,
        input_size: tuple[int, int] | None = None,
        num_patches: int = 12,
        patch_size: int = 96,
    ) -> Iterator[dict[str, np.ndarray]]:
        """Inputs made of patches of a folder's pictures or scenes, drawn by a seeded tf.data pipeline.

        Args:
            folder: of pictures or scenes.
            input_size: (h, w) of lr_image or lr_hsi for a file that takes no other; else by `patch_size`.
            num_patches: how many.
            patch_size: side of the sharp patches in pixels.

        Raises:
            ValueError: images that are smaller than that.
        """
        step = 12 if self.scale is None else self.scale
        wanted = patch_size if input_size is None else self._factor * max(input_size)
        source = PatchSource(self._training_images(folder), PatchPlan(-(-wanted // step) * step, 1))
        cases = [None] if self.kind == FUSION else self._cases()
        for number, (patch, _) in enumerate(source.dataset(0, num_patches)):
            sharp = patch.numpy()
            case = cases[number % len(cases)]
            inputs = (
                self._seen(sharp) if case is None else self._degraded(sharp.astype(np.float32) / 255.0, case)
            )
            yield inputs if input_size is None else self._cut(inputs, input_size)

    def _cut(self, inputs: dict[str, np.ndarray], size: tuple[int, int]) -> dict[str, np.ndarray]:
        """The upper left part of the images, (h, w) coarse pixels."""
        ends = {"lr_image": 1, "lr_hsi": 1, "hr_msi": self._factor}
        return {
            name: value[:, : ends[name] * size[0], : ends[name] * size[1]] if name in ends else value
            for name, value in inputs.items()
        }

    def _training_images(self, folder: str | os.PathLike[str]) -> list[np.ndarray]:
        """Some of a folder's images, evenly spread."""
        if self.kind == FUSION:
            return [
                scene.cube
                for scene in self._unit_scenes(_spread(find_scenes(folder, default=""), NUM_SCENES))
            ]
        return [load_picture(path).luma for path in _spread(find_pictures(folder), NUM_PICTURES)]

    def _cases(self) -> list[Case]:
        if self.scale is None:
            return [Case(factor) for factor in FACTORS]
        if self._info.finds_kernel or self._info.takes_kernel:
            return [Case(self.scale, sigma) for sigma in SIGMAS]
        return [Case(self.scale)]

    def _degraded(self, sharp: np.ndarray, case: Case) -> dict[str, np.ndarray]:
        small = case.degrade(sharp[0])
        size = (sharp.shape[1], sharp.shape[2])
        image = enlarge_picture(small, case.scale, size) if self.scale is None else small
        inputs = {"lr_image": np.asarray(image)}
        return inputs | ({"kernel": case.kernel[None]} if self._info.takes_kernel else {})

    def _seen(self, sharp: np.ndarray) -> dict[str, np.ndarray]:
        assert self._cameras is not None
        pair = self._cameras.simulate(tf.constant(sharp, tf.float32))
        return dict(zip(("lr_hsi", "hr_msi"), (np.asarray(image) for image in pair), strict=True))


def _spread(paths: Sequence[Any], number: int) -> list[Any]:
    places = np.linspace(0, len(paths) - 1, min(number, len(paths))).round().astype(int)
    return [paths[place] for place in places]
