"""Protocols of the field by one flag, so that scores can stand beside published ones: `--protocol=cave_3x3`.

A protocol sets other flags. One of them that is given as well has to say the same. `trainers.evaluate` may
choose some of the scales and score scenes of one's own; `trainers.fusion` is told the scale.
"""

from __future__ import annotations

from collections.abc import Mapping

from absl import flags

from hsr_tf import checks

FLAGS = flags.FLAGS
Setting = str | bool | list[str]

PROTOCOLS: Mapping[str, Mapping[str, Setting]] = {
    "frozen": {
        "task": "scenes",
        "psf": "gaussian",
        "srf": "nikon_d700",
        "scales": ["4", "8", "16", "32"],
    },
    "cave_3x3": {
        "task": "scenes",
        "data_set": "cave",
        "psf": "gaussian:sigma=0.5,support=3",
        "srf": "nikon_d700",
        "scales": ["4", "8"],
        "noisy": False,
    },
}


def define_flag() -> None:
    """Define which protocol the other flags follow."""
    flags.DEFINE_enum(
        "protocol",
        None,
        list(PROTOCOLS),
        "Set PSF, response, scales and scenes as a protocol has them. frozen: Gaussian PSF of FWHM s; "
        "cave_3x3: CAVE split 20 / 12, Gaussian PSF of 3 x 3 taps and sigma 0.5, x4 and x8.",
    )


def apply() -> None:
    """Set the flags of --protocol; those that the application has not are left out.

    Raises:
        ValueError: a flag that says something else.
    """
    if FLAGS.protocol is None:
        return
    wanted = dict(PROTOCOLS[FLAGS.protocol])
    if "scale" in FLAGS:  # of one training
        scales = wanted.pop("scales")
        assert isinstance(scales, list)
        _require("scale", str(FLAGS.scale) in scales, scales, str(FLAGS.scale))
    for name, setting in wanted.items():
        if name not in FLAGS or (name == "data_set" and "scenes" in FLAGS and FLAGS.scenes is not None):
            continue
        given = FLAGS[name].value if FLAGS[name].present else None
        if given is None:
            FLAGS[name].value = setting
            continue
        fits = set(given) <= set(setting) if isinstance(setting, list) else given == setting
        _require(name, fits, setting, given)


def _require(name: str, fits: bool, setting: Setting, given: Setting) -> None:
    checks.require(
        fits,
        name,
        expected=f"{_in_words(setting)}, as --protocol={FLAGS.protocol} has it",
        received=_in_words(given),
        remedy="leave one of the two out",
    )


def _in_words(setting: Setting) -> str:
    return ",".join(setting) if isinstance(setting, list) else str(setting).lower()
