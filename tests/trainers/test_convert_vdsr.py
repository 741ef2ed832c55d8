"""`python -m trainers.convert_vdsr`: arrays in, a trained model out, nothing replaced unasked."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hsr_tf.networks.pretrained import load_image_network, read_card
from tests.app_for_tests import call_app


def test_arrays_become_a_trained_model(tmp_path: Path) -> None:
    rng = np.random.default_rng(14)
    kernels = [rng.normal(size=(3, 3, given, made)) for given, made in ((1, 4), (4, 4), (4, 1))]
    np.savez(tmp_path / "a.npz", **{f"kernel_{i}": kernel for i, kernel in enumerate(kernels)})
    flags = (f"--input={tmp_path / 'a.npz'}", f"--output={tmp_path / 'model'}")
    ended = call_app("trainers.convert_vdsr", *flags)
    wrote = f"wrote {tmp_path / 'model'}  (3 convolutions, 4 features, 225 weights)\n"
    assert (ended.code, ended.output) == (0, wrote), ended.errors
    assert read_card(tmp_path / "model").record["converted_from"] == "a.npz"
    network = load_image_network(tmp_path / "model")
    for i, kernel in enumerate(kernels):
        found = network.get_layer(f"conv{i + 1}").get_weights()
        np.testing.assert_array_equal(found[0], kernel.astype(np.float32))
        assert not found[1].any()


def test_a_folder_that_exists_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    ended = call_app("trainers.convert_vdsr", "--input=none.npz", f"--output={tmp_path / 'model'}")
    assert (ended.code, ended.output) == (2, "")
    said = f"error: {tmp_path / 'model'}: exists; add --overwrite, or write to another folder\n"
    assert ended.errors == said
