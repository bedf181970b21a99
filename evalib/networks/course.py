"""The course's networks. Every layer has a name, so that a notebook can ask for it.

Tensors are `(batch, height, width, channels)`, and class probabilities at least float32.
"""

from collections.abc import Iterable

import keras
from keras import layers, ops

from evalib.networks.layers import LAST, conv_block, softmax_dtype, transition_block, whole_numbers

EXPAND_TO_512 = ((64, 128, 256, 512),) * 3  # kernels of the course's three blocks


def baseline_network() -> keras.Model:
    """The course's first network: 28x28x1 digits to ten probabilities, 68,260 parameters.

    Its last convolution, as large as the image that reaches it, holds nearly all of the weights.
    """
    network = keras.Sequential([keras.Input((28, 28, 1), name="digit")], name="baseline")
    network.add(layers.Conv2D(32, 3, activation="relu", name="conv1", **LAST))
    network.add(layers.Conv2D(10, 1, activation="relu", name="conv2", **LAST))
    network.add(layers.Conv2D(10, 26, name="conv3", **LAST))
    network.add(layers.Flatten(name="flatten", **LAST))
    network.add(layers.Activation("softmax", name="probabilities", dtype=softmax_dtype()))
    return network


def s3_network() -> keras.Model:
    """Our answer to the S3 assignment: fewer than 20,000 parameters, above 99.4 %.

    Digits of shape 28x28x1 in [0, 1] become ten probabilities. Block 1 finds strokes and halves
    the image; block 2 reaches a field of 20x20 pixels with four 3x3 convolutions; a 1x1 convolution
    makes a map for each class, and global average pooling a number. Then comes the softmax alone.
    """
    digit = keras.Input((28, 28, 1), name="digit")
    strokes = conv_block(digit, [16], name="block1", pool_first=True)
    shapes = conv_block(strokes, [24, 24, 24, 20], name="block2")
    return keras.Model(digit, _class_probabilities(shapes, 10), name="s3")


def bsconv_network(first_kernels: int, width: int, blocks: int = 4) -> keras.Model:
    """A network for digits of very few weights: a 3x3 kernel costs little more than a 1x1 one.

    A convolution of `first_kernels` 3x3 kernels and a 2x2 max pooling; then 1 to 6 blocks that mix
    the channels into `width` ones by a 1x1 convolution, apply one 3x3 kernel to each mixture, and
    add the mixture without its outermost pixels: the *blueprint separable convolution* of Haase and
    Amthor (*Rethinking Depthwise Separable Convolutions*, 2020). No layer pads. A dense layer turns
    the average of each channel into ten probabilities.
    """
    sizes = whole_numbers([first_kernels, width, blocks], "kernels, width and blocks")
    if blocks > 6:
        raise ValueError(f"expected 1 to 6 blocks, got {blocks}")
    digit = keras.Input((28, 28, 1), name="digit")
    strokes = layers.Conv2D(sizes[0], 3, use_bias=False, name="strokes", **LAST)(digit)
    strokes = layers.MaxPooling2D(2, name="strokes_pool", **LAST)(strokes)
    # Folding takes a factor through the pooling only if it is not negative.
    norm = layers.BatchNormalization(gamma_constraint="non_neg", name="strokes_norm")
    channels = layers.ReLU(name="strokes_relu")(norm(strokes))
    for number in range(1, blocks + 1):
        name = f"block{number}"
        mixture = layers.Conv2D(width, 1, use_bias=False, name=f"{name}_mix", **LAST)(channels)
        found = layers.DepthwiseConv2D(3, use_bias=False, name=f"{name}_window", **LAST)(mixture)
        found = layers.BatchNormalization(name=f"{name}_norm")(found)
        found = layers.ReLU(name=f"{name}_relu")(found)
        # The same as Cropping2D(1), whose gradient takes TensorFlow ten times as long.
        inner = ops.image.crop_images(mixture, 1, 1, 1, 1, **LAST)
        channels = layers.Add(name=f"{name}_add")([found, inner])
    averages = layers.GlobalAveragePooling2D(name="averages", **LAST)(channels)
    head = {"activation": "softmax", "name": "probabilities", "dtype": softmax_dtype()}
    name = f"blueprint_{first_kernels}_{width}_{blocks}"
    return keras.Model(digit, layers.Dense(10, **head)(averages), name=name)


