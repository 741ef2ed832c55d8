"""The physics of two cameras on one scene: every operator is linear or noise, and every linear one has its adjoint."""
