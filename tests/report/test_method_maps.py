"""Methods side by side: the maps are those of the metrics, on one scale, and every column has its name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from hsr_tf.metrics import full_reference as metrics
from hsr_tf.metrics.full_reference import scorecard
from hsr_tf.report.method_maps import SceneMaps, draw_maps, method_maps, scene_maps
from hsr_tf.scene import Scene

SHAPE = (12, 18, 4)


def maps(name: str = "a scene", *, noises: tuple[float, ...] = (0.01, 0.02), **changes: object) -> SceneMaps:
    rng = np.random.default_rng(1)
    truth = Scene(rng.random(SHAPE, np.float32), name=name)
    cubes = {
        f"m{i}": truth.cube + np.float32(noise) * rng.standard_normal(SHAPE).astype("f4")
        for i, noise in enumerate(noises)
    }
    cards = {key: scorecard(truth, Scene(cube), scale=2) for key, cube in cubes.items()}
    return scene_maps(truth, cubes, cards, **changes)  # type: ignore[arg-type]


def drawn(figure: Figure) -> tuple[list[str], list[tuple[float, float]]]:
    """Every text, and the ends of every map's scale."""
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    images = [image for axes in figure.axes for image in axes.images if image.get_array().ndim == 2]
    return texts, [(float(image.norm.vmin), float(image.norm.vmax)) for image in images]


def test_the_maps_are_those_of_the_metrics() -> None:
    rng = np.random.default_rng(2)
    truth, guess = (rng.random(SHAPE, np.float32) for _ in range(2))
    card = scorecard(Scene(truth), Scene(guess), scale=2)
    found = scene_maps(Scene(truth), {"m": guess}, {"m": card}).methods[0]
    np.testing.assert_allclose(found.angle, metrics.sam_map(truth, guess), rtol=1e-5)
    np.testing.assert_allclose(found.error, 255 * np.abs(truth - guess).mean(-1), rtol=1e-5)
    one = scene_maps(Scene(truth), {"m": guess}, {"m": card}, band=2).methods[0]
    np.testing.assert_allclose(one.error, 255 * np.abs(truth - guess)[..., 2], rtol=1e-5)
    rmse = 255 * np.sqrt(np.square(truth - guess)[..., 2].mean())
    assert one.notes[2] == f"RMSE {rmse:.2f}"
    assert (one.picture == one.picture[..., :1]).all()


def test_pixels_without_data_are_empty() -> None:
    counted = np.ones(SHAPE[:2], bool)
    counted[3:5, 7] = False
    found = maps(counted=counted).methods[0]
    assert (np.isnan(found.error) == ~counted).all() and (np.isnan(found.angle) == ~counted).all()


def test_scenes_and_methods_share_a_scale_and_a_bad_one_does_not_set_it(tmp_path: Path) -> None:
    scenes = [maps("first"), maps("second", noises=(0.01, 0.02, 0.9))]
    texts, scales = drawn(draw_maps(scenes, title="t"))
    assert len(scales) == 10 and len(set(scales)) == 2
    assert {"first", "second", "m0", "m1", "m2"} <= set(texts)
    assert sum(text.startswith("SAM ") for text in texts) == 5
    calm = drawn(draw_maps([scenes[0]], title="t"))[1]
    assert max(scales)[1] < 2 * max(calm)[1]
    assert method_maps(tmp_path / "maps.png", scenes, title="t").stat().st_size > 1000


def test_a_band_that_is_not_there_and_other_suffixes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="band: expected a band from 1 to 4, got 5"):
        maps(band=4)
    with pytest.raises(ValueError, match=r"expected a name that ends in \.png"):
        method_maps(tmp_path / "maps.jpg", [maps()], title="t")
