"""How single pictures become small, and large again: bicubic by any factor, a part of the picture at a time.

The pixel grid of a reduced picture follows from its top left corner: pixel i of the small one is centred at
(i + 0.5) s - 0.5 of the large one, as in `hsr_tf.physics.resize`. Reducing and then enlarging by the same
factor therefore moves nothing, whatever the factor, and what is cut off at the bottom and right stays right.
"""

from __future__ import annotations

import math

from hsr_tf import checks
from hsr_tf.physics.resize import BicubicResize, bicubic_enlarge, bicubic_reduce
from hsr_tf.typing import Tensor


def reduce_picture(x: Tensor, scale: float) -> Tensor:
    """Reduce (B, H, W, C) by `scale`, antialiased, to (B, ceil(H / scale), ceil(W / scale), C).

    Sizes must be known in advance but for a whole factor that divides them.

    Raises:
        ValueError: for a factor below one.
    """
    _require_scale(scale)
    whole = float(scale).is_integer()
    if whole and all(n is None or (n % int(scale) == 0 and n >= 2 * scale) for n in x.shape[1:3]):
        return bicubic_reduce(x, int(scale))
    return BicubicResize((x.shape[1], x.shape[2]), 1.0 / scale).forward(x)


def enlarge_picture(y: Tensor, scale: float, size: tuple[int, int] | None = None) -> Tensor:
    """Enlarge (B, h, w, C) by `scale` to (B, ceil(scale h), ceil(scale w), C), or what `size` leaves of it.

    Args:
        y: the small picture; its sizes must be known in advance but for a whole factor.
        scale: the factor, exactly.
        size: at most so many rows and columns from the top left, e.g. those before the reduction.

    Raises:
        ValueError: for a factor below one.
    """
    _require_scale(scale)
    if float(scale).is_integer() and all(n is None or n >= 2 for n in y.shape[1:3]):
        enlarged = bicubic_enlarge(y, int(scale))
    else:
        enlarged = BicubicResize((y.shape[1], y.shape[2]), float(scale)).forward(y)
    return enlarged if size is None else enlarged[:, : size[0], : size[1]]


def _require_scale(scale: float) -> None:
    checks.require(
        math.isfinite(scale) and scale >= 1,
        "scale",
        expected="a factor of at least 1",
        received=str(scale),
        remedy="give e.g. 2 or 2.5",
    )
