"""Networks of very few weights: each 3x3 convolution is a mixture of channels and a window each."""

import keras
from keras import layers, ops

_INPUT = 28


def bsconv_network(first_kernels: int, width: int, blocks: int = 4) -> keras.Model:
    """A network for digits in which a 3x3 kernel costs little more than a 1x1 one.

    One dense 3x3 convolution and a 2x2 max pooling; then blocks that mix the channels with a 1x1
    convolution and look around with one 3x3 window a channel. That is a 3x3 convolution whose
    kernels are one window each, weighted differently for every channel that it reads: the
    *blueprint separable convolution* of Haase and Amthor (*Rethinking Depthwise Separable
    Convolutions*, 2020). They found, in trained networks, that most of what a kernel holds is
    such a window. A separable convolution has the two steps in the other order.

    The mixture is also added to what the window found, without the outermost pixels. No layer
    pads. A dense layer turns the average of each channel into the ten probabilities.

    With `fold_normalization`, block n has `inputs * width + 10 * width` weights.

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
    if first_kernels < 1 or width < 1 or not 1 <= blocks <= 6:
        raise ValueError(
            "expected at least 1 kernel, a width of at least 1 and 1 to 6 blocks, got "
            f"{first_kernels}, {width} and {blocks}"
        )
    digit = keras.Input((_INPUT, _INPUT, 1), name="digit")
    strokes = layers.Conv2D(first_kernels, 3, use_bias=False, name="strokes")(digit)
    strokes = layers.MaxPooling2D(2, name="strokes_pool")(strokes)
    # A factor below zero could not move in front of the pooling, as folding wants it.
    strokes = layers.BatchNormalization(
        gamma_constraint=keras.constraints.NonNeg(), name="strokes_norm"
    )(strokes)
    channels = layers.ReLU(name="strokes_relu")(strokes)
    for number in range(1, blocks + 1):
        channels = bsconv_block(channels, width, name=f"block{number}")
    averages = layers.GlobalAveragePooling2D(name="averages")(channels)
    probabilities = layers.Dense(10, activation="softmax", name="probabilities")(averages)
    name = f"blueprint_{first_kernels}_{width}_{blocks}"
    return keras.Model(digit, probabilities, name=name)


def bsconv_block(channels: keras.KerasTensor, width: int, *, name: str) -> keras.KerasTensor:
    """A mixture of channels, and what one 3x3 window each finds in it added to it."""
    mixture = layers.Conv2D(width, 1, use_bias=False, name=f"{name}_mix")(channels)
    found = layers.DepthwiseConv2D(3, use_bias=False, name=f"{name}_window")(mixture)
    found = layers.BatchNormalization(name=f"{name}_norm")(found)
    found = layers.ReLU(name=f"{name}_relu")(found)
    # The same as Cropping2D(1), whose gradient takes TensorFlow ten times as long.
    inner = ops.image.crop_images(mixture, 1, 1, 1, 1)
    return layers.Add(name=f"{name}_add")([found, inner])
