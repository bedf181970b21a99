"""Patches of photographs: cut at random, some of them held out, or cut where a channel responds."""

from typing import Any

import numpy as np

from evalib.data.mnist import Arrays
from evalib.filters import as_array
from evalib.receptive_fields.arithmetic import ReceptiveField

TILES = 4


def cut_patches(
    photos: Any, size: int, count: int, *, held_out: bool = False, seed: int = 0
) -> Arrays:
    """Cut patches at random positions, `count` from each of `(n, height, width, channels)` photos.

    Each lies inside one of four times four tiles, so that its size is at most a quarter, else a
    ValueError. The tiles of the falling diagonal are `held_out`: they share no pixel with others.

    Returns the patches, of shape `(n * count, size, size, channels)` and the photographs' dtype, in
    random order, and for each the index of its photograph.
    """
    photos = as_array(photos, "photographs")
    if photos.ndim != 4:
        raise ValueError(f"expected shape (n, height, width, channels), got {photos.shape}")
    heights, widths = (extent // TILES for extent in photos.shape[1:3])
    if not 1 <= size <= min(heights, widths) or count < 1:
        wanted = f"1 to {min(heights, widths)} pixels, and a count from 1 up"
        raise ValueError(f"expected a size from {wanted}, got {size} and {count}")
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.repeat(np.arange(len(photos)), count))
    row = generator.integers(0, TILES, len(labels))
    # Steps to the right of the diagonal: none for the tiles that are held out.
    steps = 0 if held_out else generator.integers(1, TILES, len(labels))
    top = row * heights + generator.integers(0, heights - size + 1, len(labels))
    left = (row + steps) % TILES * widths + generator.integers(0, widths - size + 1, len(labels))
    rows, columns = (start[:, np.newaxis] + np.arange(size) for start in (top, left))
    return photos[labels[:, None, None], rows[:, :, None], columns[:, None, :]], labels


def strongest_patch(
    maps: Any, field: ReceptiveField, photos: Any
) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Cut out what one channel responds to most among all positions of all photographs.

    Only positions whose receptive field lies inside the photograph count; if there is none, all do.

    Args:
        maps: the channel's values, shape `(n, rows, columns)`; NaN raises a ValueError.
        field: what one position of the maps sees.
        photos: what the maps were computed from, shape `(n, height, width, channels)`.

    Returns what the strongest position sees, and that position: photograph, row and column.
    """
    maps, photos = as_array(maps, "maps"), as_array(photos, "photographs")
    if maps.ndim != 3 or photos.ndim != 4 or len(maps) != len(photos) or np.isnan(maps).any():
        found = f"shapes {maps.shape} and {photos.shape} and {np.isnan(maps).sum()} NaN"
        raise ValueError(f"expected one map of numbers per photograph with channels, got {found}")
    inside = []  # for each position along an axis, whether its field lies inside the photograph
    for axis, step in enumerate(np.eye(2, dtype=int)):
        places = [tuple(step * place) for place in range(maps.shape[1 + axis])]
        parts = [field.region(place)[axis] for place in places]
        end, size = photos.shape[1 + axis], field.size[axis]
        inside.append([part.stop - part.start == size and part.stop <= end for part in parts])
    whole = np.outer(inside[0], inside[1])
    ranked = np.where(whole if whole.any() else True, maps, -np.inf)
    photo, row, column = (int(i) for i in np.unravel_index(ranked.argmax(), ranked.shape))
    return photos[photo][field.region((row, column))], (photo, row, column)
