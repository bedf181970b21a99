"""The committed results that notebooks and README read: small files that a run wrote."""

import json
from pathlib import Path
from typing import Any

from evalib.files import write_atomically

_PACKAGE = Path(__file__).parent


def results_folder() -> Path:
    """Where results lie: `outputs/` of the checkout, or the copy inside an installed evalib.

    Raises:
        FileNotFoundError: neither is there.
    """
    for folder in (_PACKAGE.parent / "outputs", _PACKAGE / "outputs"):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"expected a folder outputs beside or inside {_PACKAGE}: reinstall it")


def read_results(name: str) -> Any:
    """Read one JSON file of results.

    Args:
        name: its path below `outputs/`, such as `"s3_assignment/seeds.json"`.

    Raises:
        FileNotFoundError: no run has written that file.
    """
    file = results_folder() / name
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing: a script in `scripts/` writes it")
    return json.loads(file.read_text(encoding="utf-8"))


def write_results(file: Path, values: object) -> None:
    """Write one JSON file, with its folder if need be."""
    write_atomically(file, json.dumps(values, indent=1, allow_nan=False) + "\n")
