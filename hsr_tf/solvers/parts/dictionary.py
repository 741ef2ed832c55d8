"""Non-negative sparse dictionaries of spectra: X ~ B D with B >= 0 sparse, D >= 0 of unit rows.

As W. Dong et al., IEEE TIP 25(5), 2016, learn theirs: sparse codes for the atoms at hand, then each atom in
turn by the residual that it leaves, clipped at zero and brought to unit length.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
NUM_CODING_STEPS = 20


def learn_dictionary(
    spectra: Matrix, num_atoms: int, *, sparsity: float, num_rounds: int, seed: int
) -> tuple[Matrix, Matrix]:
    """Dictionary and codes of a set of spectra.

    Args:
        spectra: (N, C).
        num_atoms: K; fewer where there are fewer spectra that are not zero.
        sparsity: weight of the codes' sum beside the squared residual.
        num_rounds: of coding and updating.
        seed: of the spectra that the atoms start from.

    Returns:
        The dictionary (K, C) and the codes (N, K).
    """
    rng = np.random.default_rng(seed)
    bright = np.flatnonzero(np.linalg.norm(spectra, axis=1) > 1e-6)
    chosen = rng.permutation(bright)[:num_atoms] if len(bright) else np.zeros(1, int)
    rows = np.maximum(spectra[chosen], 0.0)
    atoms = np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6), np.float32)
    codes = np.zeros((len(spectra), len(atoms)), np.float32)
    for _ in range(num_rounds):
        codes = sparse_codes(spectra, atoms, codes, sparsity=sparsity)
        # Each atom in turn, in place; one that no code uses stays.
        overlaps, targets = codes.T @ codes, codes.T @ spectra
        for k in range(len(atoms)):
            if overlaps[k, k] <= 1e-12:
                continue
            atom = np.maximum(atoms[k] + (targets[k] - overlaps[k] @ atoms) / overlaps[k, k], 0.0)
            length = np.linalg.norm(atom)
            if length > 1e-6:
                atoms[k] = atom / length
    return atoms, sparse_codes(spectra, atoms, codes, sparsity=sparsity)


def sparse_codes(spectra: Matrix, atoms: Matrix, start: Matrix, *, sparsity: float) -> Matrix:
    """argmin_B |X - B D|^2 + sparsity |B|_1 with B >= 0, by accelerated proximal gradients from `start`."""
    gram, seen = atoms @ atoms.T, spectra @ atoms.T
    step = 1.0 / max(float(np.linalg.eigvalsh(gram.astype(np.float64))[-1]), 1e-12)
    codes, ahead, momentum = start, start, 1.0
    for _ in range(NUM_CODING_STEPS):
        before = codes
        codes = np.maximum(ahead - step * (ahead @ gram - seen + sparsity / 2), 0.0)
        momentum, last = 0.5 + np.sqrt(0.25 + momentum**2), momentum
        ahead = codes + np.float32((last - 1.0) / momentum) * (codes - before)
    return np.asarray(codes, np.float32)
