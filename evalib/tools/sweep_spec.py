"""Read a sweep from a TOML file, and refuse a bad one before anything runs.

name = "kernel-sizes"
seeds = [0, 1, 2]
runs_as = "plain"             # or "notebook"
data_share = 0.2
[network]                     # fields of NetworkPlan, the same for all
channels = [16, 24, 24]
[recipe]                      # fields of Recipe
epochs = 5
[vary]                        # lists of values: every combination runs, with every seed
"network.kernel_sizes" = [[3], [5]]
"recipe.peak_learning_rate" = [0.01, 0.03]
"""

import dataclasses
import difflib
import itertools
import math
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from evalib.networks.config import NetworkConfig, build_network
from evalib.tools.run import find_notebook_folder
from evalib.tools.sweep_records import Sweep
from evalib.tools.sweep_worker import read_notebook
from evalib.tools.toml_files import Problems, read_toml
from evalib.training.experiments import Experiment, experiment_data, experiment_from
from evalib.training.recipe import Recipe

Settings = dict[str, Any]

RUNS_AS = ("plain", "notebook")
NOTEBOOK = "06_experiments.ipynb"
MOST_EXPERIMENTS = 10_000
MOST_SEED = 2**32 - 1  # NumPy takes no greater one

_MOST_PROBLEMS = 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_TABLES: dict[str, NetworkConfig | Recipe] = {"network": NetworkConfig(), "recipe": Recipe()}
_DEFAULTS: Settings = {
    **{name: getattr(Experiment(), name) for name in ("data_share", "scored_on")},
    **{
        f"{table}.{field.name}": getattr(values, field.name)
        for table, values in _TABLES.items()
        for field in dataclasses.fields(values)
    },
}
_TOP = ("name", "seeds", "runs_as", "notebook", "data_share", "scored_on", *_TABLES, "vary")
_KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a finite number",
    str: "a text in quotes",
    tuple: "a list of whole numbers",
}


def read_sweep(path: Path) -> Sweep:
    """Read a sweep.

    Every distinct network is built, and every share of the images cut, so that what is refused is
    refused here.

    Args:
        path: of the TOML file; the module's docstring shows one. `name` is the file's own if left
            out, `seeds` is `[0]`; `notebook` is a path from the file's folder.

    Raises:
        ValueError: the file is no TOML, or a value cannot be run: all that was found, each as
            `FILE:LINE: reason`. An experiment that would run twice is such a mistake.
        OSError: the file cannot be read.
    """
    text, spec = read_toml(path)
    problems = Problems(path, text)
    _check_top(spec, problems)
    fixed, varied = _fixed(spec, problems), _varied(spec, problems)
    for name in fixed.keys() & varied.keys():
        problems.add(("vary", *name.split(".")), f"{name} also has a fixed value: take one away")
    seeds = _seeds(spec, problems)
    notebook = _notebook(path, spec, {*fixed, *varied}, problems)
    count = len(seeds) * math.prod(len(values) for values in varied.values())
    if count > MOST_EXPERIMENTS:
        problems.add(("vary",), f"expected at most {MOST_EXPERIMENTS:,} runs, got {count:,}")
    whole = not problems.found
    _drop_out_of_range(fixed, "", problems)
    _drop_out_of_range(varied, "vary", problems)
    if not whole:  # what is missing would be blamed on what is there
        problems.raise_any()
    combinations = [
        fixed | dict(zip(varied, values, strict=True))
        for values in itertools.product(*varied.values())
    ]
    for settings in combinations:
        _check_combination(settings, varied, problems)
    problems.raise_any()
    experiments = [_experiment(settings, seed) for seed in seeds for settings in combinations]
    return Sweep(
        name=spec.get("name", path.stem),
        experiments={one.key(): one.as_dict() for one in experiments},
        varied=tuple(varied),
        notebook=notebook,
    )


