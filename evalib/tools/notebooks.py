"""Which notebooks are meant, which parameters each has, and what its outputs depend on."""

import contextlib
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from evalib.tools.kernels import OWN_FOLDER


def select_notebooks(
    names: Sequence[str] = (), folder: Path | None = None
) -> tuple[Path, list[Path], list[Path]]:
    """Find the folder of notebooks, all in it and in `further/` below it, and those asked for.

    The folder is `notebooks` of this checkout, or beside evalib, or just here, where none is
    given. A name is a file, a stem, a number ("5", "05") or an unambiguous beginning; without one
    all are meant. Raises ValueError where a name fits none or several, or two have one name.
    """
    here, beside = Path.cwd() / "notebooks", OWN_FOLDER / "notebooks"
    in_checkout = (Path.cwd() / "evalib" / "__init__.py").is_file()
    places = [folder] if folder else [here, beside] if in_checkout else [beside, here]
    folder = next((place.resolve() for place in places if place.is_dir()), places[0])
    found = [*sorted(folder.glob("[!.]*.ipynb")), *sorted(folder.glob("further/[!.]*.ipynb"))]
    if not found or len({path.stem for path in found}) < len(found):
        raise ValueError(f"expected notebooks (*.ipynb) of different names in {folder}")
    selected = dict.fromkeys([_find(name, found, folder) for name in names] or found)
    return folder, found, list(selected)


def _find(name: str, known: Sequence[Path], folder: Path) -> Path:
    stem, places = name.removesuffix(".ipynb"), (Path(name).resolve(), folder / name)
    number = rf"0*{int(stem)}(?!\d)" if stem.isdecimal() else "(?!)"
    for fits in (
        [path for path in known if path in places],
        [path for path in known if path.stem == stem],
        [path for path in known if re.match(number, path.stem)],
        [path for path in known if stem and path.stem.startswith(stem)],
    ):
        if len(fits) == 1:
            return fits[0]
        if fits:
            raise ValueError(f"{name!r} fits several notebooks: {_stems(fits)}")
    raise ValueError(f"no notebook is called {name!r}; there are: {_stems(known)}")


def _stems(paths: Sequence[Path]) -> str:
    return ", ".join(path.stem for path in paths)


def accepted_parameters(
    paths: Sequence[Path], parameters: Mapping[str, object]
) -> dict[Path, dict[str, object]]:
    """Give each notebook those parameters that the cell tagged `parameters` sets.

    Raises ValueError where no notebook has one of them, or one is not of UTF-8.
    """
    json.dumps(parameters, ensure_ascii=False).encode("utf-8")
    known = {path: _parameter_names(path) for path in paths}
    for name in parameters:
        if not any(name in names for names in known.values()):
            rows = [f"\n  {path.stem}: {', '.join(own) or 'none'}" for path, own in known.items()]
            raise ValueError(f"no notebook has a parameter {name!r}; there are:{''.join(rows)}")
    return {path: {n: parameters[n] for n in parameters if n in known[path]} for path in paths}


def _parameter_names(path: Path) -> list[str]:
    tagged = [text for _, text, tags in _read_cells(path) or () if "parameters" in tags]
    return re.findall(r"^(\w+)\s*(?::[^=\n]*)?=(?!=)", "\n".join(tagged), re.MULTILINE)


def evalib_beside(notebook: Path) -> Path:
    """The folder with the evalib that belongs to a notebook: above it, or else this one's."""
    above = (f for f in notebook.resolve().parents if (f / "evalib" / "__init__.py").is_file())
    return next(above, OWN_FOLDER)


def digest_of(notebook: Path, output_folder: Path, *others: object) -> str:
    """Digest all that decides how a notebook comes out, but for what it printed last.

    These are its cells, evalib, the results in `outputs/`, which notebooks read, except for copies
    in the output folder, and `others`: plain values, such as parameters and versions.
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
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        return [
            (c["cell_type"], "".join(c["source"]), c["metadata"].get("tags", [])) for c in cells
        ]
    return None
