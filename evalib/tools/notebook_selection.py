"""Which notebooks are meant, and which of the parameters given each of them has."""

import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


def find_notebook_folder(folder: Path | None = None) -> Path:
    """Find the folder of the notebooks.

    Args:
        folder: The folder to take; by default `notebooks` beside the package, else in the current
            folder.

    Returns:
        The folder's absolute path.

    Raises:
        ValueError: There is no such folder.
    """
    beside_package = Path(__file__).resolve().parents[2] / "notebooks"
    candidates = [folder] if folder else [beside_package, Path.cwd() / "notebooks"]
    for candidate in candidates:
        if candidate.is_dir():
            return candidate.resolve()
    raise ValueError(f"expected a folder of notebooks, found none at {candidates[-1]}")


def select_notebooks(names: Sequence[str], folder: Path) -> list[Path]:
    """Find notebooks by name.

    Args:
        names: Stems, file names, numbers ("5", "05") or unambiguous beginnings; all when empty.
        folder: The notebooks' folder.

    Returns:
        The notebooks in the order asked for, each once; sorted by name when all are meant.

    Raises:
        ValueError: A name fits no notebook or several, or the folder holds none.
    """
    known = sorted(path for path in folder.glob("*.ipynb") if not path.name.startswith("."))
    if not known:
        raise ValueError(f"expected notebooks (*.ipynb) in {folder}, found none")
    if isinstance(names, str):
        names = (names,)
    selected = [_find_notebook(name, known) for name in names] or known
    return list(dict.fromkeys(selected))


def _find_notebook(name: str, known: Sequence[Path]) -> Path:
    stem = name.removesuffix(".ipynb")
    if len(Path(name).parts) > 1:
        # A shell completes notebooks/05_x.ipynb: the folder must be the right one, too.
        matches = [path for path in known if path == Path(name).resolve()]
    else:
        matches = (
            [path for path in known if path.stem == stem]
            or [path for path in known if stem.isdecimal() and _number(path) == int(stem)]
            or [path for path in known if stem and path.stem.startswith(stem)]
        )
    if len(matches) == 1:
        return matches[0]
    listed = ", ".join(path.stem for path in matches or known)
    if matches:
        raise ValueError(f"expected the name of one notebook, {name!r} fits several: {listed}")
    raise ValueError(f"no notebook is called {name!r}; there are: {listed}")


def _number(path: Path) -> int | None:
    digits = re.match(r"\d+", path.stem)
    return int(digits[0]) if digits else None


def accepted_parameters(
    paths: Sequence[Path], parameters: Mapping[str, object]
) -> dict[Path, dict[str, object]]:
    """Give each notebook those parameters that it has.

    Raises:
        ValueError: No notebook has one of the parameters.
    """
    if not parameters:
        return {path: {} for path in paths}
    known = {path: _parameter_names(path) for path in paths}
    for name in parameters:
        if not any(name in names for names in known.values()):
            listed = "\n".join(
                f"  {path.stem}: {', '.join(names) or 'none'}" for path, names in known.items()
            )
            raise ValueError(f"no selected notebook has a parameter {name!r}; there are:\n{listed}")
    return {
        path: {name: value for name, value in parameters.items() if name in names}
        for path, names in known.items()
    }


def _parameter_names(path: Path) -> list[str]:
    # Imported here, for papermill takes most of a second.
    import nbformat
    import papermill

    with quiet_libraries():
        try:
            notebook = nbformat.read(path, as_version=4)
            notebook.metadata["kernelspec"] = dict(KERNEL)
            return list(papermill.inspect_notebook(notebook))
        except Exception:
            # A broken file has none; its run will tell what is wrong with it.
            return []


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep papermill's log and nbformat's warnings off the terminal."""
    logger = logging.getLogger("papermill")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
