"""Keras's global settings, set back after a test."""

from collections.abc import Callable, Iterator

import keras
import pytest

SETTINGS = ["channels_first", "float16", "mixed_bfloat16", "float64"]


@pytest.fixture
def set_keras() -> Iterator[Callable[[str], None]]:
    """Set the image data format, or the number type of new layers."""

    def change(setting: str) -> None:
        if setting == "channels_first":
            keras.config.set_image_data_format(setting)
        else:
            keras.config.set_dtype_policy(setting)

    yield change
    keras.config.set_image_data_format("channels_last")
    keras.config.set_dtype_policy("float32")
