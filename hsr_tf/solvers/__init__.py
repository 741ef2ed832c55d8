"""Solvers: one scene, no training set, iterative; importing this package registers them all."""

from hsr_tf.solvers import kernel_ls, sylvester

__all__ = ["kernel_ls", "sylvester"]
