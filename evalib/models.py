"""The course's networks. Every layer has a name, so that a notebook can ask for it."""

import keras
from keras import layers

from evalib.layers import conv_block


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
