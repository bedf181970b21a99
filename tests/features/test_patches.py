"""Patches come from where they say, and those held out share no pixel with the others."""

import keras
import numpy as np
import pytest
from keras import ops

from evalib.features.patches import cut_patches, strongest_patch
from evalib.receptive_fields.compute import receptive_field


@pytest.fixture
def numbered() -> np.ndarray:
    """Three photographs of 41x43 in which every pixel holds its photograph, row and column."""
    return np.stack(np.meshgrid(range(3), range(41), range(43), indexing="ij"), axis=-1)


@pytest.mark.parametrize("size", [1, 3, 10])
def test_patches_are_squares_of_their_photographs(numbered, size):
    patches, labels = cut_patches(numbered, size, 50)
    assert patches.shape == (150, size, size, 3)
    assert np.bincount(labels).tolist() == [50, 50, 50]
    steps = np.stack(np.meshgrid(0, range(size), range(size), indexing="ij"), axis=-1)
    np.testing.assert_array_equal(patches, patches[:, :1, :1] + steps)
    np.testing.assert_array_equal(patches[:, 0, 0, 0], labels)
    for seed, same in ((0, True), (1, False)):
        assert np.array_equal(cut_patches(numbered, size, 50, seed=seed)[0], patches) == same


def test_held_out_patches_share_no_pixel_with_the_others(numbered):
    learn, held_out = (
        {*map(tuple, cut_patches(numbered, 4, 10_000, held_out=held)[0].reshape(-1, 3).tolist())}
        for held in (False, True)
    )
    assert not learn & held_out
    # Together they reach every pixel but the last row and columns, which no tile covers.
    assert len(learn | held_out) == 3 * 40 * 40
    assert len(held_out) == 3 * 4 * 10 * 10


def test_bad_input_is_refused(numbered):
    with pytest.raises(ValueError, match=r"\(n, height, width, channels\), got \(41, 43, 3\)"):
        cut_patches(numbered[0], 3, 5)
    for size, count in ((11, 5), (3, 0)):
        with pytest.raises(ValueError, match=f"1 to 10 pixels.*got {size} and {count}"):
            cut_patches(numbered, size, count)
    field = receptive_field(keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(1, 3)]))
    with pytest.raises(ValueError, match=r"one map .* per photograph .* got shapes \(2, 6, 6\)"):
        strongest_patch(np.zeros((2, 6, 6)), field, np.zeros((1, 8, 8, 3)))


def test_the_strongest_patch_is_found_where_it_was_hidden(generator):
    kernel = generator.normal(size=(5, 5, 3, 1)).astype("float32")
    photos = generator.normal(scale=0.1, size=(3, 40, 40, 3)).astype("float32")
    photos[1, 11:16, 22:27] = kernel[..., 0]
    layer = keras.layers.Conv2D(1, 5, padding="same", use_bias=False)
    model = keras.Sequential([keras.Input((None, None, 3)), layer])
    layer.set_weights([kernel])
    maps = ops.convert_to_numpy(model(photos))[..., 0]
    patch, place = strongest_patch(maps, receptive_field(model), photos)
    assert place == (1, 13, 24)
    np.testing.assert_array_equal(patch, kernel[..., 0])


def test_positions_that_look_past_the_border_do_not_count():
    model = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(1, 3)])
    field = receptive_field(keras.Sequential([model, keras.layers.Conv2D(1, 3, padding="same")]))
    maps, photos = np.zeros((1, 8, 8)), np.zeros((1, 10, 10, 3))
    maps[0, 0, 4], maps[0, 7, 4], maps[0, 4, 0], maps[0, 4, 7] = 4, 4, 4, 4
    maps[0, 1, 6] = 1
    patch, place = strongest_patch(maps, field, photos)
    assert (patch.shape, place) == ((5, 5, 3), (0, 1, 6))
    # On a photograph that is smaller than the field every position counts, cut off at the border.
    tiny = strongest_patch(maps[:, :2, 3:5], field, photos[:, :4, :4])
    assert (tiny[0].shape, tiny[1]) == ((4, 4, 3), (0, 0, 1))
