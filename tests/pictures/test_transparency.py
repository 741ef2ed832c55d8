"""Hidden colours leave no trace: borders keep the visible colours, in one piece, in tiles and as tensors."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops

from hsr_tf.pictures import transparency
from hsr_tf.pictures.tiles import PictureModel, TileControls, enlarge
from hsr_tf.pictures.transparency import fill_hidden, with_hidden_filled

RNG = np.random.default_rng(7)


def disc(colour: tuple[int, ...], size: int = 48) -> np.ndarray:
    """A disc with a soft rim on transparent black, uint8."""
    rows, columns = np.mgrid[:size, :size] - (size - 1) / 2
    alpha = np.clip(0.4 * size - np.hypot(rows, columns), 0, 1)
    picture = np.zeros((size, size, len(colour) + 1), np.uint8)
    picture[..., :-1] = np.where(alpha[..., None] > 0, colour, 0)
    picture[..., -1] = np.rint(255 * alpha)
    return picture


def identity(own: int | None, num_channels: int) -> PictureModel:
    def run(lr_image: np.ndarray) -> tuple[np.ndarray, None]:
        return (lr_image if own is None else lr_image.repeat(own, 1).repeat(own, 2)), None

    return PictureModel(own, num_channels, 2, run)


@pytest.mark.parametrize("colour", [(255, 255, 255), (255,), (200, 30, 60)])
@pytest.mark.parametrize("model", [None, identity(None, 1), identity(None, 3), identity(2, 1)])
@pytest.mark.parametrize("scale", [2, 4])
def test_a_disc_on_transparent_black_keeps_its_colour(
    colour: tuple[int, ...], model: PictureModel | None, scale: int
) -> None:
    found = enlarge(disc(colour), scale, model=model).image
    visible = found[..., -1] > 0
    assert np.abs(found[visible][:, :-1].astype(int) - colour).max() <= 1
    over_white = (found[..., :-1] / 255) * (found[..., -1:] / 255) + (1 - found[..., -1:] / 255)
    if min(colour) == 255:
        assert over_white.min() == 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_what_is_hidden_changes_nothing(dtype: type) -> None:
    largest = np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else 1
    picture = RNG.random((40, 33, 4))
    picture[..., 3] *= RNG.random((40, 33)) > 0.6
    other = picture.copy()
    other[other[..., 3] == 0, :3] = RNG.random(3)
    first, second = (enlarge((one * largest).astype(dtype), 2.5).image for one in (picture, other))
    np.testing.assert_array_equal(first, second)


def test_visible_pixels_and_alpha_stay_and_holes_take_their_neighbours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    picture = RNG.integers(1, 256, (300, 50, 4)).astype(np.uint8)
    picture[20:280, 5:] = 0
    picture[9, 9] = 0
    given = picture.copy()
    whole = with_hidden_filled(picture)
    np.testing.assert_array_equal(picture, given)
    visible = picture[..., 3] > 0
    np.testing.assert_array_equal(whole[visible], picture[visible])
    np.testing.assert_array_equal(whole[..., 3], picture[..., 3])
    around = np.delete(picture[8:11, 8:11, :3].reshape(9, 3), 4, axis=0)
    np.testing.assert_array_equal(whole[9, 9, :3], np.rint(around.mean(0)))
    monkeypatch.setattr(transparency, "STRIP", 64)
    np.testing.assert_array_equal(with_hidden_filled(picture), whole)


def test_pictures_without_anything_to_fill_are_themselves() -> None:
    opaque, hidden = np.full((4, 5, 4), 255, np.uint8), np.zeros((4, 5, 2), np.uint8)
    for picture in (opaque, hidden, opaque[..., :3], opaque[..., :1]):
        assert with_hidden_filled(picture) is picture


def test_tiles_of_a_transparent_picture_are_the_whole() -> None:
    picture = RNG.random((90, 70, 4)).astype(np.float32)
    picture[10:80, 20:] = 0
    whole = enlarge(picture, 2).image
    np.testing.assert_allclose(enlarge(picture, 2, controls=TileControls(tile=23)).image, whole, atol=1e-6)


def test_tensors_are_filled_as_arrays_are() -> None:
    picture = RNG.random((37, 81, 4)).astype(np.float32)
    picture[..., 3] *= RNG.random((37, 81)) > 0.97
    mean = np.float32([0.1, 0.2, 0.3])
    found = fill_hidden(ops.convert_to_tensor(picture[None]), ops.convert_to_tensor(mean), ops)
    np.testing.assert_allclose(ops.convert_to_numpy(found)[0], fill_hidden(picture, mean), atol=1e-6)
