"""The course's networks. Every layer has a name, so that a notebook can ask for it."""

from collections.abc import Sequence

import keras
from keras import layers

from evalib.networks.layers import conv_block, transition_block

# How many kernels the 3x3 convolutions of each block have.
EXPAND_TO_512 = ((64, 128, 256, 512),) * 3  # the course's three blocks
WIDENING = ((64,) * 4, (128,) * 4, (256,) * 4, (512,) * 4)  # as ResNet has it


def baseline_network() -> keras.Model:
    """The course's first network: 28x28x1 digits to ten probabilities, 68,260 parameters.

    Its last convolution is as large as the image that reaches it, 26x26, and holds nearly all
    of the weights. The course's notebook has it in these layers, without names.
    """
    return keras.Sequential(
        [
            keras.Input((28, 28, 1), name="digit"),
            layers.Conv2D(32, 3, activation="relu", name="conv1"),
            layers.Conv2D(10, 1, activation="relu", name="conv2"),
            layers.Conv2D(10, 26, name="conv3"),
            layers.Flatten(name="flatten"),
            layers.Activation("softmax", name="probabilities"),
        ],
        name="baseline",
    )


def s3_network() -> keras.Model:
    """Our answer to the S3 assignment: fewer than 20,000 parameters, above 99.4 %.

    Digits of shape 28x28x1 in [0, 1] become ten probabilities. Block 1 finds strokes and halves
    the image; block 2 reaches a field of 20x20 pixels with four 3x3 convolutions; a 1x1 convolution
    turns 20 channels into a map for each class, and global average pooling turns each map into a
    number. Nothing stands between that number and the softmax.
    """
    digit = keras.Input((28, 28, 1), name="digit")
    strokes = conv_block(digit, [16], name="block1", pool_first=True)
    shapes = conv_block(strokes, [24, 24, 24, 20], name="block2")
    class_maps = layers.Conv2D(10, 1, name="class_maps")(shapes)
    averages = layers.GlobalAveragePooling2D(name="class_averages")(class_maps)
    probabilities = layers.Softmax(name="probabilities")(averages)
    return keras.Model(digit, probabilities, name="s3")


def session2_network(input_size: int = 400, width: float = 1.0) -> keras.Model:
    """The network where the course's session 2 stopped: 400x400x3 to 187x187x512.

    Five 3x3 convolutions of 32 to 512 kernels, a 2x2 max pooling, a convolution down to 32
    channels and four more 3x3 convolutions of 64 to 512 kernels; no padding, each with a bias and
    ReLU. The course leaves the size of the kernel that comes down to 32 open (`?x?`). Here it is
    1x1, the answer of session 3; its layers are `transition1_pool` and `transition1_mix`.

    Args:
        input_size: height and width of the image in pixels, at least 28.
        width: scales the channels of every convolution, above 0 to 1. A sixteenth runs in a
            notebook; sizes and receptive fields do not depend on it.

    Raises:
        ValueError: the input is too small, or the width out of its range.
    """
    blocks = ((32, 64, 128, 256, 512), (64, 128, 256, 512))
    _check_size(input_size, [len(kernels) for kernels in blocks])
    (mixtures,) = _scale([32], width)
    image = keras.Input((input_size, input_size, 3), name="image")
    channels = conv_block(image, _scale(blocks[0], width), name="block1", normalize=False)
    channels = transition_block(channels, mixtures, name="transition1")
    channels = conv_block(channels, _scale(blocks[1], width), name="block2", normalize=False)
    return keras.Model(image, channels, name="session2")


def squeeze_expand_network(
    input_size: int = 400,
    width: float = 1.0,
    *,
    block_widths: Sequence[Sequence[int]] = EXPAND_TO_512,
    classes: int = 1000,
    name: str = "squeeze_expand",
) -> keras.Model:
    """The course's squeeze and expand: blocks grow to 512 channels, with a squeeze to 32 between.

    One 3x3 convolution to 32 channels stands alone (`first_conv`). Then each convolution block
    (`block1_conv1`, ...) is followed by a transition block to 32 channels (`transition1_pool`,
    `transition1_mix`), except the last. No padding, each convolution with a bias and ReLU. The
    lecture's table ends with the first convolution of block 3, at 91x91x64. We complete that block
    as the others and add the head that the course asks for: a 1x1 convolution to a map for each
    class, global average pooling and softmax.

    Args:
        input_size: height and width of the image in pixels; at least 62 with the course's blocks.
        width: scales the channels of every convolution but the class maps, above 0 to 1.
        block_widths: how many kernels the 3x3 convolutions of each block have, before scaling.
            Two networks whose blocks are equally long differ in nothing but channels: they have
            the same layers, sizes and receptive fields. That makes their costs comparable.
        classes: how many probabilities the network gives.
        name: the model's name.

    Raises:
        ValueError: the input is too small, the width out of its range, or there is no block
            or an empty one.
    """
    if not block_widths:
        raise ValueError("expected the widths of at least one block, got none")
    lengths = [len(kernels) for kernels in block_widths]
    _check_size(input_size, [1 + lengths[0], *lengths[1:]])
    (narrow,) = _scale([32], width)
    image = keras.Input((input_size, input_size, 3), name="image")
    channels = layers.Conv2D(narrow, 3, activation="relu", name="first_conv")(image)
    for number, kernels in enumerate(block_widths, start=1):
        if number > 1:
            channels = transition_block(channels, narrow, name=f"transition{number - 1}")
        channels = conv_block(
            channels, _scale(kernels, width), name=f"block{number}", normalize=False
        )
    class_maps = layers.Conv2D(classes, 1, name="class_maps")(channels)
    averages = layers.GlobalAveragePooling2D(name="class_averages")(class_maps)
    probabilities = layers.Softmax(name="probabilities")(averages)
    return keras.Model(image, probabilities, name=name)


def widening_network(
    input_size: int = 400, width: float = 1.0, *, classes: int = 1000
) -> keras.Model:
    """ResNet's alternative: four blocks that are 64, 128, 256 and 512 channels wide throughout.

    Everything but the number of kernels in the blocks is that of
    `squeeze_expand_network(block_widths=[(64, 128, 256, 512)] * 4)`: the first convolution, four
    3x3 convolutions a block, the transitions to 32 channels, the head. So that network is the one
    to compare its cost with; the course's own has three blocks.

    Args:
        input_size: height and width of the image in pixels, at least 130.
        width: scales the channels of every convolution but the class maps, above 0 to 1.
        classes: how many probabilities the network gives.

    Raises:
        ValueError: the input is too small, or the width out of its range.
    """
    return squeeze_expand_network(
        input_size, width, block_widths=WIDENING, classes=classes, name="widening"
    )


def _scale(kernels: Sequence[int], width: float) -> list[int]:
    """Scale numbers of kernels, and leave at least one of each."""
    if not 0 < width <= 1:
        raise ValueError(f"expected a width above 0 and up to 1, got {width}")
    return [max(1, round(width * count)) for count in kernels]


def _check_size(input_size: int, runs: Sequence[int]) -> None:
    """Raise where an image is too small for runs of 3x3 convolutions with poolings between."""
    *earlier, last = runs
    smallest = 1 + 2 * last
    for convolutions in reversed(earlier):
        smallest = 2 * smallest + 2 * convolutions
    if input_size < smallest:
        raise ValueError(f"expected an input size of at least {smallest}, got {input_size}")
