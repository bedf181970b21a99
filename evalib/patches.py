"""Small windows cut at random from photographs, some of them held out.

Which photograph a window came from is a question that can be asked of windows of any size: the
labels are free, and the answer needs what the window shows.
"""

import numpy as np

from evalib.data import Arrays

TILES = 4


def cut_patches(
    photos: np.ndarray, size: int, count: int, *, held_out: bool = False, seed: int = 0
) -> Arrays:
    """Cut windows at random places, as many from each photograph.

    Each photograph is laid out in four times four tiles, and a window lies inside one of them. The
    four tiles of the falling diagonal are held out: one in each row and each column. So windows
    that are held out share no pixel with the others.

    Args:
        photos: shape `(n, height, width, channels)`, of any dtype.
        size: height and width of a window in pixels, at most a quarter of the photographs'.
        count: how many windows from each photograph.
        held_out: whether from the tiles that are held out, or from all the others.
        seed: which windows these are.

    Returns:
        The windows, of shape `(n * count, size, size, channels)` and the photographs' dtype, in
        random order, and for each the index of its photograph.

    Raises:
        ValueError: the photographs are not of rank 4, the windows do not fit into a tile, or none
            are asked for.
    """
    if photos.ndim != 4:
        raise ValueError(f"expected shape (n, height, width, channels), got {photos.shape}")
    heights, widths = (extent // TILES for extent in photos.shape[1:3])
    if not 1 <= size <= min(heights, widths):
        raise ValueError(
            f"expected a size from 1 to {min(heights, widths)} pixels, a quarter of the "
            f"photographs', got {size}"
        )
    if count < 1:
        raise ValueError(f"expected at least 1 window a photograph, got {count}")
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.repeat(np.arange(len(photos)), count))
    row = generator.integers(0, TILES, len(labels))
    # Steps to the right of the diagonal: none for the tiles that are held out.
    steps = 0 if held_out else generator.integers(1, TILES, len(labels))
    column = (row + steps) % TILES
    top = row * heights + generator.integers(0, heights - size + 1, len(labels))
    left = column * widths + generator.integers(0, widths - size + 1, len(labels))
    reach = np.arange(size)
    rows, columns = (top[:, np.newaxis] + reach), (left[:, np.newaxis] + reach)
    windows = photos[labels[:, None, None], rows[:, :, None], columns[:, None, :]]
    return windows, labels
