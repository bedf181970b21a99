"""Photographs from scikit-image's wheel, so that nothing is downloaded."""

import numpy as np

# The photographs among the files of scikit-image's wheel: skimage.data fetches its others.
PHOTOS = (
    "astronaut",
    "brick",
    "camera",
    "cell",
    "chelsea",
    "clock",
    "coffee",
    "coins",
    "grass",
    "gravel",
    "hubble_deep_field",
    "immunohistochemistry",
    "moon",
    "page",
    "retina",
    "rocket",
    "text",
)


def sample_photo(name: str = "astronaut", size: int = 400) -> np.ndarray:
    """Load a square color photograph from scikit-image's wheel, without a download.

    The largest square in the middle of the photograph is resized with anti-aliasing. A gray
    photograph gets three equal channels.

    Args:
        name: one of `PHOTOS`.
        size: height and width of the result in pixels, at least 1.

    Returns:
        uint8 from 0 to 255, shape `(size, size, 3)`; the channels are red, green and blue.

    Raises:
        ValueError: there is no photograph of this name, or the size is below 1.
    """
    if name not in PHOTOS:
        raise ValueError(f"expected a photograph of {', '.join(PHOTOS)}, got {name!r}")
    if size < 1:
        raise ValueError(f"expected a size of at least 1 pixel, got {size}")
    # Imported here, so that those who only want digits need not wait for it.
    import skimage.data
    import skimage.transform

    photo = getattr(skimage.data, name)()
    height, width = photo.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = photo[top : top + side, left : left + side]
    if side != size:
        resized = skimage.transform.resize(
            square, (size, size), anti_aliasing=size < side, preserve_range=True
        )
        square = np.rint(resized).astype(np.uint8)
    return square.copy() if square.ndim == 3 else np.stack([square] * 3, axis=-1)
