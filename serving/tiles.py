"""Large requests computed in tiles at the server, so that memory stays bounded.

A request for more than `MOST_WHOLE` estimated pixels runs tile by tile where the model's metadata record the
receptive field (`reach`) of an estimated pixel. The result is that of the whole, to 1e-4. Between two tiles
the server checks whether the client still waits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import grpc
import numpy as np

from hsr_tf.networks.model_info import DEFAULT, SINGLE_IMAGE, ModelInfo
from hsr_tf.tiling.region import even_parts
from hsr_tf.tiling.tiles import plan_tiles
from serving.refusal import Refusal
from serving.scenes import FusionServer, Limits, SceneTiles

MOST_WHOLE, TILE = 2**20, 512
NO_MESSAGE = 2**62
Arrays = Mapping[str, np.ndarray]
Compute = Callable[[Arrays, str], dict[str, np.ndarray]]


class Tiles(Protocol):
    """How one model is computed in tiles."""

    def cuts(self, inputs: Arrays) -> bool:
        """Whether a request is too large to be computed whole."""

    def compute(self, inputs: Arrays, compute: Compute) -> dict[str, np.ndarray]:
        """The outputs of `serving_default`; `compute` answers a signature of the model for one tile."""


def tiles_of(info: ModelInfo | None) -> Tiles | None:
    """The tiles of a model; None where it needs the whole image, or has no metadata."""
    if info is None or info.reach is None:
        return None
    if info.kind == SINGLE_IMAGE:
        return PictureTensorTiles(info.factor, info.reach)
    return SceneTensorTiles(FusionServer.of(info))


class PictureTensorTiles:
    """Tiles of networks of single images.

    Args:
        scale: estimated pixels per input pixel along one side.
        reach: input pixels on each side that an estimated pixel depends on.
    """

    def __init__(self, scale: int, reach: int) -> None:
        self._scale, self._reach = scale, reach

    def cuts(self, inputs: Arrays) -> bool:
        """See `Tiles`."""
        return _num_pixels(inputs["lr_image"], self._scale) > MOST_WHOLE

    def compute(self, inputs: Arrays, compute: Compute) -> dict[str, np.ndarray]:
        """See `Tiles`."""
        image = inputs["lr_image"]
        size, sharp_size = image.shape[1:3], (self._scale * image.shape[1], self._scale * image.shape[2])
        parts = [even_parts(length, TILE) for length in sharp_size]
        result: np.ndarray | None = None
        for tile in plan_tiles(size, parts, scale=self._scale, margin=self._reach):
            window = np.ascontiguousarray(image[:, *tile.window.slices])
            part = compute({**inputs, "lr_image": window}, DEFAULT)["estimate"]
            if result is None:
                result = np.empty((part.shape[0], *sharp_size, part.shape[-1]), part.dtype)
            result[:, *tile.out.slices] = part[:, *tile.kept.slices]
        assert result is not None
        return {"estimate": result}


class SceneTensorTiles:
    """Tiles of fusion models, as `serving.scenes` cuts them for a client.

    Args:
        model: sizes and receptive field.
    """

    def __init__(self, model: FusionServer) -> None:
        self._model = model

    def cuts(self, inputs: Arrays) -> bool:
        """See `Tiles`."""
        return _num_pixels(inputs["hr_msi"], 1) > MOST_WHOLE

    def compute(self, inputs: Arrays, compute: Compute) -> dict[str, np.ndarray]:
        """See `Tiles`; Refusal for images that do not fit one another."""
        tiles = SceneTiles(self._model, compute, Limits(NO_MESSAGE, TILE, num_in_flight=1))
        try:
            found = [
                tiles.fuse(lr_hsi, hr_msi, lambda num_done, num_tiles: None)
                for lr_hsi, hr_msi in zip(inputs["lr_hsi"], inputs["hr_msi"], strict=True)
            ]
        except ValueError as error:
            raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, str(error)) from error
        except OSError as error:
            raise Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error)) from error
        return {"estimate": np.stack(found)}


def _num_pixels(image: np.ndarray, scale: int) -> int:
    """Estimated pixels of (B, h, w, C)."""
    return image.shape[0] * image.shape[1] * image.shape[2] * scale**2
