"""Windows come from where they say, and those held out share no pixel with the others."""

import numpy as np
import pytest

from evalib.patches import cut_patches


@pytest.fixture
def numbered() -> np.ndarray:
    """Three photographs of 41x43 in which every pixel holds its photograph, row and column."""
    return np.stack(np.meshgrid(range(3), range(41), range(43), indexing="ij"), axis=-1)


def pixels(windows: np.ndarray) -> set[tuple[int, ...]]:
    return set(map(tuple, windows.reshape(-1, 3).tolist()))


@pytest.mark.parametrize("size", [1, 3, 10])
def test_windows_are_squares_of_their_photographs(numbered, size):
    windows, labels = cut_patches(numbered, size, 50)
    assert windows.shape == (150, size, size, 3)
    assert np.bincount(labels).tolist() == [50, 50, 50]
    corner = windows[:, :1, :1]
    steps = np.stack(np.meshgrid(0, range(size), range(size), indexing="ij"), axis=-1)
    np.testing.assert_array_equal(windows, corner + steps)
    np.testing.assert_array_equal(windows[:, 0, 0, 0], labels)


def test_held_out_windows_share_no_pixel_with_the_others(numbered):
    learn, _ = cut_patches(numbered, 4, 10_000)
    held_out, _ = cut_patches(numbered, 4, 10_000, held_out=True)
    assert not pixels(learn) & pixels(held_out)
    # Together they reach every pixel but the last row and columns, which no tile covers.
    assert len(pixels(learn) | pixels(held_out)) == 3 * 40 * 40
    assert len(pixels(held_out)) == 3 * 4 * 10 * 10


def test_the_seed_decides(numbered):
    first, again, other = (cut_patches(numbered, 3, 5, seed=seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_bad_input_is_refused(numbered):
    with pytest.raises(ValueError, match=r"\(n, height, width, channels\), got \(41, 43, 3\)"):
        cut_patches(numbered[0], 3, 5)
    with pytest.raises(ValueError, match="from 1 to 10 pixels.*got 11"):
        cut_patches(numbered, 11, 5)
    with pytest.raises(ValueError, match="at least 1 window.*got 0"):
        cut_patches(numbered, 3, 0)
