"""Storing the outputs of an executed copy in the notebook that it was made from."""

from pathlib import Path

import nbformat

from evalib.files import write_atomically
from evalib.tools.notebook_images import compress_png
from evalib.tools.notebook_selection import KERNEL


def store_executed_outputs(source_path: Path, executed_path: Path) -> list[str]:
    """Write the outputs of an executed copy into the notebook that it was made from.

    Everything else of the notebook stays, but for metadata that differs between machines.

    Args:
        source_path: The notebook to write.
        executed_path: Its executed copy.

    Returns:
        What kept the outputs from being stored; empty when they were.
    """
    source = nbformat.read(source_path, as_version=4)
    executed = nbformat.read(executed_path, as_version=4)
    if [c.source for c in source.cells] != [c.source for c in executed.cells]:
        return ["outputs not stored: the notebook was changed while it ran"]
    for cell, run_cell in zip(source.cells, executed.cells, strict=True):
        if cell.cell_type == "code":
            cell.outputs = run_cell.outputs
            for data in (output.get("data", {}) for output in cell.outputs):
                if "image/png" in data:
                    data["image/png"] = compress_png(data["image/png"])
            cell.execution_count = run_cell.execution_count
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
    source.metadata.pop("papermill", None)
    source.metadata["kernelspec"] = dict(KERNEL)
    source.metadata["language_info"] = {"name": "python"}
    text = nbformat.writes(source) + "\n"
    if text != source_path.read_text(encoding="utf-8"):
        write_atomically(source_path, text)
    return []
