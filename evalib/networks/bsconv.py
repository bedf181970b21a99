"""Networks of very few weights, from blueprint separable convolutions."""

import keras
from keras import layers, ops

from evalib.networks.layers import LAST, softmax_dtype, whole_numbers


def bsconv_network(first_kernels: int, width: int, blocks: int = 4) -> keras.Model:
    """A network for digits in which a 3x3 kernel costs little more than a 1x1 one.

    One dense 3x3 convolution and a 2x2 max pooling; then blocks that mix the channels by a 1x1
    convolution and apply one 3x3 kernel to each mixture. That is a 3x3 convolution whose kernels
    are one 3x3 blueprint each, weighted differently for every channel that it reads: the *blueprint
    separable convolution* of Haase and Amthor (*Rethinking Depthwise Separable Convolutions*,
    2020). A separable convolution has the two steps in the other order.

    The mixture is also added to the result, without its outermost pixels. No layer pads. A dense
    layer turns the average of each channel into the ten probabilities. After `fold_normalization`,
    block n has `inputs * width + 10 * width` weights.

    Args:
        first_kernels: of the dense convolution, at least 1.
        width: channels of each block, at least 1.
        blocks: how many, 1 to 6; each takes two pixels off the 13x13 that the pooling leaves.

    Returns:
        Digits of shape `(batch, 28, 28, 1)` in [0, 1] to probabilities of shape `(batch, 10)`.

    Raises:
        ValueError: a number is out of its range.

    Example:
        >>> bsconv_network(12, 18, 5).output_shape
        (None, 10)
    """
    sizes = whole_numbers([first_kernels, width, blocks], "kernels, width and blocks")
    if blocks > 6:
        raise ValueError(f"expected 1 to 6 blocks, got {blocks}")
    digit = keras.Input((28, 28, 1), name="digit")
    strokes = layers.Conv2D(sizes[0], 3, use_bias=False, name="strokes", **LAST)(digit)
    strokes = layers.MaxPooling2D(2, name="strokes_pool", **LAST)(strokes)
    # Folding takes a factor through the pooling only if it is not negative.
    not_negative = keras.constraints.NonNeg()
    norm = layers.BatchNormalization(gamma_constraint=not_negative, name="strokes_norm")
    channels = layers.ReLU(name="strokes_relu")(norm(strokes))
    for number in range(1, blocks + 1):
        channels = bsconv_block(channels, width, name=f"block{number}")
    averages = layers.GlobalAveragePooling2D(name="averages", **LAST)(channels)
    head = {"activation": "softmax", "name": "probabilities", "dtype": softmax_dtype()}
    name = f"blueprint_{first_kernels}_{width}_{blocks}"
    return keras.Model(digit, layers.Dense(10, **head)(averages), name=name)


def bsconv_block(channels: keras.KerasTensor, width: int, *, name: str) -> keras.KerasTensor:
    """Mix channels `(batch, height, width, channels)`, and add what a 3x3 kernel finds in each."""
    mixture = layers.Conv2D(width, 1, use_bias=False, name=f"{name}_mix", **LAST)(channels)
    found = layers.DepthwiseConv2D(3, use_bias=False, name=f"{name}_window", **LAST)(mixture)
    found = layers.BatchNormalization(name=f"{name}_norm")(found)
    found = layers.ReLU(name=f"{name}_relu")(found)
    # The same as Cropping2D(1), whose gradient takes TensorFlow ten times as long.
    inner = ops.image.crop_images(mixture, 1, 1, 1, 1, **LAST)
    return layers.Add(name=f"{name}_add")([found, inner])
