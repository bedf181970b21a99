"""Several networks that predict as one."""

from collections.abc import Iterable

import keras
from keras import layers


def ensemble(members: Iterable[keras.Model]) -> keras.Model:
    """Build the network that gives the mean of several trained networks' probabilities.

    Networks that were trained apart err in part on different images, so their mean tends to err
    less than each of them (Hansen and Salamon, *Neural Network Ensembles*, 1990; with networks that
    differ only in their seed: Lakshminarayanan, Pritzel and Blundell, 2017).

    Args:
        members: functional or Sequential models with the same input shape and the same classes.

    Returns:
        A functional model, which holds the members as `member1` and so on, and shares their
        weights.

    Raises:
        ValueError: there is no member, or their shapes differ.
    """
    members = list(members)
    if not members:
        raise ValueError("expected at least one member, got none")
    first, *others = members
    for other in others:
        for side in ("input_shape", "output_shape"):
            found, expected = getattr(other, side), getattr(first, side)
            if found != expected:
                raise ValueError(f"expected members with {side} {expected}, got {found}")
    images = keras.Input(first.input_shape[1:], name="images")
    # Networks of one name cannot be connected: each gets a name of its own.
    named = [
        keras.Model(member.inputs[0], member.outputs[0], name=f"member{number}")
        for number, member in enumerate(members, start=1)
    ]
    predictions = [member(images) for member in named]
    mean = layers.Average(name="mean")(predictions) if others else predictions[0]
    return keras.Model(images, mean, name=f"ensemble_of_{len(members)}")