def _check_top(spec: Mapping[str, Any], problems: Problems) -> None:
    for key in spec.keys() - set(_TOP):
        problems.add((key,), _unknown(key))
    for key in ("network", "recipe", "vary"):
        if not isinstance(spec.get(key, {}), dict):
            problems.add((key,), f"expected {key} to be a table, got {spec[key]!r}")
    name = spec.get("name", problems.path.stem)
    if not (isinstance(name, str) and _NAME.fullmatch(name)):
        wanted = "letters, digits, '.', '_' and '-', for it names a folder"
        problems.add(("name",), f"expected name to be {wanted}, got {name!r}")
    runs_as = spec.get("runs_as", "plain")
    if runs_as not in RUNS_AS:
        problems.add(("runs_as",), f"expected runs_as {' or '.join(RUNS_AS)}, got {runs_as!r}")


def _fixed(spec: Mapping[str, Any], problems: Problems) -> Settings:
    """The values that all experiments share, by their dotted names."""
    given = {name: spec[name] for name in ("data_share", "scored_on") if name in spec}
    for table in _TABLES:
        given |= {f"{table}.{field}": value for field, value in _table(spec, table).items()}
    settings = {}
    for name, value in given.items():
        if problem := _mistake(name, value):
            problems.add(tuple(name.split(".")), problem)
        else:
            settings[name] = _plain(name, value)
    return settings


def _varied(spec: Mapping[str, Any], problems: Problems) -> dict[str, list[Any]]:
    """The lists of values, by their dotted names."""
    settings = {}
    for name, values in _flatten(_table(spec, "vary")):
        key = ("vary", *name.split("."))
        if not isinstance(values, list) or not values:
            problems.add(key, f"expected {name} to be a list of values, got {values!r}")
            continue
        found = [problem for value in values if (problem := _mistake(name, value))]
        for problem in found:
            problems.add(key, problem)
        if not found:
            settings[name] = [_plain(name, value) for value in values]
            for value in _repeated(settings[name]):
                problems.add(key, f"{name} has {value!r} twice: each experiment runs once")
    return settings


def _seeds(spec: Mapping[str, Any], problems: Problems) -> list[int]:
    seeds = spec.get("seeds", [0])
    whole = isinstance(seeds, list) and all(type(seed) is int for seed in seeds)
    if not whole or not seeds or min(seeds) < 0 or max(seeds) > MOST_SEED:
        wanted = f"a list of whole numbers from 0 to {MOST_SEED}"
        problems.add(("seeds",), f"expected seeds to be {wanted}, got {seeds!r}")
        return []
    for seed in _repeated(seeds):
        problems.add(("seeds",), f"seeds has {seed} twice: each experiment runs once")
    return seeds


def _notebook(
    path: Path, spec: Mapping[str, Any], names: set[str], problems: Problems
) -> dict[str, Any] | None:
    """The notebook that runs are copies of, if they are, with a variable for all that is set."""
    place = spec.get("notebook")
    if spec.get("runs_as", "plain") != "notebook":
        if place is not None:
            problems.add(("notebook",), 'a notebook goes with runs_as = "notebook"')
        return None
    key = "runs_as" if place is None else "notebook"
    try:
        if place is not None and not isinstance(place, str):
            raise ValueError(f"expected notebook to be a path, got {place!r}")
        file = path.parent / place if place else find_notebook_folder() / NOTEBOOK
        notebook = read_notebook(file)
    except ValueError as error:
        problems.add((key,), str(error))
        return None
    missing = {name.rpartition(".")[2] for name in (*names, "seed")} - {*notebook["parameters"]}
    if missing:
        problems.add((key,), f"{file} has no parameter {', '.join(sorted(missing))}")
    return notebook


def _drop_out_of_range(settings: Settings, table: str, problems: Problems) -> None:
    """Note and drop values that nothing else can mend: each is tried beside the defaults.

    Not those that are lists: how long one may be depends on the others.
    """
    for name, given in list(settings.items()):
        kept = []
        for value in given if table else [given]:
            reason = None if isinstance(value, list) else _refusal({name: value})
            if reason:
                key = (*filter(None, [table]), *name.split("."))
                problems.add(key, f"{_assigned(name, value)}: {_bare(reason)}")
            else:
                kept.append(value)
        if not kept:
            del settings[name]
        elif table:
            settings[name] = kept


