"""Compressed pictures are smaller, and the same."""

import base64
import io

import numpy as np
from PIL import Image

from evalib.tools.notebook_images import compress_png


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


def test_a_large_picture_gets_a_palette_close_to_its_colors():
    random = np.random.default_rng(0)
    # Smooth colors with grain: what photographs are made of, and PNG cannot compress.
    ramp = np.linspace(0, 240, 200)
    pixels = np.stack(np.broadcast_arrays(ramp, ramp[:, np.newaxis], 60.0), axis=-1)
    pixels = (pixels + random.integers(0, 12, pixels.shape)).astype(np.uint8)
    exact = compress_png(encode(pixels), exact_up_to=10**6)
    np.testing.assert_array_equal(np.asarray(decode(exact)), pixels)
    small = compress_png(encode(pixels), exact_up_to=50_000)
    assert len(small) < 0.6 * len(exact)
    error = np.asarray(decode(small).convert("RGB")).astype(float) - pixels
    assert np.sqrt(np.square(error).mean()) < 12
    assert abs(error.mean()) < 1
