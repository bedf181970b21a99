"""What an executed copy was made of, so that nothing is executed again that would come out alike.

Outputs and execution counts are no part of it: storing them changes nothing. Text is, for a copy
shows it. The committed results count, because notebooks read them.
"""

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

from evalib.results import results_folder
from evalib.tools.devices import Machine

Fingerprint = dict[str, str]

_PACKAGE = Path(__file__).resolve().parents[1]

# Below outputs/, and no source of anything: executed copies, and records of sweeps.
_NO_RESULTS = ("executed", "sweeps")


def fingerprint(
    notebook: Path,
    *,
    parameters: Mapping[str, object],
    machine: Machine,
    versions: Mapping[str, str],
    output_folder: Path,
) -> Fingerprint:
    """Give a digest of each thing that decides how a notebook comes out.

    Args:
        notebook: The notebook's file.
        parameters: The values passed to it.
        machine: What Keras computes on.
        versions: Those of Python and the libraries.
        output_folder: Where executed copies go, which are no source.

    Returns:
        SHA-256 digests of the notebook, evalib, the committed results, the versions, the
        parameters and the machine, each under that name.
    """
    system = [platform.system(), platform.machine(), machine.backend, machine.device]
    return {
        "the notebook": _digest(_source(notebook)),
        "evalib": _digest_files(_PACKAGE, ("__pycache__", "outputs")),
        "the results in outputs": _digest_results(output_folder),
        "the versions": _digest(json.dumps(versions, sort_keys=True).encode()),
        "the parameters": _digest(json.dumps(parameters, sort_keys=True).encode()),
        "the machine": _digest(json.dumps(system).encode()),
    }


def differences(earlier: Mapping[str, str] | None, now: Mapping[str, str]) -> list[str]:
    """Name what is no longer as it was; everything, where nothing is known of then."""
    return [name for name, digest in now.items() if (earlier or {}).get(name) != digest]


def stamp_of(executed: Path) -> dict[str, object]:
    """Read what an executed copy says of its own making; nothing if it is gone or damaged."""
    try:
        stamp = json.loads(executed.read_text(encoding="utf-8"))["metadata"]["evalib"]
    except (OSError, ValueError, TypeError, KeyError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def _source(notebook: Path) -> bytes:
    try:
        content = notebook.read_bytes()
    except OSError:  # its run will say so
        return b""
    try:
        cells = [
            [cell["cell_type"], cell["source"], cell.get("metadata", {}).get("tags", [])]
            for cell in json.loads(content)["cells"]
        ]
    except (ValueError, TypeError, KeyError, AttributeError):
        return content
    for cell in cells:
        if isinstance(cell[1], list):  # notebooks may store a text as its lines
            cell[1] = "".join(cell[1])
    return json.dumps(cells).encode()


def _digest_results(output_folder: Path) -> str:
    try:
        folder = results_folder()
    except FileNotFoundError:
        return _digest(b"")
    inside = output_folder.is_relative_to(folder) and output_folder != folder
    own = output_folder.relative_to(folder).parts[:1] if inside else ()
    return _digest_files(folder, (*_NO_RESULTS, *own))


def _digest_files(folder: Path, without: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        hidden = any(part.startswith(".") or part == "__pycache__" for part in parts)
        if path.is_file() and not hidden and parts[0] not in without:
            name = "/".join(parts).encode()
            digest.update(_digest(name).encode() + _digest(path.read_bytes()).encode())
    return digest.hexdigest()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
