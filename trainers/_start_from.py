"""Networks that start from trained ones: whole, or those layers that another scale has too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hsr_tf import checks
from hsr_tf.networks.fusion_model import FusionConfig, FusionModel
from hsr_tf.networks.ms_ssfnet import counterpart
from hsr_tf.networks.pretrained import load_model
from hsr_tf.physics.observation import ObservationModel
from trainers._hosts import join_hosts, told_by_chief
from trainers._run import has_checkpoint

# Its layers belong to sizes, so that networks of several scales share them; `prior` is one of them.
GROWING, PRIOR = "ms_ssfnet", "prior"


def require_same(folder: str, trained: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse a trained network whose weights, by path, are not those that are wanted.

    Raises:
        InputError: names one of the weights that differ.
    """
    other = sorted(
        path
        for path in {*trained, *wanted}
        if path not in trained or path not in wanted or trained[path].shape != wanted[path].shape
    )
    checks.require(
        not other,
        "start_from",
        expected="a model of the same network and options",
        received=f"{folder}, other in {len(other)} weights{', such as ' + other[0] if other else ''}",
        remedy="give the options that it was trained with",
    )


def started_model(
    config: FusionConfig, cameras: ObservationModel, start_from: str | None, run_dir: Path
) -> FusionModel:
    """A model with fresh weights, or those of a trained one where the run has no checkpoint yet.

    Args:
        config, cameras: of the model.
        start_from: folder of the trained one, or None.
        run_dir: of the run.
    """
    model = FusionModel(config, cameras)
    resumes = bool(told_by_chief(join_hosts(), has_checkpoint(run_dir)))
    if start_from is not None and not resumes:
        left = take_fusion_weights(model, start_from)
        if left:
            print(f"start_from: all layers but {', '.join(left)}")
    return model


def take_fusion_weights(model: FusionModel, folder: str) -> list[str]:
    """Give a fusion model the weights of a trained one.

    Args:
        model: that is to be trained.
        folder: of the trained model, as `trainers.fusion` saves it.

    Returns:
        Names of the layers that another scale has not, or has with other widths; they stay as they are.

    Raises:
        InputError: another network; of the same scale, other options; of another scale, nothing in common.
    """
    trained = load_model(folder)
    alike = (model.config.method, *((GROWING,) if model.config.method == PRIOR else ()))
    checks.require(
        trained.config.method in alike and trained.config.base == model.config.base,
        "start_from",
        expected=f"a model of {' or '.join(alike)} over {model.config.base}",
        received=f"{folder}, {trained.config.method} over {trained.config.base}",
        remedy="give one of the same network and base",
    )
    scale, other_scale = model.network.spec.scale, trained.network.spec.scale
    if scale == other_scale:
        require_same(folder, _by_path(trained.network.weights), _by_path(model.network.weights))
        model.network.set_weights(trained.network.get_weights())
        return []
    checks.require(
        model.config.method in (GROWING, PRIOR),
        "start_from",
        expected=f"a model of scale {scale}",
        received=f"{folder}, scale {other_scale}",
        remedy=f"give one of that scale; only {GROWING} has layers that several scales share",
    )
    known = {layer.name: layer for layer in trained.network.layers}
    left = []
    for layer in (layer for layer in model.network.layers if layer.weights):
        other = known.get(counterpart(layer.name, scale, other_scale))
        if other is None or _shapes(other.weights) != _shapes(layer.weights):
            left.append(layer.name)
        else:
            layer.set_weights(other.get_weights())
    checks.require(
        len(left) < sum(bool(layer.weights) for layer in model.network.layers),
        "start_from",
        expected="a model with layers of the same widths at full size",
        received=f"{folder}, no layer alike",
        remedy="give --features whose last numbers are those of the trained model",
    )
    return left


def _by_path(weights: Iterable[Any]) -> dict[str, Any]:
    return {weight.path: weight for weight in weights}


def _shapes(weights: Iterable[Any]) -> list[tuple[int, ...]]:
    return [tuple(weight.shape) for weight in weights]
