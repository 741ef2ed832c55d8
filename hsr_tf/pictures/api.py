"""Enlarging a picture by any factor: Y of BT.601 by a trained network, colour and alpha bicubic.

The network is chosen here and made the `PictureModel` of `hsr_tf.pictures.tiles`, which does the rest.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass

import numpy as np

from hsr_tf import checks, methods
from hsr_tf.networks.image_network import ImageNetwork
from hsr_tf.networks.image_selection import loaded, select_image_network
from hsr_tf.pictures.tiles import PictureModel, enlarge, require_scale
from hsr_tf.pictures.tiles import TileControls as TileControls

BICUBIC = "bicubic"
IMAGE_NETWORK = "image_network"


@dataclass(frozen=True, eq=False)
class Upscaled:
    """An enlarged picture.

    Attributes:
        image: of the type and number of axes of the picture given, clipped to its range.
        kernel: (k, k) blur that the network found, mean over the tiles; None where it looks for none.
        seconds: time taken, loading the network left out.
        weights: name of the trained model, None for the method "bicubic".
    """

    image: np.ndarray
    kernel: np.ndarray | None
    seconds: float
    weights: str | None


@dataclass(frozen=True, eq=False)
class NamedNetwork:
    """A trained network and the name of its weights."""

    network: ImageNetwork
    name: str


def upscale(
    image: np.ndarray,
    scale: float,
    *,
    method: str = "vdsr",
    weights: str | os.PathLike[str] | None = None,
    kernel: np.ndarray | None = None,
    controls: TileControls | None = None,
) -> Upscaled:
    """Enlarge a picture.

    Networks without a factor of their own (VDSR, SRCNN) improve the bicubically enlarged picture. Those that
    enlarge themselves run at the least factor that is enough.

    Args:
        image: (H, W) or (H, W, C), uint8, uint16 or floating point in [0, 1]; C is 1 (gray), 2 (gray, alpha),
            3 (RGB) or 4 (RGB, alpha). Gray counts as R = G = B.
        scale: the factor, at least 1; 2.5 makes 25 x 18 pixels of 10 x 7.
        method: "bicubic", or a network of single images (`hsr_tf.methods.names("image_network")`).
        weights: folder of a trained model; None for the one that comes with the package.
        kernel: (k, k) blur of the picture, odd, for networks that need it and no others.
        controls: size of tiles, memory limit, progress.

    Returns:
        The picture of ceil(scale H) x ceil(scale W) pixels, and the kernel that was found.

    Raises:
        ValueError: an unknown method, a factor below 1, weights that are missing or do not fit, a kernel that
            is missing or of no use, an image of another kind.
        OSError: damaged weights, a result beyond the memory limit.
    """
    chosen = usable_network(scale, method=method, weights=weights, kernel=kernel)
    start = time.perf_counter()
    model = None if chosen is None else picture_model(chosen.network, kernel)
    found = enlarge(image, scale, model=model, controls=controls)
    return Upscaled(
        image=found.image,
        kernel=found.kernel,
        seconds=time.perf_counter() - start,
        weights=None if chosen is None else chosen.name,
    )


def usable_network(
    scale: float,
    *,
    method: str,
    weights: str | os.PathLike[str] | None = None,
    kernel: np.ndarray | None = None,
) -> NamedNetwork | None:
    """The network that `upscale` runs with these arguments, None for the method "bicubic".

    Networks are kept, so that asking before the pictures are read costs nothing.

    Raises:
        ValueError, OSError: as `upscale`, for these arguments.
    """
    require_scale(scale)
    require_method(method, weights, kernel)
    if method == BICUBIC:
        return None
    card = select_image_network(method, weights, scale)
    network = loaded(card)
    kernel_input(network, kernel)
    return NamedNetwork(network, card.folder.name)


def picture_model(network: ImageNetwork, kernel: np.ndarray | None = None) -> PictureModel:
    """The network as whoever estimates windows; one window at a time, whoever asks.

    Raises:
        ValueError: a kernel that is missing, too large or of no use.
    """
    blur, turn = kernel_input(network, kernel), threading.Lock()

    def run(lr_image: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        with turn:
            outputs = network.predict_on_batch({"lr_image": lr_image, **blur})
        found = np.asarray(outputs["kernel"])[0] if "kernel" in outputs else None
        return np.asarray(outputs["estimate"]), found

    return PictureModel(network.spec.scale, network.spec.num_channels, network.reach, run)


def require_method(
    method: str, weights: str | os.PathLike[str] | None = None, kernel: np.ndarray | None = None
) -> None:
    """Refuse a method that does not enlarge single pictures, and what bicubic enlargement has no use for.

    Raises:
        ValueError: in one line, with the known names.
    """
    checks.require_choice("method", method, [BICUBIC, *methods.names(IMAGE_NETWORK)])
    for name, given in (("weights", weights), ("kernel", kernel)):
        checks.require(
            method != BICUBIC or given is None,
            name,
            expected="none for bicubic",
            received="some",
            remedy="leave it out, or choose a network",
        )


def kernel_input(network: ImageNetwork, kernel: np.ndarray | None) -> dict[str, np.ndarray]:
    """The input `kernel` (1, k, k), with zeros around a smaller one; nothing for networks without it.

    Raises:
        ValueError: a kernel that is missing, too large, of even sides or of no use.
    """
    side = next((given.shape[-1] for given in network.inputs if given.name == "kernel"), None)
    checks.require(
        (side is not None) == (kernel is not None),
        "kernel",
        expected="none, as this method is not given the blur" if side is None else "the blur of the picture",
        received="none" if kernel is None else "one",
        remedy="leave it out" if side is None else "give it, or use a method that finds it",
    )
    if kernel is None or side is None:
        return {}
    found = np.asarray(kernel, dtype=np.float32)
    checks.require(
        found.ndim == 2 and all(n % 2 == 1 and n <= side for n in found.shape) and found.sum() > 0,
        "kernel",
        expected=f"odd sides of at most {side} and a positive sum",
        received=f"{found.shape}, sum {found.sum():.3g}",
        remedy="crop or centre it",
    )
    margins = [((side - n) // 2, (side - n) // 2) for n in found.shape]
    return {"kernel": np.pad(found / found.sum(), margins)[None]}
