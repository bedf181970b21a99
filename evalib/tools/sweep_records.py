"""What a sweep is and what it leaves: a record a run, and the summary of all."""

import dataclasses
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evalib.results import write_atomically, write_results

Record = dict[str, Any]

_COLUMNS = ("accuracy in %", "worst", "runs", "failed", "parameters", "seconds")


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Experiments that belong together.

    Attributes:
        name: of the sweep.
        experiments: the plain values of each, by its key, in the order in which they run.
        varied: the values that differ between them besides the seed, by the same keys.
        made_by: names the code that the records come from, see `sweep_run.made_by`.
        notebook: the text of the notebook that runs are copies of, "" for plain runs.
    """

    name: str
    experiments: Mapping[str, Mapping[str, Any]]
    varied: Mapping[str, Mapping[str, Any]]
    made_by: str
    notebook: str = ""

    def describe(self, record: Record) -> str:
        """One line about a run that has ended."""
        settings = {**self.varied[record["key"]], "seed": record["experiment"]["seed"]}
        label = ", ".join(f"{name} {value}" for name, value in settings.items())
        if "error" not in record:
            return f"{label}: {100 * record['accuracy']:.2f} % in {record['seconds']:.1f} s"
        message = " ".join(record["error"]["message"].split())[:100]
        return f"{label}: failed: {record['error']['type']}: {message}"


def read_records(sweep: Sweep, folder: Path) -> tuple[dict[str, Record], int]:
    """Read the records that a folder holds of a sweep's experiments, failed runs included.

    Returns:
        Whole records of this sweep's code by their keys, and how many other code has made.

    Raises:
        ValueError: files lie there that a summary would replace, and that no sweep has written.
    """
    summary = folder / "records.json"
    if not (summary.is_file() and b'"experiment": ' in summary.read_bytes()):
        for name in ("records.json", "table.md", "figure.png"):
            if (folder / name).exists():
                raise ValueError(
                    f"{folder / name} is of no sweep: move it, or choose another --out"
                )
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


def write_record(folder: Path, record: Record) -> None:
    """Write a record, and beside it the executed notebook that may come with it."""
    if copy := record.pop("copy", None):
        write_atomically(folder / f"{record['key']}.ipynb", copy)
    write_results(folder / f"{record['key']}.json", record)


def write_summary(sweep: Sweep, folder: Path, records: Mapping[str, Record]) -> None:
    """Write all records as `records.json`, and their summary as `table.md` and `figure.png`."""
    from evalib.plots.sweeps import save_figure, show_sweep

    images = " and ".join(sorted({str(one["scored_on"]) for one in sweep.experiments.values()}))
    title = f"{sweep.name}: accuracy on {images} images, mean ± standard deviation over seeds"
    groups: dict[str, list[Record]] = {}
    for key, record in records.items():
        groups.setdefault(json.dumps(sweep.varied[key]), []).append(record)
    seeds = [(sweep.varied[group[0]["key"]], group) for group in groups.values()]
    scores = [(varied, [one["accuracy"] for one in _ended(group)]) for varied, group in seeds]
    write_results(folder / "records.json", list(records.values()))
    write_atomically(folder / "table.md", f"{title}\n\n{format_table(seeds)}\n")
    save_figure(show_sweep(scores, title=title), folder / "figure.png")


def format_table(seeds: Sequence[tuple[Mapping[str, Any], Sequence[Record]]]) -> str:
    """Lay out configurations, with the records of their seeds, as a Markdown table."""
    names = list(seeds[0][0])
    rows = [[*map(str, varied.values()), *_numbers(records)] for varied, records in seeds]
    rows.insert(0, [*names, *_COLUMNS])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = "<" * len(names) + ">" * len(_COLUMNS)  # numbers stand to the right
    rows.insert(1, ["-" * width for width in widths[: len(names)]])
    rows[1] += ["-" * (width - 1) + ":" for width in widths[len(names) :]]
    cells = [[f"{c:{s}{w}}" for c, s, w in zip(row, sides, widths, strict=True)] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def _ended(records: Sequence[Record]) -> list[Record]:
    return [record for record in records if "error" not in record]


def _numbers(records: Sequence[Record]) -> list[str]:
    """The numbers of one configuration, one for each of `_COLUMNS`."""
    ended = _ended(records)
    failed = str(len(records) - len(ended))
    if not ended:
        return ["", "", "0", failed, "", ""]
    percent = [100 * record["accuracy"] for record in ended]
    spread = f" ± {statistics.stdev(percent):.2f}" if len(percent) > 1 else ""
    seconds = statistics.fmean(record["seconds"] for record in ended)
    mean, worst = f"{statistics.fmean(percent):.2f}{spread}", f"{min(percent):.2f}"
    size = f"{ended[0]['parameters']:,}" if "parameters" in ended[0] else ""
    return [mean, worst, str(len(ended)), failed, size, f"{seconds:.1f}"]
