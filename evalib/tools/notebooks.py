"""Which notebooks are meant, which parameters each has, and what its outputs depend on."""

import contextlib
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from evalib.tools.kernels import OWN_FOLDER


def find_notebook_folder(folder: Path | None = None) -> Path:
    """The folder asked for, or `notebooks` of this checkout, beside evalib, or just here."""
    here, beside = Path.cwd() / "notebooks", OWN_FOLDER / "notebooks"
    checkout = [here] if (Path.cwd() / "evalib" / "__init__.py").is_file() else []
    for candidate in [folder] if folder else [*checkout, beside, here]:
        if candidate.is_dir():
            return candidate.resolve()
    raise ValueError(f"expected a folder of notebooks, found none at {folder or here}")


def select_notebooks(names: Sequence[str], folder: Path) -> list[Path]:
    """Find notebooks in a folder and in `further/` below it.

    Args:
        names: stems, files, numbers ("5", "05") or unambiguous beginnings; all when empty.
        folder: the notebooks' folder.

    Returns:
        The notebooks in the order asked for, each once.

    Raises:
        ValueError: a name fits no notebook or several; there are none; two have one name.
    """
    found = [*sorted(folder.glob("*.ipynb")), *sorted(folder.glob("further/*.ipynb"))]
    known = {path.stem: path for path in found if not path.name.startswith(".")}
    if not known:
        raise ValueError(f"expected notebooks (*.ipynb) in {folder}, found none")
    for path in found:
        if known.get(path.stem, path) != path:
            raise ValueError(f"expected one notebook of that name, got two: {path.stem}")
    return list(dict.fromkeys([_find(name, known, folder) for name in names] or known.values()))


def _find(name: str, known: Mapping[str, Path], folder: Path) -> Path:
    stem = name.removesuffix(".ipynb")
    number = re.compile(rf"0*{int(stem)}(?!\d)" if stem.isdecimal() else "(?!)")
    places = (Path(name).resolve(), folder / name)
    for fits in (
        [one for one, path in known.items() if path in places],
        [one for one in known if one == stem],
        [one for one in known if number.match(one)],
        [one for one in known if stem and one.startswith(stem)],
    ):
        if len(fits) == 1:
            return known[fits[0]]
        if fits:
            raise ValueError(f"{name!r} fits several notebooks: {', '.join(fits)}")
    raise ValueError(f"no notebook is called {name!r}; there are: {', '.join(known)}")


def accepted_parameters(
    paths: Sequence[Path], parameters: Mapping[str, object]
) -> dict[Path, dict[str, object]]:
    """Give each notebook those parameters that the cell tagged `parameters` sets.

    Raises:
        ValueError: no notebook has one of them, or a value cannot be passed on.
    """
    known = {path: _parameter_names(path) for path in paths}
    for name, value in parameters.items():
        try:
            json.dumps({name: value}, ensure_ascii=False).encode("utf-8")
        except (TypeError, ValueError):
            plain = f"expected a plain value for {name}, such as a number or a text in UTF-8"
            raise ValueError(f"{plain}, got {type(value).__name__} {value!r}") from None
        if not any(name in names for names in known.values()):
            rows = [f"  {path.stem}: {', '.join(names) or 'none'}" for path, names in known.items()]
            rows.insert(0, f"no selected notebook has a parameter {name!r}; there are:")
            raise ValueError("\n".join(rows))
    return {path: {n: parameters[n] for n in parameters if n in known[path]} for path in paths}


def _parameter_names(path: Path) -> list[str]:
    cells = _read_cells(path)
    tagged = [text for _, text, tags in cells if "parameters" in tags] if cells else []
    return re.findall(r"^(\w+)\s*(?::[^=\n]*)?=(?!=)", "\n".join(tagged), re.MULTILINE)


def evalib_beside(notebook: Path) -> Path:
    """The folder with the evalib that belongs to a notebook: above it, or else this one's."""
    above = (f for f in notebook.resolve().parents if (f / "evalib" / "__init__.py").is_file())
    return next(above, OWN_FOLDER)


def digest_sources(notebook: Path, output_folder: Path, *others: object) -> str:
    """Digest all that decides how a notebook comes out; what it printed last is no part of it.

    Args:
        notebook: its file. Text counts, for a copy shows it.
        output_folder: where executed copies go, which are no source.
        others: plain values, such as parameters and versions.

    Returns:
        SHA-256 of these, of evalib, and of the results in `outputs/`, which notebooks read.
    """
    folder = evalib_beside(notebook)
    package, results = folder / "evalib", folder / "outputs"
    own = {output_folder} - {*package.parents, package, *results.parents, results}
    no_sources = {results / "executed", results / "sweeps", *own}
    cells: object = _read_cells(notebook)
    with contextlib.suppress(OSError):
        cells = cells or notebook.read_bytes().hex()  # it has an old format, or is damaged
    digest = hashlib.sha256(json.dumps([cells, *others], sort_keys=True).encode())
    for file in sorted([*package.rglob("*"), *results.rglob("*")]):
        name = file.relative_to(folder).as_posix()
        is_source = no_sources.isdisjoint(file.parents) and not re.search(r"/(\.|__pyc)", name)
        if is_source and file.is_file():
            digest.update(f"{name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _read_cells(notebook: Path) -> list[tuple[str, str, list[str]]] | None:
    """Kind, text and tags of each cell; None where it is no notebook, as its run will tell."""
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        return [
            (cell["cell_type"], "".join(cell["source"]), cell["metadata"].get("tags") or [])
            for cell in cells
        ]
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
