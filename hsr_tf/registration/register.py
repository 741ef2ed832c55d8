"""Where one image lies on another: found, refined, and accepted only beyond chance.

1. As the sizes or the grids of the files say, refined nearby (`refinement`). Most pairs end here.
2. Where that matches no better than chance: a search over all rotations, mirror images, shifts and ratios
   (`search`), the best places refined.
3. A transform is accepted where the match is beyond chance, in all parts of the images (`acceptance`).
4. A photograph's values are not proportional to light, and a stretch then explains a part of what the tone
   curve leaves unexplained. Where the sharp image to the power of 2.2 leaves much less, that is looked at.
5. The model of motion (shift, similarity, affine, perspective) is the simplest that explains as much as a
   richer one, by an information criterion.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hsr_tf.geo.coordinates import pixel_map
from hsr_tf.registration.acceptance import (
    FAR_CERTAIN,
    FEWEST_SHARED,
    NEAR,
    NEAR_CERTAIN,
    Place,
    best_place,
    outstanding,
)
from hsr_tf.registration.displacement import local_displacement
from hsr_tf.registration.match import FEWEST_PIXELS, NO_MATCH, Match
from hsr_tf.registration.motion import MODELS, SHIFT, SIMILARITY
from hsr_tf.registration.pyramid import evidence, sharp_step
from hsr_tf.registration.refinement import Fit, Refinement
from hsr_tf.registration.search import Search
from hsr_tf.registration.transform import Transform, is_usable
from hsr_tf.scene import Scene
from hsr_tf.typing import Array

COARSE_SIDE, COARSE_STEP = 24, 6.0
SMALLEST_SIDE, SMALLEST_SEARCHED = 5, 8
LARGEST_STRETCH, KEPT_PIXELS = 1.25, 0.8
MOST_CANDIDATES, SMALLEST_RATIO, LARGEST_RATIO, NEXT_RATIO = 5, 0.4, 1.6, 1.1
PENALTY = 4.0
SMALLEST_GAP, SMALLEST_COARSE_GAP, SNAP = 0.1, 0.02, 0.05
NEAR_STEPS, FAR_STEPS, LAST_STEPS, HOPELESS = 15, 12, 3, 0.5
EDGE, SMALLEST_WITH_EDGE = 2, 12
GAMMA, LEFT_BY_CURVE, MUCH_LESS = 2.2, 3e-4, 0.7


PARAMETERS = dict(zip(MODELS, (2, 4, 6, 8), strict=True))


@dataclass(frozen=True, eq=False)
class Registration:
    """What was found.

    Attributes:
        transform: from the coarse to the sharp pixels; the one that sizes or grids imply where none is
            accepted or none is clearly better.
        match: how well the images match there.
        accepted: whether that is beyond chance.
        moved: whether the transform differs from what sizes or grids imply, by more than a tenth of a sharp
            pixel, a fiftieth of a coarse one, and by more than noise.
        is_shift: whether a shift alone explains it.
        gap: by how many sharp pixels it differs at most.
        implied: the transform that sizes or grids imply.
        unexplained: share of the variance of the sharp image, seen through the coarse camera, that no
            response explains.
    """

    transform: Transform
    match: Match
    accepted: bool
    moved: bool
    is_shift: bool
    gap: float
    implied: Transform
    unexplained: float

    @property
    def line(self) -> str:
        """The outcome in words."""
        figures = f"correlation {self.match.correlation:.2f}"
        if not self.accepted:
            return f"no place was found where the images match beyond chance ({figures} at best)"
        return f"hr_msi {self.transform.line} ({figures})" if self.moved else f"as they are ({figures})"


def register(
    lr_hsi: Scene, hr_msi: Scene, *, search: bool = True, displacement: bool = False
) -> Registration:
    """Find the transform from the pixels of a coarse cube to those of a sharp image.

    Args:
        lr_hsi: X, (h, w, C).
        hr_msi: Y, (H, W, c), of more or less the same ground: rotated, mirrored, shifted, with another ratio
            or field of view.
        search: whether to look everywhere where the images do not match as they are.
        displacement: whether to look for a smooth local displacement as well.

    Returns:
        The registration; one of another place is not `accepted`.
    """
    implied = implied_transform(lr_hsi, hr_msi)
    nothing = Registration(implied, NO_MATCH, False, False, False, 0.0, implied, 1.0)
    if min(lr_hsi.shape[:2]) < SMALLEST_SIDE or min(hr_msi.shape[:2]) < 2 * SMALLEST_SIDE:
        return nothing
    masks = lr_hsi.nodata_mask, hr_msi.nodata_mask
    if any(mask is not None and mask.all() for mask in masks):
        return nothing
    pair = evidence(lr_hsi, hr_msi, implied.ratio)
    if pair.valid.sum() < FEWEST_PIXELS or not (pair.components.shape[2] and pair.channels.shape[2]):
        return nothing
    search &= min(pair.size) >= SMALLEST_SEARCHED and bool(pair.valid.sum() >= FEWEST_SHARED)
    refinement = Refinement(pair)
    near = _refined(refinement, pair.from_files(implied.matrix), NEAR_STEPS)
    near = near and _in_linear_light(near, lr_hsi, hr_msi)
    best, accepted = near, near is not None and near.is_near(implied.matrix) and near.passes(NEAR)
    if not (accepted and (not search or (near is not None and near.passes(NEAR_CERTAIN)))):
        places = _searched(lr_hsi, hr_msi, refinement, implied) if search else []
        if near is not None and (near.is_near(implied.matrix) or near.shares_enough()):
            places.append(near)
        far = outstanding(places)
        if far is not None or not accepted:
            best, accepted = far or best_place(places), far is not None
            best = best and _in_linear_light(best, lr_hsi, hr_msi)
    if best is None:
        return nothing
    if not accepted:
        return Registration(implied, best.match, False, False, False, 0.0, implied, best.fit.share)
    settled = _settled(best, implied, displacement=displacement)
    # Images that share a few straight lines alone make pixels much longer than the sizes imply, or slip away.
    sides = np.linalg.svd(settled.transform.slope @ np.linalg.inv(implied.slope), compute_uv=False)
    lost = settled.match.pixels < KEPT_PIXELS * best.match.pixels
    if lost or sides[0] > LARGEST_STRETCH * sides[1]:
        return replace(nothing, match=best.match, unexplained=best.fit.share)
    return settled


def implied_transform(lr_hsi: Scene, hr_msi: Scene) -> Transform:
    """The transform that the grids of two images imply, else their sizes.

    Without grids the ratio is that of the longer sides where the images are of different shape.
    """
    sizes = lr_hsi.shape[:2], hr_msi.shape[:2]
    coarse, sharp = lr_hsi.georeference, hr_msi.georeference
    if coarse is not None and sharp is not None and coarse != sharp:
        mapping = pixel_map(coarse, sharp)
        middle = np.array(sizes[0], float) / 2
        slope, centre = mapping.slope(sizes[0]), mapping.to_sharp(middle[None])[0]
        matrix = np.eye(3)
        matrix[:2, :2], matrix[:2, 2] = slope, centre - slope @ middle
        if np.isfinite(matrix).all() and abs(np.linalg.det(matrix)) > 1e-12:
            return Transform(matrix, *sizes)
    rows, cols = (large / small for large, small in zip(sizes[1], sizes[0], strict=True))
    ratio = rows if abs(rows / cols - 1) < 1e-3 else float(np.sqrt(rows * cols))
    matrix = np.diag([ratio, ratio, 1.0])
    matrix[:2, 2] = (np.array(sizes[1]) - ratio * np.array(sizes[0])) / 2
    return Transform(matrix, *sizes)


def _refined(refinement: Refinement, start: Array, steps: int) -> Place | None:
    """A similarity near a start, and how well it matches; from a shift where that is far from converging."""
    first = refinement.fit(start, SHIFT, steps=steps)
    if first is None:
        return None
    fits = [first, refinement.fit(first.matrix, SIMILARITY, width=first.width, steps=steps)]
    return best_place(Place.of(refinement, fit) for fit in fits if fit is not None)


def _in_linear_light(place: Place, lr_hsi: Scene, hr_msi: Scene) -> Place:
    """The same place, refined without a tone curve where that leaves much less unexplained."""
    if place.fit.share < LEFT_BY_CURVE:
        return place
    light = replace(hr_msi, cube=np.power(np.maximum(hr_msi.cube, 0), GAMMA, dtype=np.float32))
    ratio = float(np.sqrt(abs(np.linalg.det(place.matrix[:2, :2]))))
    pair = evidence(lr_hsi, light, ratio)
    if not pair.channels.shape[2]:
        return place
    closer = _refined(Refinement(pair), pair.from_files(place.matrix), NEAR_STEPS)
    return place if closer is None or closer.fit.share > MUCH_LESS * place.fit.share else closer


def _roughly_refined(refinement: Refinement, start: Array) -> Place | None:
    """A similarity near a place of the search, or a shift that explains hardly anything."""
    first = refinement.fit(start, SHIFT, steps=FAR_STEPS, rough=True)
    if first is None:
        return None
    fits = [first]
    if first.share < HOPELESS:
        closer = refinement.fit(first.matrix, SIMILARITY, steps=FAR_STEPS, rough=True)
        last = closer and refinement.fit(closer.matrix, SIMILARITY, steps=LAST_STEPS)
        fits += [fit for fit in (closer, last) if fit is not None]
    return best_place(Place.of(refinement, fit) for fit in fits)


def _searched(lr_hsi: Scene, hr_msi: Scene, refinement: Refinement, implied: Transform) -> list[Place]:
    """The best places of all, refined, up to the first that is certain; with ratios near the implied one
    first."""
    pair, places = refinement.pair, list[Place]()
    ratio = float(np.sqrt(abs(np.linalg.det(pair.from_files(implied.matrix)[:2, :2]))))
    reduced = {pair.hr_step: refinement}
    first, second = Search(pair), Search(pair, COARSE_SIDE, COARSE_STEP)
    several = second.ratios(SMALLEST_RATIO * ratio, LARGEST_RATIO * ratio).tolist()
    nearby = [ratio, ratio / NEXT_RATIO, ratio * NEXT_RATIO]
    for stage, ratios in ((first, nearby), (second, several)):
        for one in stage.candidates(ratios, stage.angles().tolist(), most=MOST_CANDIDATES):
            matrix = pair.to_files(one.matrix)
            there = float(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))
            step = sharp_step(there, pair.lr_step)
            if step not in reduced:
                reduced[step] = Refinement(evidence(lr_hsi, hr_msi, there))
            nearer = reduced[step].pair
            found = _roughly_refined(reduced[step], nearer.from_files(matrix))
            if found is not None and found.shares_enough():
                places.append(found)
                if found.passes(FAR_CERTAIN):
                    return places
    return places


def _settled(found: Place, implied: Transform, *, displacement: bool) -> Registration:
    """The simplest model of motion that explains as much as a richer one, or the implied transform."""
    pair, refinement = found.pair, Refinement(found.pair)
    start = pair.from_files(implied.matrix)
    chosen: Fit | None = None
    unmoved = _judged(refinement, start, found.fit.width)
    model = None
    for name in MODELS:
        begin = found.fit.matrix if name != SHIFT else _shift_start(found.fit.matrix, start)
        fit = refinement.fit(
            begin if chosen is None or name == SIMILARITY else chosen.matrix, name, width=found.fit.width
        )
        if fit is None or not is_usable(pair.to_files(fit.matrix), implied.lr_size):
            continue
        if chosen is None or _explains_more(
            refinement, fit, chosen, PARAMETERS[name] - PARAMETERS[model or SHIFT]
        ):
            chosen, model = fit, name
    assert chosen is not None
    transform = snapped(Transform(pair.to_files(chosen.matrix), implied.lr_size, implied.hr_size))
    field = local_displacement(refinement, pair, chosen) if displacement else None
    if field is not None:
        transform = replace(transform, matrix=pair.to_files(chosen.matrix), displacement=field)
    is_shift = model == SHIFT or bool(np.allclose(transform.slope, implied.slope, rtol=0, atol=1e-9))
    gap = transform.largest_gap(implied)
    moved = gap >= max(SMALLEST_GAP, SMALLEST_COARSE_GAP * transform.ratio) and (
        field is not None
        or unmoved is None
        or _explains_more(refinement, chosen, unmoved, PARAMETERS[model or SHIFT])
    )
    kept = transform if moved else implied
    return Registration(
        kept,
        refinement.match(chosen),
        True,
        moved,
        is_shift and field is None,
        gap,
        implied,
        chosen.share,
    )


def _shift_start(matrix: Array, start: Array) -> Array:
    """A transform with the slope of the implied one and the middle of another."""
    moved = start.copy()
    moved[:2, 2] = matrix[:2, 2]
    return moved


def _judged(refinement: Refinement, matrix: Array, width: float) -> Fit | None:
    """A transform as it is, with the PSF's width near `width` that suits it best."""
    fits = [refinement.judge(matrix, width * factor) for factor in (0.85, 1.0, 1.18)]
    return min((fit for fit in fits if fit is not None), key=lambda fit: fit.share, default=None)


