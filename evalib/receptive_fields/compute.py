"""Receptive fields of Keras models: exact for whole graphs, and measured by experiment.

`receptive_field` and `receptive_field_table` compute from the graph alone; `arithmetic` has the
arithmetic, `rules` says what each kind of layer reads. `measure_receptive_field` runs the model
instead, and looks which pixels matter.
"""

from collections.abc import Sequence

import keras

from evalib.networks.graph import Call, run_through_graph, sibling_paths, tensors
from evalib.receptive_fields.arithmetic import AxisField, ReceptiveField
from evalib.receptive_fields.inputs import choose_layer, choose_sources, position_axes
from evalib.receptive_fields.rules import read
from evalib.receptive_fields.table import ReceptiveFieldTable, make_row
from evalib.receptive_fields.tensor_fields import (
    AxisMap,
    LayerCall,
    MisalignedError,
    Shape,
    TensorField,
)

# What is known of a tensor: what it sees, `None` if nothing, or why that cannot be said.
FieldOrError = TensorField | ValueError | None


def receptive_field(
    model: keras.Model,
    layer: str | None = None,
    *,
    source: str | None = None,
    check_alignment: bool = True,
) -> ReceptiveField:
    """The part of the input that can influence one output pixel of a layer.

    Exact for convolutions of every kind, poolings, padding, cropping, resampling, and all that
    works pixel by pixel; branches are followed and compared where they meet. Dropout and other
    layers that act in training only are taken as at inference. The formulas are those of Araujo,
    Norris and Sim, Distill 2019.

    Args:
        model: a Sequential or functional model; it may hold other models.
        layer: the layer's name, `outer/inner` or just `inner` in a nested model; the model's
            output unless told otherwise.
        source: the name of the input to look back to. Without it all inputs of the same size
            count as one, as channels of one image would.
        check_alignment: whether siblings are refused whose centers lie more than half a step
            apart. Without the check the field is the extent of them all.

    Returns:
        Size, stride and padding in input pixels, one number for each axis; "global" where the
        layer sees the whole input.

    Raises:
        ValueError: the model has no graph; the layer or the input is not in it; a layer's kind is
            not known (see `register_layer`); or branches meet that do not align.

    Example:
        >>> from keras import Input, Sequential, layers
        >>> model = Sequential([Input((28, 28, 1)), layers.Conv2D(8, 3), layers.MaxPooling2D(2)])
        >>> field = receptive_field(model)
        >>> field.size, field.stride
        ((4, 4), (2, 2))
    """
    trace = _Trace(model, source, check_alignment)
    findings = trace.inputs | {name: finding for name, (_, finding) in trace.calls.items()}
    names = [tensor._keras_history.operation.name for tensor in tensors(model, "outputs")]
    outputs = list(zip(names, trace.outputs, strict=True))
    found = [trace.field(finding) for finding in choose_layer(layer, findings, outputs)]
    if any(field != found[0] for field in found):
        raise ValueError(
            f"expected a layer with one receptive field, got {layer or 'a model'} with several: "
            + ", ".join(map(str, found))
        )
    if found[0] is None:
        raise ValueError(f"{layer or 'the output'} does not depend on the input {source or ''}")
    return found[0]


def receptive_field_table(
    model: keras.Model, *, source: str | None = None, check_alignment: bool = True
) -> ReceptiveFieldTable:
    """Shapes, kernel, stride, dilation, parameters and receptive field of every layer.

    Args:
        model: as for `receptive_field`, and so are the other arguments.
        source: the name of the input to look back to.
        check_alignment: whether siblings that do not align are refused.

    Returns:
        A row a layer in the order of the graph, the layers of nested models included. Layers that
        do not depend on the source have no receptive field.

    Raises:
        ValueError: as for `receptive_field`.
    """
    trace = _Trace(model, source, check_alignment)
    counted: set[int] = set()
    rows = []
    for name, (call, finding) in trace.calls.items():
        shapes = (trace.shape(call.inputs[0]), trace.shape(call.outputs[0], finding))
        field = trace.field(finding)
        rows.append(make_row(call.layer, name, shapes, field, counted=id(call.layer) in counted))
        counted.add(id(call.layer))
    return ReceptiveFieldTable(tuple(rows))


class _Trace:
    """One walk through a model's graph, and what each tensor was found to see."""

    def __init__(self, model: keras.Model, source: str | None, check_alignment: bool) -> None:
        self.check_alignment = check_alignment
        self.calls: dict[str, tuple[Call, FieldOrError]] = {}
        inputs = tensors(model, "inputs")
        chosen = choose_sources(model, inputs, source)
        axes = [position_axes(model, tensor) for tensor in inputs]
        first = inputs[chosen[0]]
        self.input_size = tuple(first.shape[axis] for axis in axes[chosen[0]])
        fields: list[FieldOrError] = [
            tuple(AxisMap(axis, AxisField.identity(tensor.shape[axis])) for axis in axes[number])
            if number in chosen
            else None
            for number, tensor in enumerate(inputs)
        ]
        self.inputs = {
            tensor.name: tensor_field for tensor, tensor_field in zip(inputs, fields, strict=True)
        }
        self.outputs = run_through_graph(model, fields, self._visit)

    def _visit(self, call: Call, findings: list[FieldOrError]) -> list[FieldOrError]:
        finding = self._find(call, findings)
        self.calls[call.name] = (call, finding)
        return [finding] * len(call.outputs)

    def _find(self, call: Call, findings: Sequence[FieldOrError]) -> FieldOrError:
        for finding in findings:
            if isinstance(finding, ValueError):
                return finding
        fields = [finding for finding in findings if finding is not None]
        if not fields:
            return None
        reading = LayerCall(
            layer=call.layer,
            fields=tuple(fields),  # type: ignore[arg-type]
            shape=(None, *self.shape(call.inputs[0], findings[0])),
            output_shape=tuple(call.outputs[0].shape),
            arguments=call.arguments[0],
            input_size=self.input_size,
            check_alignment=self.check_alignment,
        )
        try:
            return read(reading)
        except MisalignedError as error:
            return ValueError(_misaligned(call, error))
        except ValueError as error:
            return error

    def shape(self, tensor: keras.KerasTensor, finding: FieldOrError = None) -> Shape:
        """A tensor's shape without the batch; a nested model may know less of it than the sight."""
        sizes = list(tensor.shape)
        if isinstance(finding, tuple):
            for view in finding:
                if view.axis is not None and view.field is not None and not view.order_lost:
                    sizes[view.axis] = view.field.size
        return tuple(sizes[1:])

    def field(self, finding: FieldOrError) -> ReceptiveField | None:
        """The summary of what was found, or the error that was met on the way."""
        if isinstance(finding, ValueError):
            raise finding
        if finding is None:
            return None
        field = ReceptiveField.from_axes([view.field for view in finding], self.input_size)
        if not any(view.order_lost for view in finding):
            return field
        # Each value still sees as much, but its place no longer says where.
        nowhere = (None,) * len(field.size)
        return ReceptiveField(field.size, nowhere, nowhere)


def _misaligned(call: Call, error: MisalignedError) -> str:
    paths = " and ".join(f"'{path}'" for path in sibling_paths(call.inputs))
    return (
        f"expected branches that align where {call.name!r} joins them, got {paths}: {error}. "
        "With check_alignment=False the field is the extent of them all, if their strides agree"
    )
