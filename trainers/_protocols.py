"""Protocols of the field by one flag, so that scores can stand beside published ones: `--protocol=cave_3x3`.

A protocol sets other flags. One of them that is given as well has to say the same; of the scales some may be
chosen, and scenes of one's own may take the place of the set.
"""

from __future__ import annotations

from collections.abc import Mapping

from absl import flags

from hsr_tf import checks

FLAGS = flags.FLAGS
Setting = str | list[str]

PROTOCOLS: Mapping[str, Mapping[str, Setting]] = {
    "frozen": {"psf": "gaussian", "srf": "nikon_d700", "scales": ["4", "8", "16", "32"]},
    "cave_3x3": {
        "data_set": "cave",
        "psf": "gaussian:sigma=0.5,support=3",
        "srf": "nikon_d700",
        "scales": ["4", "8"],
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
    for name, wanted in PROTOCOLS[FLAGS.protocol].items():
        if name not in FLAGS or (name == "data_set" and "scenes" in FLAGS and FLAGS.scenes is not None):
            continue
        given = FLAGS[name].value if FLAGS[name].present else None
        if not given:
            FLAGS[name].value = wanted
            continue
        fits = set(given) <= set(wanted) if isinstance(wanted, list) else given == wanted
        checks.require(
            fits,
            name,
            expected=f"{_in_words(wanted)}, as --protocol={FLAGS.protocol} has it",
            received=_in_words(given),
            remedy="leave one of the two out",
        )


def _in_words(setting: Setting) -> str:
    return setting if isinstance(setting, str) else ",".join(setting)