def _explains_more(refinement: Refinement, richer: Fit, simpler: Fit, num_parameters: int) -> bool:
    """Whether more parameters pay: n c log(e0 / e1) > 4 k log n, with e the weighted residual of the n pixels
    that both see.

    Stricter than the Bayesian information criterion by a factor of four: residuals are not independent.
    Pixels along the edge of a coarse cube that is not small do not count: a border that another program
    invented looks like a stretch.
    """
    both = np.minimum(richer.weights, simpler.weights)
    if min(both.shape) >= SMALLEST_WITH_EDGE:
        both = np.pad(both[EDGE:-EDGE, EDGE:-EDGE], EDGE)
    number = max(int((both > 0).sum()), 8)
    shares = [max(refinement.share(fit, both), 1e-12) for fit in (simpler, richer)]
    gain = number * min(richer.num_channels, 3) * np.log(shares[0] / shares[1])
    return bool(gain > PENALTY * max(num_parameters, 1) * np.log(number))


def snapped(transform: Transform) -> Transform:
    """The transform itself, or the one next to it that maps pixels to pixels: a whole ratio, a turn by a
    multiple of 90 degrees or a mirror image, and a whole shift."""
    slope = transform.slope
    whole = max(1, round(transform.ratio))
    turned = whole * np.round(slope / whole)
    if abs(abs(np.linalg.det(turned)) - whole**2) > 1e-9:
        return transform
    middle = np.array(transform.lr_size, float) / 2
    centre = transform.to_sharp(middle[None])[0]
    offset = np.round(centre - turned @ middle)
    matrix = np.eye(3)
    matrix[:2, :2], matrix[:2, 2] = turned, offset
    near = replace(transform, matrix=matrix)
    return near if near.largest_gap(transform) <= SNAP else transform
