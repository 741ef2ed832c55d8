"""The physics of two cameras on one scene: linear operators, each with its adjoint, and noise."""
