"""Trained networks, one paper a file; importing this package registers them all."""

from hsr_tf.networks import ms_ssfnet, ssf_cnn, ssf_resnet

__all__ = ["ms_ssfnet", "ssf_cnn", "ssf_resnet"]
