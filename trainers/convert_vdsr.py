"""VDSR's weights from a file of plain arrays: `python -m trainers.convert_vdsr --input=F --output=FOLDER`.

F is a .npz or .mat file with the kernels and biases of a VDSR trained elsewhere, see
`hsr_tf.networks.plain_arrays`. The folder is a trained model as any other: `hsr upscale --weights=FOLDER`.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from absl import flags

from hsr_tf import checks
from hsr_tf.console.flag_apps import run_app
from hsr_tf.networks.plain_arrays import LAYOUTS, read_vdsr
from hsr_tf.networks.pretrained import save_model

FLAGS = flags.FLAGS


def define_flags() -> None:
    """What is converted, and where to."""
    flags.DEFINE_string("input", None, "File of plain arrays, .npz or .mat.", required=True)
    flags.DEFINE_string("output", None, "Folder for the trained model.", required=True)
    flags.DEFINE_enum(
        "layout", None, list(LAYOUTS), "Order of the axes of the kernels, where it is ambiguous."
    )
    flags.DEFINE_boolean("overwrite", False, "Replace a folder that exists.")


def main() -> None:
    """Convert, and say what was found."""
    source, folder = Path(FLAGS.input), Path(FLAGS.output)
    if folder.exists() and not FLAGS.overwrite:
        raise checks.file_error(folder, "exists", "add --overwrite, or write to another folder")
    network = read_vdsr(source, layout=FLAGS.layout)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    save_model(network, folder, {"converted_from": source.name, "sha256": digest})
    options = network.get_config()
    sizes = f"{options['depth']} convolutions, {options['features']} features"
    print(f"wrote {folder}  ({sizes}, {network.count_params()} weights)")


if __name__ == "__main__":
    define_flags()
    run_app(main)
