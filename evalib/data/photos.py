"""Photographs from scikit-image's wheel, so that nothing is downloaded."""

import operator

import numpy as np

# Those that scikit-image's wheel holds: skimage.data downloads its others.
PHOTOS = (
    *("astronaut", "brick", "camera", "cell", "chelsea", "clock", "coffee", "coins", "grass"),
    *("gravel", "hubble_deep_field", "immunohistochemistry", "moon", "page", "retina", "rocket"),
    "text",
)


def sample_photo(name: str = "astronaut", size: int = 400) -> np.ndarray:
    """Resize the largest square in the middle of a photograph of scikit-image's wheel.

    The name is one of `PHOTOS`, the size a whole number of pixels, else a ValueError.

    Returns uint8 from 0 to 255, shape `(size, size, 3)`: red, green and blue, equal if it is gray.
    """
    if name not in PHOTOS:
        raise ValueError(f"expected a photograph of {', '.join(PHOTOS)}, got {name!r}")
    if not hasattr(size, "__index__") or (size := operator.index(size)) < 1:
        raise ValueError(f"expected a size of at least 1 pixel, as a whole number, got {size!r}")
    # Imported here, so that those who only want digits need not wait for it.
    import skimage.data
    from skimage.transform import resize

    photo = getattr(skimage.data, name)()
    side = min(photo.shape[:2])
    top, left = ((extent - side) // 2 for extent in photo.shape[:2])
    square = photo[top : top + side, left : left + side]
    resized = resize(square, (size, size), anti_aliasing=size < side, preserve_range=True)
    square = np.rint(resized).astype(np.uint8)
    return square if square.ndim == 3 else np.stack([square] * 3, axis=-1)
