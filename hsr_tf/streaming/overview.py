"""The transform of a pair that no memory holds, found on means over blocks of pixels of both images.

A registration looks at no more than 128 coarse pixels along one side, and at four to eight sharp pixels for
each; see `hsr_tf.registration.pyramid`. These means are taken as the files are read, strip by strip.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hsr_tf.findings import Finding
from hsr_tf.fusion.alignment import is_placed
from hsr_tf.fusion.cameras import ESTIMATE
from hsr_tf.fusion.registered import LEFT_TO_PSF, RECORDED, registration_finding
from hsr_tf.io.header import CubeHeader
from hsr_tf.io.pair_reading import open_pair
from hsr_tf.registration.pyramid import LARGEST_COARSE, reduced, sharp_step
from hsr_tf.registration.register import Registration, implied_transform, register, snapped
from hsr_tf.registration.transform import Transform
from hsr_tf.scene import Scene
from hsr_tf.streaming.files import Image
from hsr_tf.streaming.pair import room_gib
from hsr_tf.streaming.request import StreamRequest
from hsr_tf.tiling.region import Region, even_parts

MOST_ROWS = 256


@dataclass(frozen=True, eq=False)
class Overview:
    """What a registration of two files found.

    Attributes:
        transform: to be used, None where the images are paired as their sizes say.
        finding: the same for a user.
    """

    transform: Transform | None = None
    finding: Finding | None = None


def overview(request: StreamRequest) -> Overview:
    """Register the two files of a request; images that both have grids are not looked at.

    Raises:
        OSError: files that are missing, damaged or too large to be held.
    """
    paths, limit = (request.lr_hsi, request.hr_msi), request.memory_limit
    with open_pair(*paths, request.reading, max_gib=lambda: room_gib(limit)) as opened:
        images = Image("lr_hsi", opened.lr_hsi), Image("hr_msi", opened.hr_msi)
        headers = images[0].header, images[1].header
        if is_placed(headers[0]) and is_placed(headers[1]):
            return Overview()
        found = registered_files(*images)
    scale = round(found.implied.ratio)
    fits = headers[1].shape[:2] == tuple(scale * n for n in headers[0].shape[:2])
    if not found.accepted and not fits:
        return Overview()  # that sizes do not fit is the error to report
    known = request.psf == ESTIMATE or (request.psf is None and RECORDED in headers[0].metadata)
    taken_up = known and found.is_shift and found.gap <= LEFT_TO_PSF * max(2.0, scale / 4)
    used = found.accepted and (not fits or (found.moved and not taken_up))
    return Overview(found.transform if used else None, registration_finding(found, used=used))


def registered_files(lr_hsi: Image, hr_msi: Image) -> Registration:
    """`hsr_tf.register` of two open images, in their own pixels."""
    sizes = lr_hsi.header.shape[:2], hr_msi.header.shape[:2]
    implied = implied_transform(_unplaced(lr_hsi.header), _unplaced(hr_msi.header))
    lr_step = max(1, -(-max(sizes[0]) // LARGEST_COARSE))
    hr_step = sharp_step(implied.ratio, lr_step)
    if abs(implied.ratio - round(implied.ratio)) < 1e-9:  # whole steps keep the ratio of the sizes
        whole = round(implied.ratio) * lr_step
        hr_step = max(n for n in range(1, hr_step + 1) if whole % n == 0)
    small = register(_means(lr_hsi, lr_step), _means(hr_msi, hr_step))
    finer, coarser = np.diag([hr_step, hr_step, 1.0]), np.diag([1 / lr_step, 1 / lr_step, 1.0])
    transform = Transform(finer @ small.transform.matrix @ coarser, *sizes)
    transform = snapped(transform) if small.moved else implied
    gap = transform.largest_gap(implied)
    return replace(small, transform=transform, implied=implied, gap=gap)


def _unplaced(header: CubeHeader) -> Scene:
    """A scene of the size of an image, of one value."""
    return Scene(np.broadcast_to(np.float32(0), (*header.shape[:2], 1)))


def _means(image: Image, step: int) -> Scene:
    """Means over blocks of step x step pixels; those with a pixel without data hold none."""
    height, width = (n // step for n in image.header.shape[:2])
    good = image.header.good_bands
    if step == 1:
        cube, mask = image.with_mask(slice(0, height), slice(0, width))
        return Scene(cube, nodata_mask=mask, good_bands=good)
    means, hole = [], []
    for part in even_parts(height, max(1, MOST_ROWS // step)):
        rows = Region.of(part, slice(0, width)).scaled(step)
        cube, mask = image.with_mask(*rows.slices)
        values, valid = reduced(Scene(cube, nodata_mask=mask, good_bands=good), step)
        means.append(values.astype(np.float32))
        hole.append(~valid)
    missing = np.concatenate(hole)
    return Scene(np.concatenate(means), nodata_mask=missing if missing.any() else None)