def session2_network(input_size: int = 400, width: float = 1.0) -> keras.Model:
    """The network where the course's session 2 stopped: 400x400x3 to 187x187x512.

    Five 3x3 convolutions of 32 to 512 kernels, a 2x2 max pooling, a convolution to 32 channels and
    four more 3x3 convolutions of 64 to 512 kernels; no padding, each with a bias and ReLU. Where
    the course leaves a kernel size open (`?x?`), it is 1x1, the answer of session 3. `input_size`
    is at least 28 pixels. `width`, above 0 to 1, scales the channels of every convolution.
    """
    first, second = _scale((32, 64, 128, 256, 512), width), _scale((64, 128, 256, 512), width)
    image = _image(input_size, [len(first), len(second)])
    channels = conv_block(image, first, name="block1", normalize=False)
    channels = transition_block(channels, *_scale([32], width), name="transition1")
    channels = conv_block(channels, second, name="block2", normalize=False)
    return keras.Model(image, channels, name="session2")


def squeeze_expand_network(
    input_size: int = 400,
    width: float = 1.0,
    *,
    block_widths: Iterable[Iterable[int]] = EXPAND_TO_512,
    classes: int = 1000,
    name: str = "squeeze_expand",
) -> keras.Model:
    """The course's squeeze and expand: blocks grow to 512 channels, with a squeeze to 32 between.

    One 3x3 convolution to 32 channels stands alone (`first_conv`). Then each convolution block
    (`block1_conv1`, ...) but the last is followed by a transition block (`transition1_pool`,
    `transition1_mix`). No padding, each convolution with a bias and ReLU. The lecture's table ends
    with the first convolution of block 3, at 91x91x64. We complete that block and add the head:
    a 1x1 convolution to a map for each class, global average pooling and softmax.

    `input_size`, at least 62 here, and `width` are as in `session2_network`, except for the class
    maps. `block_widths` are the numbers of kernels of each block, before that.
    """
    blocks = [_scale(kernels, width) for kernels in block_widths]
    if not blocks:
        raise ValueError("expected the widths of at least one block, got none")
    image = _image(input_size, [1 + len(blocks[0]), *map(len, blocks[1:])])
    (narrow,) = _scale([32], width)
    channels = layers.Conv2D(narrow, 3, activation="relu", name="first_conv", **LAST)(image)
    for number, kernels in enumerate(blocks, start=1):
        if number > 1:
            channels = transition_block(channels, narrow, name=f"transition{number - 1}")
        channels = conv_block(channels, kernels, name=f"block{number}", normalize=False)
    return keras.Model(image, _class_probabilities(channels, classes), name=name)


def _class_probabilities(channels: keras.KerasTensor, classes: int) -> keras.KerasTensor:
    class_maps = layers.Conv2D(classes, 1, name="class_maps", **LAST)(channels)
    averages = layers.GlobalAveragePooling2D(name="class_averages", **LAST)(class_maps)
    return layers.Softmax(name="probabilities", dtype=softmax_dtype())(averages)


def _scale(kernels: Iterable[int], width: float) -> list[int]:
    if not 0 < width <= 1:
        raise ValueError(f"expected a width above 0 and up to 1, got {width}")
    return [max(1, round(width * count)) for count in whole_numbers(kernels, "kernels")]


def _image(input_size: int, runs: list[int]) -> keras.KerasTensor:
    """The input for runs of 3x3 convolutions with poolings between, or an error if too small."""
    smallest = 1 + 2 * runs[-1]
    for convolutions in reversed(runs[:-1]):
        smallest = 2 * smallest + 2 * convolutions
    if input_size < smallest:
        raise ValueError(f"expected an input size of at least {smallest}, got {input_size}")
    return keras.Input((input_size, input_size, 3), name="image")
