"""What is stored in a notebook: outputs that passed, compressed, and nothing else."""

import base64
import io
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbformat import v4
from nbval.plugin import coalesce_streams
from PIL import Image

from evalib.tools.kernels import KERNEL
from evalib.tools.run import run_notebooks
from evalib.tools.store import compress_png, join_streams
from tests.tools.notebook_calls import cells_of, half_written, tagged, write_notebook

pytestmark = pytest.mark.usefixtures("found")


def test_stored_outputs_change_nothing_else(tmp_path: Path) -> None:
    path = write_notebook(
        tmp_path / "notebooks" / "a.ipynb",
        v4.new_markdown_cell("# Straße"),
        tagged("EPOCHS = 1", "parameters"),
        "import sys\nfor n in range(3):\n    print(n, flush=True)\n    print('!', file=sys.stderr)",
        tagged("print('on Colab only')", "skip-execution"),
        "6 * 7",
    )
    before = nbformat.read(path, as_version=4)
    before.metadata["language_info"] = {"name": "python", "version": "3.1"}
    before.metadata["title"] = "kept"
    before.cells[3].outputs = [v4.new_output("stream", text="stored once\n")]
    before.cells[3].execution_count = 7
    before.cells[4].metadata["papermill"] = {"duration": 1.0}
    nbformat.write(before, path)
    path.chmod(0o640)

    (run,) = run_notebooks(store_outputs=True, notebooks=path.parent)

    assert run.passed, run.error
    assert (run.executed_cells, run.total_cells) == (3, 3)
    assert run.warnings == ["stderr output in cell 2"]
    text = path.read_text(encoding="utf-8")
    after = nbformat.read(path, as_version=4)
    assert [(c.source, c.id) for c in after.cells] == [(c.source, c.id) for c in before.cells]
    tags = [{}, {"tags": ["parameters"]}, {}, {"tags": ["skip-execution"]}, {}]
    assert [dict(cell.metadata) for cell in after.cells] == tags
    language = {"name": "python"}
    assert after.metadata == {"kernelspec": KERNEL, "language_info": language, "title": "kept"}
    assert [cell.execution_count for cell in after.cells[1:]] == [1, 2, 7, 3]
    streams = sorted((output.name, output.text) for output in after.cells[2].outputs)
    assert streams == [("stderr", "!\n!\n!\n"), ("stdout", "0\n1\n2\n")]
    assert after.cells[3].outputs[0].text == "stored once\n"
    assert after.cells[4].outputs[0].data == {"text/plain": "42"}
    assert "Straße" in text
    assert (text[:10], text[-2:]) == ('{\n "cells"', "}\n")
    assert path.stat().st_mode & 0o777 == 0o640
    assert half_written(tmp_path) == []


def test_outputs_are_not_stored_where_they_do_not_belong(tmp_path: Path) -> None:
    folder = tmp_path / "notebooks"
    failing = write_notebook(folder / "a.ipynb", "print(1)", "1 / 0")
    itself, script = folder / "b.ipynb", folder / "src" / "c.py"
    edit = f"path = {str(itself)!r}\ntext = open(path).read().replace('x = 1', 'x = 2')"
    write_notebook(itself, "x = 1", f"{edit}\nopen(path, 'w').write(text)")
    paired = write_notebook(folder / "c.ipynb", f"open({str(script)!r}, 'a').write('# %%\\n2\\n');")
    script.parent.mkdir()
    script.write_text(f"# %%\n{cells_of(paired)[0].source}\n")
    before = [path.read_bytes() for path in (failing, paired)]

    failed, *edited = run_notebooks(store_outputs=True, notebooks=folder)

    assert not failed.passed
    assert [run.passed for run in edited] == [True, True]
    assert [run.warnings for run in edited] == [
        ["outputs not stored: the notebook was changed while it ran"],
        ["outputs not stored: its script in src/ was changed while it ran"],
    ]
    assert [path.read_bytes() for path in (failing, paired)] == before
    assert not any(cell.outputs for cell in cells_of(itself))
    # The script is still ahead: this time nothing runs at all.
    with pytest.raises(ValueError, match=r"c: the notebook and its script in src/ differ.*sync"):
        run_notebooks(store_outputs=True, notebooks=folder)


@pytest.mark.parametrize(
    "pieces",
    [
        [("stdout", "a"), ("stdout", "b\n"), ("stderr", "w\n"), ("stdout", "c\n")],
        [("stderr", "w\n"), ("stdout", "b\n"), ("stderr", "v\n")],
        [("stdout", "1/3\r"), ("stdout", "2/3\r3/3\ndone\r"), ("stdout", "\r\n5\r")],
        [("stdout", "\b\b\r12 [===]" + "\b" * 9 + "\r13 [####]\n")],
    ],
)
def test_streams_are_joined_as_nbval_compares_them(pieces: list[tuple[str, str]]) -> None:
    def outputs() -> list[nbformat.NotebookNode]:
        shown = v4.new_output("display_data", {"text/plain": "between"})
        streams = [v4.new_output("stream", name=name, text=text) for name, text in pieces]
        return [streams[0], shown, *streams[1:]]

    assert join_streams(outputs()) == coalesce_streams(outputs())


def encode(pixels: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def decode(encoded: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(encoded)))


def test_pixels_transparency_and_movement_stay() -> None:
    pixels = np.random.default_rng(0).integers(0, 8, (40, 50, 4), dtype=np.uint8)
    np.testing.assert_array_equal(np.asarray(decode(compress_png(encode(pixels)))), pixels)
    pixels[..., 3] = 255
    compressed = compress_png(encode(pixels))
    assert len(compressed) < len(encode(pixels))
    np.testing.assert_array_equal(np.asarray(decode(compressed)), pixels[..., :3])
    assert compress_png(compressed) == compressed
    frames = [Image.fromarray(np.full((9, 9, 3), gray, np.uint8)) for gray in (0, 99, 200)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "PNG", save_all=True, append_images=frames[1:])
    moving = base64.b64encode(buffer.getvalue()).decode("ascii")
    assert getattr(decode(compress_png(moving)), "n_frames", 1) == 3


def test_a_large_picture_gets_a_palette_close_to_its_colors() -> None:
    random = np.random.default_rng(0)
    # Smooth colors with grain: what photographs are made of, and PNG cannot compress.
    ramp = np.linspace(0, 240, 200)
    pixels = np.stack(np.broadcast_arrays(ramp, ramp[:, np.newaxis], 60.0), axis=-1)
    pixels = (pixels + random.integers(0, 12, pixels.shape)).astype(np.uint8)
    exact = compress_png(encode(pixels), exact_up_to=10**6)
    np.testing.assert_array_equal(np.asarray(decode(exact)), pixels)
    small = compress_png(encode(pixels), exact_up_to=50_000)
    assert len(small) < 0.6 * len(exact)
    error = np.asarray(decode(small).convert("RGB")).astype(float) - pixels
    assert np.sqrt(np.square(error).mean()) < 12
    assert abs(error.mean()) < 1
