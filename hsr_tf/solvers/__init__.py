"""Solvers: one scene, no training set, iterative; importing this package registers them all."""

from hsr_tf.solvers import cnmf, csu, deep_prior, hysure, kernel_ls, nnsr, sylvester

__all__ = ["cnmf", "csu", "deep_prior", "hysure", "kernel_ls", "nnsr", "sylvester"]
