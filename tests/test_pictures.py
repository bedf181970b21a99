"""Compressed pictures are smaller, and the same."""

import base64
import io

import numpy as np
from PIL import Image

from evalib.pictures import compress_png


def encode(pixels: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def decode(encoded: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(encoded)))


def test_an_opaque_picture_loses_its_alpha_channel_and_no_pixel():
    random = np.random.default_rng(0)
    pixels = random.integers(0, 8, (40, 50, 4), dtype=np.uint8)
    pixels[..., 3] = 255
    given = encode(pixels)
    compressed = compress_png(given)
    assert len(compressed) < len(given)
    assert decode(compressed).mode == "RGB"
    np.testing.assert_array_equal(np.asarray(decode(compressed)), pixels[..., :3])


def test_transparency_stays():
    pixels = np.zeros((20, 20, 4), np.uint8)
    pixels[5:9, :, 3] = 128
    np.testing.assert_array_equal(np.asarray(decode(compress_png(encode(pixels)))), pixels)


def test_what_cannot_be_made_smaller_is_left_alone():
    once = compress_png(encode(np.zeros((9, 9, 3), np.uint8)))
    assert compress_png(once) == once
