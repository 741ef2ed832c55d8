"""Solvers: one scene, no training set, iterative; importing this package registers them all."""
