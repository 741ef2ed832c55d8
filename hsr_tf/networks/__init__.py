"""Trained networks, one paper a file; importing this package registers them all."""

from hsr_tf.networks import (
    dbpn,
    dhsis,
    ikc,
    kbpn,
    ms_ssfnet,
    srcnn,
    srcnn_cab,
    srmdnf,
    srresnet,
    ssf_cnn,
    ssf_resnet,
    vdsr,
)

__all__ = [
    "dbpn",
    "dhsis",
    "ikc",
    "kbpn",
    "ms_ssfnet",
    "srcnn",
    "srcnn_cab",
    "srmdnf",
    "srresnet",
    "ssf_cnn",
    "ssf_resnet",
    "vdsr",
]
