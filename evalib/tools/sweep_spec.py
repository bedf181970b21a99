"""Read a sweep from a TOML file such as `experiments/kernel_sizes.toml`, which explains itself.

A bad one is refused before anything runs.
"""

import itertools
import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from evalib.networks.config import NetworkConfig, build_network
from evalib.tools.sweep_records import Sweep
from evalib.tools.sweep_run import made_by
from evalib.training.experiments import experiment_from

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "06_experiments.ipynb"
MOST_RUNS = 10_000


def read_sweep(path: Path) -> Sweep:
    """Read a sweep, and build each of its networks.

    Args:
        path: of the TOML file. `name` is the file's own if left out, `seeds` is `[0]`.

    Raises:
        ValueError: the file is no TOML, or says what cannot be run; begins with the path.
        OSError: the file cannot be read.
    """
    try:
        return _read(path, tomllib.loads(path.read_bytes().decode("utf-8-sig")))
    except ValueError as error:  # tomllib and decoding raise this kind, too
        raise ValueError(f"{path}: {error}") from error


def _read(path: Path, spec: dict[str, Any]) -> Sweep:
    name = spec.pop("name", path.stem)
    if not (isinstance(name, str) and re.fullmatch(r"\w[\w.-]*", name)):
        raise ValueError(f"expected a name for a folder, got name = {name!r}")
    for table in ("network", "recipe", "vary"):
        if not isinstance(spec.get(table, {}), dict):
            raise ValueError(f"expected {table} to be a table, got {spec[table]!r}")
    vary = dict(_flat(spec.pop("vary", {})))
    choices = {"seed": spec.pop("seeds", [0]), **vary}
    for field, values in choices.items():
        if not isinstance(values, list) or not values:
            raise ValueError(f"expected a list of values for {field}, got {values!r}")
    count = math.prod(map(len, choices.values()))
    if count > MOST_RUNS:
        raise ValueError(f"expected at most {MOST_RUNS:,} runs, got {count:,}")
    runs_as = spec.pop("runs_as", "plain")
    if runs_as not in ("plain", "notebook"):
        raise ValueError(f"expected runs_as plain or notebook, got {runs_as!r}")
    notebook = NOTEBOOK.read_text(encoding="utf-8") if runs_as == "notebook" else ""
    fixed = dict(_flat(spec))
    for field in {"seed"} & vary.keys() | choices.keys() & fixed.keys():
        raise ValueError(f"expected {field} in one place: seeds, [vary], or outside of it")
    experiments, varied = {}, {}
    for values in itertools.product(*choices.values()):
        chosen = dict(zip(choices, values, strict=True))
        experiment = experiment_from(_nested(fixed | chosen))
        try:
            _build(experiment.network)
        except Exception as error:  # Keras and its backend raise many kinds
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ValueError(f"{chosen}: {reason}") from error
        if experiment.key() in experiments:
            raise ValueError(f"expected each experiment once, got twice {chosen}")
        experiments[experiment.key()] = experiment.as_dict()
        varied[experiment.key()] = {field.split(".")[-1]: chosen[field] for field in vary}
    return Sweep(name, experiments, varied, made_by(notebook), notebook)


@cache
def _build(config: NetworkConfig) -> None:
    build_network(config)


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values, whether names are quoted or tables of their own."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """The contrary of `_flat`, for one level of tables."""
    nested: dict[str, Any] = {}
    for name, value in values.items():
        table, _, field = name.rpartition(".")
        (nested.setdefault(table, {}) if table else nested)[field] = value
    return nested
