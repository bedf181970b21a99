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
    before.metadata |= {"language_info": {"name": "python", "version": "3.1"}, "title": "kept"}
    stored = v4.new_output("stream", text="stored once\n")
    before.cells[3] |= {"outputs": [stored], "execution_count": 7}
    before.cells[4].metadata["papermill"] = {"duration": 1.0}
    nbformat.write(before, path)
    path.chmod(0o640)

    (run,) = run_notebooks(store_outputs=True, notebooks=path.parent)

    assert run.passed, run.error
    assert (run.executed_cells, run.total_cells) == (3, 3)
    assert run.warnings == ["stderr output in cell 2"]
    after = nbformat.read(path, as_version=4)
    assert [(c.source, c.id) for c in after.cells] == [(c.source, c.id) for c in before.cells]
    tags = [{}, {"tags": ["parameters"]}, {}, {"tags": ["skip-execution"]}, {}]
    assert [dict(cell.metadata) for cell in after.cells] == tags
    own = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    assert after.metadata == {**own, "title": "kept"}
    assert [cell.execution_count for cell in after.cells[1:]] == [1, 2, 7, 3]
    streams = sorted((output.name, output.text) for output in after.cells[2].outputs)
    assert streams == [("stderr", "!\n!\n!\n"), ("stdout", "0\n1\n2\n")]
    assert after.cells[3].outputs == [stored]
    assert after.cells[4].outputs[0].data == {"text/plain": "42"}
    assert "Straße" in path.read_text(encoding="utf-8")
    assert path.stat().st_mode & 0o777 == 0o640
    assert half_written(tmp_path) == []


def test_outputs_are_not_stored_where_they_do_not_belong(tmp_path: Path) -> None:
    folder = tmp_path / "notebooks"
    failing = write_notebook(folder / "a.ipynb", "print(1)", "1 / 0")
    edit = "text = open('b.ipynb').read()\nopen('b.ipynb', 'w').write(text.replace('x=1', 'x=2'))"
    itself = write_notebook(folder / "b.ipynb", "x=1", edit)
    paired = write_notebook(folder / "c.ipynb", "open('src/c.py', 'a').write('# %%\\n2\\n');")
    (folder / "src").mkdir()
    (folder / "src" / "c.py").write_text(f"# %%\n{cells_of(paired)[0].source}\n")
    before = [path.read_bytes() for path in (failing, paired)]

    failed, *edited = run_notebooks(store_outputs=True, notebooks=folder)

    assert [failed.passed, *(run.passed for run in edited)] == [False, True, True]
    for run, what in zip(edited, ("the notebook", "its script in src/"), strict=True):
        assert run.warnings == [f"outputs not stored: {what} was changed while it ran"]
    assert [path.read_bytes() for path in (failing, paired)] == before
    assert not any(cell.outputs for cell in cells_of(itself))
    # The script is still ahead: this time nothing runs at all.
    with pytest.raises(ValueError, match=r"c: notebook and script in src/ differ.*sync"):
        run_notebooks(store_outputs=True, notebooks=folder)


@pytest.mark.parametrize(
    "pieces",
    [
        ["oa", "ob\n", "ew\n", "oc\n", "ev\n"],
        ["o1/3\r", "o2/3\r3/3\ndone\r", "o\r\n5\r"],
        ["o\b\b\r12 [===]" + "\b" * 9 + "\r13 [####]\n"],
    ],
)
def test_streams_are_joined_as_nbval_compares_them(pieces: list[str]) -> None:
    def outputs() -> list[nbformat.NotebookNode]:
        streams = [("stderr" if piece[0] == "e" else "stdout", piece[1:]) for piece in pieces]
        nodes = [v4.new_output("stream", name=name, text=text) for name, text in streams]
        return [nodes[0], v4.new_output("display_data", {"text/plain": "between"}), *nodes[1:]]

    assert join_streams(outputs()) == coalesce_streams(outputs())


def encode(*frames: np.ndarray) -> str:
    buffer = io.BytesIO()
    first, *others = map(Image.fromarray, frames)
    first.save(buffer, "PNG", compress_level=1, save_all=True, append_images=others)
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
    moving = compress_png(encode(pixels, pixels[::-1], pixels[:, ::-1]))
    assert getattr(decode(moving), "n_frames", 1) == 3


def test_a_large_picture_gets_a_palette_close_to_its_colors() -> None:
    # Smooth colors with grain: what photographs are made of, and PNG cannot compress.
    ramp = np.linspace(0, 240, 200)
    pixels = np.stack(np.broadcast_arrays(ramp, ramp[:, np.newaxis], 60.0), axis=-1)
    pixels = (pixels + np.random.default_rng(0).integers(0, 12, pixels.shape)).astype(np.uint8)
    exact = compress_png(encode(pixels), exact_up_to=10**6)
    np.testing.assert_array_equal(np.asarray(decode(exact)), pixels)
    small = compress_png(encode(pixels), exact_up_to=50_000)
    assert len(small) < 0.6 * len(exact)
    error = np.asarray(decode(small).convert("RGB")).astype(float) - pixels
    assert np.sqrt(np.square(error).mean()) < 12
