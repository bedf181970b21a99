"""Storing the outputs of an executed copy in the notebook that it was made from."""

import base64
import io
import re
from collections.abc import Sequence
from pathlib import Path

import nbformat
from PIL import Image

from evalib.results import write_atomically
from evalib.tools.kernels import KERNEL


def has_tag(cell: nbformat.NotebookNode, tag: str) -> bool:
    return tag in cell.metadata.get("tags", [])


def store_executed(notebook: Path, executed: Path) -> list[str]:
    """Write a copy's outputs into its notebook, and nothing else; say what kept it from that."""
    source, copy = (nbformat.read(path, as_version=4) for path in (notebook, executed))
    if [cell.source for cell in source.cells] != [cell.source for cell in copy.cells]:
        return ["outputs not stored: the notebook was changed while it ran"]
    if differs_from_script(notebook):
        return ["outputs not stored: its script in src/ was changed while it ran"]
    for cell, run_cell in zip(source.cells, copy.cells, strict=True):
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        if cell.cell_type != "code" or has_tag(cell, "skip-execution"):  # which was not run
            continue
        cell.outputs, cell.execution_count = run_cell.outputs, run_cell.execution_count
        for data in (output.get("data", {}) for output in cell.outputs):
            if "image/png" in data:
                data["image/png"] = compress_png(data["image/png"])
    source.metadata.pop("papermill", None)
    source.metadata["kernelspec"] = dict(KERNEL)
    source.metadata["language_info"] = {"name": "python"}
    text = nbformat.writes(source) + "\n"
    if text != notebook.read_text(encoding="utf-8"):
        write_atomically(notebook, text)
    return []


def differs_from_script(notebook: Path) -> bool:
    """Whether jupytext's script of a notebook exists and has cells that `--sync` would lose."""
    script = notebook.parent / "src" / f"{notebook.stem}.py"
    if not script.exists():
        return False
    import jupytext

    pair = (nbformat.read(notebook, as_version=4), jupytext.read(script, fmt="py:percent"))
    cells = [[(c.cell_type, c.source, c.metadata.get("tags", [])) for c in n.cells] for n in pair]
    return cells[0] != cells[1]


def join_streams(outputs: Sequence[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Join what a cell printed as nbval does, in linear time; of a line the last state stays."""
    texts: dict[str, list[str]] = {}
    joined = []
    for output in outputs:
        if output.output_type != "stream" or output.name not in texts:
            joined.append(output)
        if output.output_type == "stream":
            texts.setdefault(output.name, []).append(output.text)
    for output in joined:
        if output.output_type == "stream":
            output.text = re.sub(r"(?m)^.*\r(?=[^\n])", "", "".join(texts[output.name]))
    return joined


def compress_png(encoded: str, exact_up_to: int = 80_000) -> str:
    """Compress a PNG picture in base64: exactly, or, if it stays large, to its 256 best colors."""
    picture: Image.Image = Image.open(io.BytesIO(base64.b64decode(encoded)))
    if getattr(picture, "is_animated", False):
        return encoded
    if picture.mode == "RGBA" and picture.getchannel("A").getextrema() == (255, 255):
        picture = picture.convert("RGB")
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    if buffer.tell() > exact_up_to and picture.mode == "RGB":
        buffer = io.BytesIO()
        picture.quantize(256).save(buffer, "PNG", optimize=True)
    compressed = base64.b64encode(buffer.getvalue()).decode("ascii")
    return compressed if len(compressed) < len(encoded) else encoded
