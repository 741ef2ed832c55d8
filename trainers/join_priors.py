"""Join two networks of `prior` that were trained apart: `python -m trainers.join_priors`.

    python -m trainers.join_priors --first=runs/prior/model --second=runs/other/model --output_dir=runs/joined

The first one's estimate is then followed as far as the second agrees, region by region
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
from hsr_tf.networks.prior import SECOND

FLAGS = flags.FLAGS
METHOD = "prior"


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
        members = dict(model.config.options).get("members", 1)
        checks.require(
            model.config.method == METHOD and members == 1,
            name,
            expected=f"a model of {METHOD} with one member",
            received=f"{model.config.method}, members: {members}",
            remedy="give one that trainers.fusion wrote",
        )
    options = {**dict(first.config.options), "members": 2}
    model = FusionModel(replace(first.config, options=tuple(sorted(options.items()))), first.cameras)
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


def main() -> None:
    """Load both, join, save."""
    first, second = Path(FLAGS.first), Path(FLAGS.second)
    model = joined(load_model(first), load_model(second))
    record = {**read_card(first).record, "second": dict(read_card(second).record)}
    print(f"joined: {save_model(model, FLAGS.output_dir, record)}")


if __name__ == "__main__":
    define_flags()
    run_app(main)
