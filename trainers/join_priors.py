"""Join two networks of `prior` that were trained apart: `python -m trainers.join_priors`.

    python -m trainers.join_priors --first=runs/prior/model --second=runs/other/model --output_dir=runs/joined

Either may be MS-SSFNet of the reference cameras over `spectral_ls` (31 bands, a Nikon D700, x8): it is the
same network. The first one's estimate is then followed as far as the second agrees, region by region
(`hsr_tf.networks.agreeing`). The model's record holds those of both.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from absl import flags

from hsr_tf import checks
from hsr_tf.console.flag_apps import run_app
from hsr_tf.networks.fusion_model import FusionModel
from hsr_tf.networks.pretrained import load_model, read_card, save_model
from hsr_tf.networks.prior import ACTIVATION, FEATURES, SECOND, UPSAMPLING_KERNEL
from hsr_tf.networks.reference_view import CELL, NUM_BANDS, NUM_CHANNELS

FLAGS = flags.FLAGS
METHOD, SAME, BASE = "prior", "ms_ssfnet", "spectral_ls"
OF_REFERENCE = {"num_levels": 1, "upsampling_kernel": UPSAMPLING_KERNEL, "activation": ACTIVATION}


def define_flags() -> None:
    """Two models and where the joined one goes."""
    flags.DEFINE_string("first", None, "Folder of the model that is followed.", required=True)
    flags.DEFINE_string("second", None, "Folder of the one that says how far.", required=True)
    flags.DEFINE_string("output_dir", None, "Folder of the joined model.", required=True)


def joined(first: FusionModel, second: FusionModel) -> FusionModel:
    """A model of two members with the weights of both.

    Raises:
        ValueError: other networks than `prior` of one member, or of two forms.
    """
    for name, model in (("first", first), ("second", second)):
        options = dict(model.config.options)
        fits = options == {**options, **OF_REFERENCE} and _sizes(model) == (CELL, NUM_BANDS, NUM_CHANNELS)
        fits = fits if model.config.method == SAME else model.config.method == METHOD
        checks.require(
            fits and options.get("members", 1) == 1 and model.config.base == BASE,
            name,
            expected=f"a model of {METHOD} with one member, or {SAME} of its cameras, over {BASE}",
            received=f"{model.config.method} over {model.config.base}, {options}",
            remedy="give one that trainers.fusion wrote",
        )
    options = {"features": dict(first.config.options).get("features", list(FEATURES)), "members": 2}
    config = replace(first.config, method=METHOD, options=tuple(sorted(options.items())))
    model = FusionModel(config, first.cameras)
    for layer in (layer for layer in model.network.layers if layer.weights):
        source = second if layer.name.startswith(SECOND) else first
        given = source.network.get_layer(layer.name.removeprefix(SECOND)).get_weights()
        checks.require(
            [value.shape for value in given] == [tuple(weight.shape) for weight in layer.weights],
            "second",
            expected=f"the widths of the first, {options.get('features')}",
            received=str(dict(second.config.options).get("features")),
            remedy="train both with the same --option=features",
        )
        layer.set_weights(given)
    return model


def _sizes(model: FusionModel) -> tuple[int, int, int]:
    return model.config.scale, model.config.num_bands, model.config.num_channels


def main() -> None:
    """Load both, join, save."""
    first, second = Path(FLAGS.first), Path(FLAGS.second)
    model = joined(load_model(first), load_model(second))
    record = {**read_card(first).record, "second": dict(read_card(second).record)}
    print(f"joined: {save_model(model, FLAGS.output_dir, record)}")


if __name__ == "__main__":
    define_flags()
    run_app(main)
