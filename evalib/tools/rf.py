"""`evalib rf`: the receptive fields of a model, on the command line."""

import argparse
import csv
import importlib
import io
import json
import os
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

from evalib import receptive_fields as fields

COLUMNS = """\
columns of the table:
  layer            its name, outer/inner in a nested model, name#2 at its second call
  output           the shape that it gives, without the batch
  kernel, stride   of its own window; parameters: of its weights, counted once
  receptive field  how many input pixels an output pixel sees along each axis; "global": the whole
                   input; "–": nothing of it; "?": not known, with the reason below the table;
                   "*": branches that do not align have met, and this is the extent of them all
  its stride       how many input pixels the fields of two neighbors lie apart
  its padding      how far the first output's field reaches past the top left corner
A narrow terminal leaves columns out; --csv, --json and --markdown have all.
Exit status: 0, or 2 if the model or an option was refused."""


def add_rf(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "rf",
        help="print the receptive field of every layer of a model",
        description="Print shapes, parameters and receptive field of every layer of a network of "
        "keras.applications, or of a model in a .keras file.",
        epilog=COLUMNS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add, alignment = parser.add_argument, parser.add_mutually_exclusive_group()
    form, flag = parser.add_mutually_exclusive_group().add_argument, "store_true"
    add("model", metavar="MODEL", help="VGG16 for example, or path/to/model.keras")
    add("--layer", metavar="NAME", help="only this layer's receptive field")
    add("--source", metavar="NAME", help="the input to look back to")
    add("--output-position", type=_numbers, metavar="ROW,COLUMN", help="with --layer: what it sees")
    add("--measure", action=flag, help="find out by experiment; for layers not known here")
    alignment.add_argument("--strict", action=flag, help="refuse branches that do not align")
    alignment.add_argument("--allow-misaligned", action=flag, help="only note them (the default)")
    add("--input-shape", type=_numbers, metavar="H,W,C", help="for a network: 224,224,3, say")
    add("--no-top", action=flag, help="a network without its last layers")
    text = "a module that registers layers of your own with Keras, or their fields with evalib"
    add("--import", action="append", default=[], dest="modules", metavar="MODULE", help=text)
    for name in ("csv", "json", "markdown"):
        form(f"--{name}", action="store_const", const=name, dest="form", help=f"print {name}")
    add("--picture", type=Path, metavar="IMAGE", help="with --layer: draw its fields on this image")
    add("--out", type=Path, default=Path("rf.png"), help="for --picture (default: %(default)s)")
    parser.set_defaults(command=_rf)


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.replace("x", ",").split(","))
    except ValueError:
        text = f"expected numbers such as 224,224,3, got {text!r}"
        raise argparse.ArgumentTypeError(text) from None


def _rf(arguments: argparse.Namespace) -> int:
    from evalib.networks.applications import load_or_build

    if arguments.layer is None and (arguments.picture or arguments.output_position):
        raise ValueError("expected --layer NAME with --picture and --output-position")
    sys.path.insert(0, os.getcwd())
    for module in arguments.modules:
        try:
            importlib.import_module(module)
        except Exception as error:
            raise ValueError(f"cannot import {module}: {type(error).__name__}: {error}") from error
    options: dict[str, Any] = {"include_top": False} if arguments.no_top else {}
    options |= {"input_shape": arguments.input_shape} if arguments.input_shape else {}
    model = load_or_build(arguments.model, values=bool(arguments.picture), **options)
    with warnings.catch_warnings(record=True, action="always") as noted:
        answer = _answer(model, arguments)
    try:
        print(answer, flush=True)
    except BrokenPipeError:  # `| head` has read enough; what Python flushes at its end goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    for note in noted:
        if "do not align" in str(note.message):
            print(f"evalib: {note.message}", file=sys.stderr)
    return 0


def _answer(model: Any, arguments: argparse.Namespace) -> str:
    from evalib.receptive_fields.inputs import choose_layer

    name, shape, asked = arguments.layer, fields.format_shape, {"source": arguments.source}
    if arguments.form or not (name or arguments.measure):
        table = fields.receptive_field_table(model, strict=arguments.strict, **asked)
        if name is not None:
            rows = choose_layer(name, {row.name: row for row in table}, [])
            table = fields.ReceptiveFieldTable(tuple(rows))
        return _written(table, arguments.form)
    asked |= {} if arguments.measure else {"strict": arguments.strict}
    find = fields.measure_receptive_field if arguments.measure else fields.receptive_field
    field = find(model, name, **asked)
    text, position = f"{name or 'output'}: {field}", arguments.output_position
    if not field.is_global:
        text += f", stride {shape(field.stride)}, padding {shape(field.padding)}"
    if position:
        seen = " x ".join(f"{part.start} to {part.stop - 1}" for part in field.region(position))
        text += f"\noutput {shape(position)} sees pixels {seen}"
    return text + (f"\n{_draw(model, field, arguments)}" if arguments.picture else "")


def _written(table: Any, form: str | None) -> str:
    records = [row.record() for row in table]
    if form == "json":
        return json.dumps(records, indent=1)
    if form == "csv":
        writer = csv.writer(text := io.StringIO(), lineterminator="\n")
        writer.writerow(records[0])
        for values in (record.values() for record in records):
            writer.writerow(fields.format_shape(v) if isinstance(v, list) else v for v in values)
        return text.getvalue().rstrip()
    if form == "markdown":
        cells = [[cell.replace("|", "\\|") for cell in row.cells()] for row in table]
        lines = [table.HEADINGS, ["---"] * len(table.HEADINGS), *cells]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return str(table.columns(shutil.get_terminal_size((80, 24)).columns))


def _draw(model: Any, field: Any, arguments: argparse.Namespace) -> Path:
    """Draw what one output pixel sees of an image, and how much each pixel moves it."""
    import numpy as np
    from matplotlib.figure import Figure
    from PIL import Image

    from evalib.plots.primitives import hide_axes, outline
    from evalib.results import atomic_replace

    height, width, channels = model.inputs[0].shape[1:]
    with Image.open(arguments.picture) as image:
        size = (width or image.width, height or image.height)
        picture = image.convert("L" if channels == 1 else "RGB").resize(size)
    pixels = np.asarray(picture, "float32").reshape(1, picture.height, picture.width, -1) / 255
    output = model.get_layer(arguments.layer).output.shape
    index = arguments.output_position or tuple(size // 2 for size in output[1:3])
    rows, columns = field.region(index)
    influence = fields.effective_field(model, arguments.layer, pixels, index=index)
    axes = (figure := Figure(figsize=(9, 4.8), layout="constrained")).subplots(1, 2)
    axes[0].imshow(picture, cmap="gray")
    axes[1].imshow(influence)
    box = (rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start)
    for one, title in zip(axes, ("what it can see", "how much each pixel moves it"), strict=True):
        hide_axes(one, f"{arguments.layer}: {title}")
        outline(one, box)
    with atomic_replace(arguments.out) as file:
        figure.savefig(file, format="png", dpi=150)
    return Path(arguments.out)
