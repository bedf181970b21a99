"""Several small networks that answer as one."""

from collections.abc import Sequence

import keras
from keras import layers


def ensemble(members: Sequence[keras.Model]) -> keras.Model:
    """Build the network that gives the mean of what several trained networks answer.

    Networks that were trained apart err in part on different images, so their mean tends to err
    less than each of them (Hansen and Salamon, *Neural Network Ensembles*, 1990; with networks that
    differ only in their seed: Lakshminarayanan, Pritzel and Blundell, 2017).

    Args:
        members: functional or Sequential models with the same input shape and the same classes.

    Returns:
        A functional model: images to the mean of the members' probabilities. It holds the members
        as `member1`, `member2` and so on, and shares their weights.

    Raises:
        ValueError: there is no member, or their shapes differ.

    Example:
        >>> from evalib.networks.bsconv import bsconv_network
        >>> members = [bsconv_network(3, 6) for _ in range(2)]
        >>> ensemble(members).count_params() == 2 * members[0].count_params()
        True
    """
    if not members:
        raise ValueError("expected at least one member, got none")
    first, *others = members
    for other in others:
        for side in ("input_shape", "output_shape"):
            given, expected = getattr(other, side), getattr(first, side)
            if given != expected:
                raise ValueError(f"expected members with {side} {expected}, got {given}")
    images = keras.Input(first.input_shape[1:], name="images")
    # Networks of one name cannot be connected: each gets a name of its own.
    named = [
        keras.Model(member.inputs[0], member.outputs[0], name=f"member{number}")
        for number, member in enumerate(members, start=1)
    ]
    answers = [member(images) for member in named]
    mean = layers.Average(name="mean")(answers) if others else answers[0]
    return keras.Model(images, mean, name=f"committee_of_{len(members)}")
