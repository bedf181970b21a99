"""Patches of photographs: cut at random, some of them held out, or cut where a channel responds.

Which photograph a patch came from can be asked of patches of any size: the labels are free, and
the answer needs what the patch shows.
"""

from typing import Any

import numpy as np

from evalib.data.mnist import Arrays
from evalib.filters import as_array
from evalib.receptive_fields.arithmetic import ReceptiveField

TILES = 4


def cut_patches(
    photos: Any, size: int, count: int, *, held_out: bool = False, seed: int = 0
) -> Arrays:
    """Cut patches at random positions, as many from each photograph.

    Each photograph is divided into four times four tiles, and a patch lies inside one of them. The
    four tiles of the falling diagonal are held out, so that their patches share no pixel with the
    others.

    Args:
        photos: shape `(n, height, width, channels)`, of any dtype.
        size: height and width of a patch in pixels, at most a quarter of the photographs'.
        count: how many patches from each photograph, at least 1.
        held_out: whether from the tiles that are held out, or from all the others.
        seed: which patches these are.

    Returns:
        The patches, of shape `(n * count, size, size, channels)` and the photographs' dtype, in
        random order, and for each the index of its photograph.

    Raises:
        ValueError: the photographs are not of rank 4, or size or count are out of their range.
    """
    photos = as_array(photos, "photographs")
    if photos.ndim != 4:
        raise ValueError(f"expected shape (n, height, width, channels), got {photos.shape}")
    heights, widths = (extent // TILES for extent in photos.shape[1:3])
    if not 1 <= size <= min(heights, widths):
        raise ValueError(f"expected a size from 1 to {min(heights, widths)} pixels, got {size}")
    if count < 1:
        raise ValueError(f"expected at least 1 patch per photograph, got {count}")
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
    patches = photos[labels[:, None, None], rows[:, :, None], columns[:, None, :]]
    return patches, labels


def strongest_patch(
    maps: Any, field: ReceptiveField, photos: Any
) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Cut out what one channel responds to most among all positions of all photographs.

    Only positions whose receptive field lies inside the photograph count, so that the border takes
    no part; if there is none, all count.

    Args:
        maps: the channel's values, shape `(n, rows, columns)`.
        field: what one position of the maps sees.
        photos: what the maps were computed from, shape `(n, height, width, channels)`.

    Returns:
        What the strongest position sees, and that position: photograph, row and column.

    Raises:
        ValueError: there is not one map per photograph, or a value is NaN.
    """
    maps, photos = as_array(maps, "maps"), as_array(photos, "photographs")
    if maps.ndim != 3 or photos.ndim != 4 or len(maps) != len(photos) or np.isnan(maps).any():
        raise ValueError(
            "expected one map (rows, columns) of numbers per photograph (height, width, channels), "
            f"got shapes {maps.shape} and {photos.shape} and {np.isnan(maps).sum()} NaN"
        )
    inside = []  # for each position along an axis, whether its field lies inside the photograph
    for axis in (0, 1):
        corners = [(i, 0) if axis == 0 else (0, i) for i in range(maps.shape[1 + axis])]
        parts = [field.region(corner)[axis] for corner in corners]
        end, size = photos.shape[1 + axis], field.size[axis]
        inside.append([part.stop - part.start == size and part.stop <= end for part in parts])
    whole = np.outer(np.array(inside[0]), np.array(inside[1]))
    ranked = np.where(whole if whole.any() else True, maps, -np.inf)
    photo, row, column = (int(i) for i in np.unravel_index(ranked.argmax(), ranked.shape))
    return photos[photo][field.region((row, column))], (photo, row, column)
