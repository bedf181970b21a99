"""Moving pictures for notebooks, as animated PNG: they move wherever a browser shows the page."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from PIL import Image as Picture

from evalib.plots.primitives import color_pictures

if TYPE_CHECKING:
    from IPython.display import Image


def animate(frames: Sequence[Any], *, seconds: float = 0.15, colors: int = 64) -> "Image":
    """Make a moving picture that a notebook stores as a PNG, and that repeats forever.

    Args:
        frames: all of one size: pictures from 0 to 1 or from 0 to 255, each pixel drawn as one, or
            figures, which are closed. Paper shows the first one only: let it make sense alone.
        seconds: that each frame stays.
        colors: of all frames together, at most 256; few keep it small.

    Raises:
        ValueError: fewer than two frames, or frames of different sizes.
    """
    from IPython.display import Image

    stills = [_still(frame) for frame in frames]
    if len(stills) < 2 or len({still.shape for still in stills}) > 1:
        sizes = [still.shape[:2] for still in stills]
        raise ValueError(f"expected two or more frames of one size, got sizes {sizes}")
    # All frames share one palette: Pillow would write that of the first frame for all.
    strip = Picture.fromarray(np.concatenate(stills)).quantize(colors)
    height, width = stills[0].shape[:2]
    tops = range(0, strip.height, height)
    first, *rest = (strip.crop((0, top, width, top + height)) for top in tops)
    file, milliseconds = io.BytesIO(), round(1000 * seconds)
    first.save(file, "PNG", save_all=True, append_images=rest, duration=milliseconds, loop=0)
    return Image(data=file.getvalue(), format="png")


def _still(frame: Any) -> np.ndarray:
    """A frame as uint8 of shape `(height, width, 3)`."""
    if isinstance(frame, Figure):
        file = io.BytesIO()
        frame.savefig(file, format="png", dpi=frame.dpi)
        plt.close(frame)
        return np.asarray(Picture.open(file).convert("RGB"))
    return np.rint(255 * color_pictures([np.asarray(frame)], "gray", None)[0]).astype("uint8")
