"""Solvers: one scene, no training set, iterative; importing this package registers them all."""

from hsr_tf.solvers import adapt, blind_deep_prior, cnmf, csu, deep_prior, hysure, kernel_ls, nnsr, sylvester

__all__ = [
    "adapt",
    "blind_deep_prior",
    "cnmf",
    "csu",
    "deep_prior",
    "hysure",
    "kernel_ls",
    "nnsr",
    "sylvester",
]
