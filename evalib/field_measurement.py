"""Receptive fields by experiment."""


def measure_receptive_field(model, layer=None):
    raise NotImplementedError
