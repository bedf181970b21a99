"""What a sweep is: read from a TOML file such as `experiments/kernel_sizes.toml`; its records."""

import dataclasses
import itertools
import json
import re
import statistics
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from evalib.results import write_atomically, write_results
from evalib.tools.sweep_run import Record, made_by

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "06_experiments.ipynb"
_COLUMNS = ("accuracy in %", "worst", "runs", "failed", "parameters", "seconds")


@dataclasses.dataclass(frozen=True)
class Sweep:
    name: str
    experiments: Mapping[str, Mapping[str, Any]]  # by their keys, in order: the values of each
    varied: Mapping[str, Mapping[str, Any]]  # those that differ between them, besides the seed
    made_by: str  # the code that records come from, see `sweep_run.made_by`
    notebook: str = ""  # the text of the notebook that runs are copies of, "" for plain runs

    def describe(self, record: Record) -> str:
        settings = {**self.varied[record["key"]], "seed": record["experiment"]["seed"]}
        label = ", ".join(f"{name} {value}" for name, value in settings.items())
        if "error" not in record:
            return f"{label}: {100 * record['accuracy']:.2f} % in {record['seconds']:.1f} s"
        message = " ".join(record["error"]["message"].split())[:100]
        return f"{label}: failed: {record['error']['type']}: {message}"


def read_sweep(path: Path) -> Sweep:
    """Read a sweep from a TOML file, and build its networks; a ValueError names what is wrong."""
    try:
        return _read(path, tomllib.loads(path.read_bytes().decode("utf-8-sig")))
    except (ValueError, TypeError, AttributeError) as error:  # of TOML, and of what is no table
        raise ValueError(f"{path}: {error}") from error


def _read(path: Path, spec: dict[str, Any]) -> Sweep:
    from evalib.networks.config import build_network  # here, for Keras takes seconds
    from evalib.training.experiments import experiment_from

    name, runs_as = spec.pop("name", path.stem), spec.pop("runs_as", "plain")
    if not (isinstance(name, str) and re.fullmatch(r"\w[\w.-]*", name)):
        raise ValueError(f"expected a name for a folder, got name = {name!r}")
    if runs_as not in ("plain", "notebook"):
        raise ValueError(f"expected runs_as plain or notebook, got {runs_as!r}")
    vary = dict(_flat(spec.pop("vary", {})))
    choices = {"seed": spec.pop("seeds", [0]), **vary}
    for field, values in choices.items():
        if not isinstance(values, list) or not values:
            raise ValueError(f"expected a list of values for {field}, got {values!r}")
    fixed = dict(_flat(spec))
    for field in {"seed"} & vary.keys() | choices.keys() & fixed.keys():
        raise ValueError(f"expected {field} in one place: seeds, [vary], or outside of it")
    notebook = NOTEBOOK.read_text(encoding="utf-8") if runs_as == "notebook" else ""
    build = cache(lambda network: build_network(network).name)  # each network once
    experiments, varied = {}, {}
    for values in itertools.product(*choices.values()):
        chosen = dict(zip(choices, values, strict=True))
        tables: dict[str, Any] = {}
        for field, value in (fixed | chosen).items():
            table, _, name_there = field.rpartition(".")
            (tables.setdefault(table, {}) if table else tables)[name_there] = value
        experiment = experiment_from(tables)
        try:
            build(experiment.network)
        except Exception as error:  # Keras and its backend raise many kinds
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ValueError(f"{chosen}: {reason}") from error
        key = experiment.key()
        if key in experiments:
            raise ValueError(f"expected each experiment once, got twice {chosen}")
        experiments[key] = experiment.as_dict()
        varied[key] = {field.split(".")[-1]: chosen[field] for field in vary}
    return Sweep(name, experiments, varied, made_by(notebook), notebook)


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values, whether names are quoted or tables of their own."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def read_records(sweep: Sweep, folder: Path) -> tuple[dict[str, Record], int]:
    """A folder's records of a sweep: own and whole ones by key, and how many other code made."""
    summary = folder / "records.json"
    if not (summary.is_file() and b'"experiment": ' in summary.read_bytes()):
        for file in (summary, folder / "table.md", folder / "figure.png"):
            if file.exists():
                raise ValueError(f"{file} is of no sweep: move it, or choose another --out")
    found = {}
    for key in sweep.experiments:
        try:
            record = json.loads((folder / f"{key}.json").read_text(encoding="utf-8"))
            if record["key"] == key and ("error" in record or 0 <= record["accuracy"] <= 1):
                found[key] = record
        except (OSError, ValueError, TypeError, KeyError):
            continue  # it is missing, torn, or something else
    own = {key: one for key, one in found.items() if one.get("made_by") == sweep.made_by}
    return own, len(found) - len(own)


def write_summary(sweep: Sweep, folder: Path, records: Mapping[str, Record]) -> None:
    from evalib.plots.sweeps import save_figure, show_sweep

    images = " and ".join(sorted({str(one["scored_on"]) for one in sweep.experiments.values()}))
    title = f"{sweep.name}: accuracy on {images} images, mean ± standard deviation over seeds"
    groups: dict[str, tuple[Mapping[str, Any], list[Record]]] = {}
    for key, record in records.items():
        group = json.dumps(sweep.varied[key])
        groups.setdefault(group, (sweep.varied[key], []))[1].append(record)
    seeds = list(groups.values())
    scores = [(varied, [r["accuracy"] for r in runs if "error" not in r]) for varied, runs in seeds]
    write_results(folder / "records.json", list(records.values()))
    write_atomically(folder / "table.md", f"{title}\n\n{format_table(seeds)}\n")
    save_figure(show_sweep(scores, title=title), folder / "figure.png")


def format_table(seeds: Sequence[tuple[Mapping[str, Any], Sequence[Record]]]) -> str:
    """Lay out configurations, with the records of their seeds, as a Markdown table."""
    head = [*seeds[0][0], *_COLUMNS]
    rows = [head, *([*map(str, varied.values()), *_numbers(runs)] for varied, runs in seeds)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = ["<"] * len(seeds[0][0]) + [">"] * len(_COLUMNS)  # numbers stand to the right
    cells = [[f"{c:{s}{w}}" for c, s, w in zip(row, sides, widths, strict=True)] for row in rows]
    marks = [":" if side == ">" else "-" for side in sides]
    cells.insert(1, [f"{mark:->{width}}" for mark, width in zip(marks, widths, strict=True)])
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def _numbers(records: Sequence[Record]) -> list[str]:
    ended = [record for record in records if "error" not in record]
    failed = str(len(records) - len(ended))
    if not ended:
        return ["", "", "0", failed, "", ""]
    percent = [100 * record["accuracy"] for record in ended]
    spread = f" ± {statistics.stdev(percent):.2f}" if len(percent) > 1 else ""
    seconds = statistics.fmean(record["seconds"] for record in ended)
    mean, worst = f"{statistics.fmean(percent):.2f}{spread}", f"{min(percent):.2f}"
    size = f"{ended[0]['parameters']:,}" if "parameters" in ended[0] else ""
    return [mean, worst, str(len(ended)), failed, size, f"{seconds:.1f}"]