def _check_combination(settings: Settings, varied: Mapping[str, Any], problems: Problems) -> None:
    """Note what keeps a combination from running, at the setting that is to blame."""
    settings = dict(settings)
    while len(problems.found) < _MOST_PROBLEMS and (reason := _refusal(settings)):
        without = {
            name: _refusal({other: settings[other] for other in settings if other != name})
            for name in settings
        }
        blamed = [name for name, left in without.items() if left != reason]
        if not blamed:
            problems.add(("network",), _bare(reason))
            return
        # Rather one whose absence repairs all, rather one that varies, rather a late one.
        name = max(blamed, key=lambda one: (without[one] is None, one in varied, blamed.index(one)))
        words = _assigned(name, settings[name])
        for other in blamed:
            if other != name and name in varied and other in varied:
                words += f" with {_assigned(other, settings[other])}"
        table = ("vary",) if name in varied else ()
        problems.add((*table, *name.split(".")), f"{words}: {_bare(reason)}")
        del settings[name]


def _refusal(settings: Settings) -> str | None:
    """Why these settings cannot run, None if they can."""
    try:
        experiment = _experiment(settings, seed=0)
    except ValueError as error:
        return str(error)
    if experiment.recipe.teacher_share:
        return "recipe: a sweep has no teacher"
    return _network_refusal(experiment.network) or _data_refusal(
        experiment.data_share, experiment.scored_on
    )


@cache
def _network_refusal(plan: NetworkConfig) -> str | None:
    try:
        build_network(plan)
    except Exception as error:  # Keras and its backend raise many kinds
        return f"network: {(str(error).strip() or type(error).__name__).splitlines()[0]}"
    return None


@cache
def _data_refusal(share: float, scored_on: str) -> str | None:
    try:
        experiment_data(Experiment(data_share=share, scored_on=scored_on))
    except ValueError as error:
        return str(error)
    return None


def _experiment(settings: Settings, seed: int) -> Experiment:
    values: dict[str, Any] = {"seed": seed, "network": {}, "recipe": {}}
    for name, value in settings.items():
        table, _, field = name.rpartition(".")
        (values[table] if table else values)[field] = value
    return experiment_from(values)


def _mistake(name: str, value: Any) -> str | None:
    """Why a field cannot have a value, as far as its type tells."""
    if name not in _DEFAULTS:
        return _unknown(name)
    kind = type(_DEFAULTS[name])
    if kind is tuple:
        fits = isinstance(value, list) and all(type(one) is int for one in value)
    elif kind is float:
        fits = type(value) in (int, float) and abs(value) <= sys.float_info.max
    else:
        fits = type(value) is kind
    return None if fits else f"expected {name} to be {_KINDS[kind]}, got {_toml(value)}"


def _unknown(name: str) -> str:
    """Say that a key is unknown, and which was meant."""
    table, _, field = name.rpartition(".")
    if table and field in ("name", "seeds", "runs_as", "notebook"):
        return f"unknown key {name!r}: {field} belongs above the first [table]"
    if field == "seed":
        return f"unknown key {name!r}: write seeds = [0, 1, 2] above the first [table]"
    known = [*_TOP, *_DEFAULTS] if not table else list(_DEFAULTS)
    same = [one for one in known if one.rpartition(".")[2] == field]
    fields = {one.rpartition(".")[2]: one for one in known}
    near = difflib.get_close_matches(field, fields, n=2)
    meant = same or [fields[one] for one in near]
    if meant:
        return f"unknown key {name!r}: did you mean {' or '.join(map(repr, meant))}?"
    return f"unknown key {name!r}: expected one of {', '.join(known)}"


def _plain(name: str, value: Any) -> Any:
    """A whole number for a field of decimals becomes one: 1 and 1.0 are one experiment."""
    return float(value) if isinstance(_DEFAULTS[name], float) else value


def _repeated(values: list[Any]) -> list[Any]:
    return [value for number, value in enumerate(values) if value in values[:number]]


def _table(spec: Mapping[str, Any], name: str) -> dict[str, Any]:
    table = spec.get(name, {})
    return table if isinstance(table, dict) else {}


def _flatten(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values, whether the names were quoted or tables of their own."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _assigned(name: str, value: Any) -> str:
    return f"{name} = {_toml(value)}"


def _bare(reason: str) -> str:
    """A reason without the name of a table, which stands before it already."""
    return re.sub("^(network|recipe): ", "", reason)


def _toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)
