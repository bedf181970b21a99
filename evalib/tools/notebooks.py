"""Which notebooks are meant, which parameters each has, and what its outputs depend on."""

import contextlib
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from evalib.tools.colab import read_cells
from evalib.tools.kernels import OWN_FOLDER


def select_notebooks(
    names: Sequence[str] = (), folder: Path | None = None
) -> tuple[Path, list[Path], list[Path]]:
    """Find the folder of notebooks, all in it and in `further/` below it, and those asked for.

    A name is a file, a stem, a number ("5", "05") or a beginning; without one all are meant.
    """
    here, beside = Path.cwd() / "notebooks", OWN_FOLDER / "notebooks"
    in_checkout = (Path.cwd() / "evalib" / "__init__.py").is_file()
    places = [folder] if folder else [here, beside] if in_checkout else [beside, here]
    folder = next((place.resolve() for place in places if place.is_dir()), places[0])
    found = [*sorted(folder.glob("[!.]*.ipynb")), *sorted(folder.glob("further/[!.]*.ipynb"))]
    if not found or len({path.stem for path in found}) < len(found):
        raise ValueError(f"expected notebooks (*.ipynb) of different names in {folder}")
    return folder, found, list(dict.fromkeys([_find(n, found, folder) for n in names] or found))


def _find(name: str, known: Sequence[Path], folder: Path) -> Path:
    stem, places = name.removesuffix(".ipynb"), (Path(name).resolve(), folder / name)
    number = rf"0*{int(stem)}(?!\d)" if stem.isdecimal() else "(?!)"
    fits = (
        [path for path in known if path in places]
        or [path for path in known if path.stem == stem]
        or [path for path in known if re.match(number, path.stem)]
        or [path for path in known if stem and path.stem.startswith(stem)]
    )
    if len(fits) != 1:
        names = ", ".join(path.stem for path in fits or known)
        raise ValueError(f"expected the name of one notebook, got {name!r}; there are: {names}")
    return fits[0]


def accepted_parameters(
    paths: Sequence[Path], parameters: Mapping[str, object]
) -> dict[Path, dict[str, object]]:
    """Give each notebook those parameters that its cell tagged `parameters` sets."""
    json.dumps(parameters, ensure_ascii=False).encode("utf-8")  # refuses what is no UTF-8
    known: dict[Path, list[str]] = {}
    for path in paths:
        tagged = [text for _, text, tags in _read_cells(path) or () if "parameters" in tags]
        known[path] = re.findall(r"(?m)^(\w+)\s*(?::[^=\n]*)?=(?!=)", "\n".join(tagged))
    for name in parameters:
        if not any(name in names for names in known.values()):
            rows = [f"\n  {path.stem}: {', '.join(own) or 'none'}" for path, own in known.items()]
            raise ValueError(f"no notebook has a parameter {name!r}; there are:{''.join(rows)}")
    return {path: {n: parameters[n] for n in parameters if n in known[path]} for path in paths}


def evalib_beside(notebook: Path) -> Path:
    """The folder with the evalib that belongs to a notebook: above it, or else this one's."""
    above = (f for f in notebook.resolve().parents if (f / "evalib" / "__init__.py").is_file())
    return next(above, OWN_FOLDER)


def digest_of(notebook: Path, output_folder: Path, *others: object) -> str:
    """Digest what decides how a notebook comes out: cells, evalib, results (no copies), others."""
    folder = evalib_beside(notebook)
    package, results = folder / "evalib", folder / "outputs"
    own = {output_folder} - {*package.parents, package, *results.parents, results}
    no_sources = {results / "executed", results / "sweeps", *own}
    cells: object = _read_cells(notebook)
    if cells is None and notebook.is_file():  # it has an old format, or is damaged
        cells = notebook.read_bytes().hex()
    digest = hashlib.sha256(json.dumps([cells, *others], sort_keys=True).encode())
    for file in sorted([*package.rglob("*"), *results.rglob("*")]):
        name = file.relative_to(folder).as_posix()
        is_source = no_sources.isdisjoint(file.parents) and not re.search(r"/(\.|__pyc)", name)
        if is_source and file.is_file():
            digest.update(f"{name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _read_cells(notebook: Path) -> list[tuple[str, str, list[str]]] | None:
    """Kind, text and tags of each cell; None where it is no notebook, as its run will tell."""
    with contextlib.suppress(OSError, ValueError):
        return read_cells(notebook)
    return None
