"""Bands as text within a page: integers in equal steps, predicted from their neighbours, deflated, base64.

A value v becomes q = round((v - low) / step), 1 to 2^bits - 1, and 0 where there is none, so that what is
read back is within half a step of v. Each q is predicted by the median edge detector of LOCO-I (Weinberger,
Seroussi, Sapiro, IEEE Trans. Image Processing 9(8), 2000): from its left, upper and upper left neighbours a,
b, c it is min(a, b), max(a, b) or a + b - c. The differences d are folded (2 d, or -2 d - 1 for negative
ones) and stored as a plane of low and a plane of high bytes, in zlib's format, which browsers inflate by
themselves. Departure: no contexts and no Golomb codes; a browser has Huffman's and runs (matches further
back gain nothing here and take twice the time).
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hsr_tf.checks import require

FEWEST_BITS, MOST_BITS = 4, 15
BYTES_PER_GROUP = 3  # three bytes are four letters: bands of whole groups can be cut out of the text


@dataclass(frozen=True)
class Quantiser:
    """Equal steps from `low` on; `bits` is how many bits a value has."""

    low: float
    step: float
    bits: int

    @classmethod
    def of(cls, values: np.ndarray, bits: int) -> Quantiser:
        """Steps that cover the finite values."""
        require(
            FEWEST_BITS <= bits <= MOST_BITS,
            "bits",
            expected=f"{FEWEST_BITS} to {MOST_BITS}",
            received=str(bits),
            remedy="leave them out to have them chosen",
        )
        known = np.isfinite(values)
        low, high = (float(edge(values, where=known, initial=start)) for edge, start in _EDGES)
        if low > high:
            low = high = 0.0
        return cls(low, max((high - low) / (2**bits - 2), 1e-30), bits)

    def forward(self, values: np.ndarray) -> np.ndarray:
        """Values to uint16."""
        known = np.isfinite(values)
        scaled = (np.where(known, values, self.low).astype(np.float64) - self.low) / self.step
        return np.where(known, np.rint(scaled) + 1, 0).astype(np.uint16)

    def inverse(self, codes: np.ndarray) -> np.ndarray:
        """uint16 to values, NaN where there is none."""
        values = self.low + (codes.astype(np.float64) - 1) * self.step
        return np.where(codes == 0, np.nan, values)


_EDGES = ((np.min, np.inf), (np.max, -np.inf))


@dataclass(frozen=True, eq=False)
class CodedCube:
    """A cube (H, W, C) as text.

    Attributes:
        shape: H, W, C.
        quantiser: how values became integers.
        starts: where each band begins, in bytes, a multiple of three.
        sizes: how many bytes each band has.
        text: base64 of all bands.
    """

    shape: tuple[int, int, int]
    quantiser: Quantiser
    starts: tuple[int, ...]
    sizes: tuple[int, ...]
    text: str


def coded(cube: np.ndarray, *, bits: int) -> CodedCube:
    """A cube (H, W, C) as text.

    Args:
        cube: real numbers; what is not finite has no value.
        bits: 4 to 15 a value.
    """
    steps = Quantiser.of(cube, bits)
    bands = [packed(steps.forward(cube[..., band])) for band in range(cube.shape[-1])]
    padded = [band + bytes(-len(band) % BYTES_PER_GROUP) for band in bands]
    starts = np.concatenate([[0], np.cumsum([len(band) for band in padded])])[:-1]
    height, width, num_bands = cube.shape
    return CodedCube(
        (height, width, num_bands),
        steps,
        tuple(int(start) for start in starts),
        tuple(len(band) for band in bands),
        base64.b64encode(b"".join(padded)).decode("ascii"),
    )


def bits_a_value(cubes: Sequence[np.ndarray], *, bits: int) -> float:
    """How many bits of the file a value of these cubes takes, from a few bands of each."""
    spent = held = 0
    for cube in cubes:
        steps = Quantiser.of(cube, bits)
        for band in sorted({round(p) for p in np.linspace(0, cube.shape[-1] - 1, 3)}):
            spent += 8 * len(packed(steps.forward(cube[..., band])))
            held += cube[..., band].size
    return spent / held * 4 / 3 if held else 0.0


def packed(codes: np.ndarray) -> bytes:
    """Integers (H, W) below 2^15 as deflated bytes."""
    differences = codes.astype(np.int32) - _prediction(codes.astype(np.int32))
    folded = np.where(differences < 0, -2 * differences - 1, 2 * differences).astype(np.uint16)
    planes = (folded & 255).astype(np.uint8).tobytes() + (folded >> 8).astype(np.uint8).tobytes()
    packer = zlib.compressobj(6, zlib.DEFLATED, zlib.MAX_WBITS, 9, zlib.Z_RLE)
    return packer.compress(planes) + packer.flush()


def _prediction(codes: np.ndarray) -> np.ndarray:
    """The median edge detector; zero, the left or the upper neighbour at the border."""
    left, upper, corner = (np.zeros_like(codes) for _ in range(3))
    left[:, 1:], upper[1:], corner[1:, 1:] = codes[:, :-1], codes[:-1], codes[:-1, :-1]
    low, high = np.minimum(left, upper), np.maximum(left, upper)
    found = np.where(corner >= high, low, np.where(corner <= low, high, left + upper - corner))
    found[0], found[1:, 0] = left[0], upper[1:, 0]
    return found
