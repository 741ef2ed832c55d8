"""Solvers: one scene, no training set, iterative; importing this package registers them all."""

from hsr_tf.solvers import sylvester

__all__ = ["sylvester"]
