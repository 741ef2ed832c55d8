"""Which pixels of a sharp image look alike: a sparse matrix that takes each pixel's mean over its likes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

Image = NDArray[np.float32]
REACH = 18
NUM_DIRECTIONS = 6


def neighbour_means(image: Image, num_neighbours: int, *, bandwidth: float, patch: int = 3) -> csr_matrix:
    """Weights (H W, H W) of the pixels most alike, rows summing to one.

    Patches are compared in their leading principal directions, with a pixel's position as a further
    coordinate: `REACH` pixels away counts as one `bandwidth`.

    Args:
        image: Y, (H, W, c).
        num_neighbours: of a pixel, itself among them.
        bandwidth: h of the weights exp(-d / h), d the mean squared difference of two patches.
        patch: side of the patches in pixels, odd.
    """
    height, width, _ = image.shape
    # Every pixel's patch in a row, scaled so that a squared distance is a mean: (H W, patch^2 c).
    reach, (num_rows, num_columns, _) = patch // 2, image.shape
    padded = np.pad(image, ((reach, reach), (reach, reach), (0, 0)), mode="symmetric")
    parts = [padded[i : i + num_rows, j : j + num_columns] for i in range(patch) for j in range(patch)]
    stacked = np.concatenate(parts, -1).reshape(num_rows * num_columns, -1)
    features = _leading(np.asarray(stacked / np.sqrt(stacked.shape[1]), np.float32))
    rows, columns = np.mgrid[:height, :width].reshape(2, -1)
    place = np.sqrt(bandwidth) / REACH * np.stack([rows, columns], 1)
    points = np.concatenate([features, place], 1).astype(np.float64)
    count = min(num_neighbours, height * width)
    tree = cKDTree(points, balanced_tree=False, compact_nodes=False)
    distances, found = tree.query(points, count, eps=0.5, workers=2)
    distances, found = distances.reshape(-1, count), found.reshape(-1, count)
    weights = np.exp(-np.square(distances) / bandwidth)
    weights /= weights.sum(1, keepdims=True)
    starts = np.arange(0, count * height * width + 1, count)
    shape = (height * width, height * width)
    return csr_matrix((weights.astype(np.float32).ravel(), found.ravel(), starts), shape=shape)


def _leading(rows: Image) -> Image:
    centred = rows - rows.mean(0)
    _, vectors = np.linalg.eigh((centred.T @ centred).astype(np.float64))
    return np.asarray(centred @ vectors[:, ::-1][:, :NUM_DIRECTIONS].astype(np.float32))
