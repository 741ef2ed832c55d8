"""Trained networks, one paper a file; importing this package registers them all."""

from hsr_tf.networks import dhsis, ms_ssfnet, srcnn, ssf_cnn, ssf_resnet, vdsr

__all__ = ["dhsis", "ms_ssfnet", "srcnn", "ssf_cnn", "ssf_resnet", "vdsr"]
