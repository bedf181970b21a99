"""What a sweep is and what it leaves: a record a run, their summary, and a lock on its folder.

Neither Keras nor Dask is imported here.
"""

import dataclasses
import hashlib
import json
import os
import socket
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

Record = dict[str, Any]

_TABLE_HEAD = ("accuracy in %", "worst", "runs", "failed", "parameters", "seconds")


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Experiments that belong together.

    Attributes:
        name: of the sweep.
        experiments: the plain values of each, by its key, in the order in which they run.
        varied: the dotted names of what differs between them, besides the seed.
        notebook: what each runs as, see `sweep_worker.read_notebook`; None for a plain run.
    """

    name: str
    experiments: Mapping[str, Mapping[str, Any]]
    varied: tuple[str, ...] = ()
    notebook: Mapping[str, Any] | None = None

    def settings(self, key: str) -> dict[str, Any]:
        """The varied values of one experiment, by their dotted names."""
        return {name: _value(self.experiments[key], name) for name in self.varied}

    def label(self, key: str) -> str:
        """Short words for one experiment: what is varied, and its seed."""
        settings = {**self.settings(key), "seed": self.experiments[key]["seed"]}
        return ", ".join(f"{short_name(name)} {text(value)}" for name, value in settings.items())


@dataclasses.dataclass(frozen=True)
class Configuration:
    """What the seeds of one configuration gave.

    Attributes:
        settings: its varied values, by their dotted names.
        accuracies: of the runs that ended, 0 to 1, in the order of their seeds.
        failed: how many runs failed.
        parameters: of the network; None if no run ended.
        seconds: the mean time of a run that ended; None likewise.
    """

    settings: Mapping[str, Any]
    accuracies: tuple[float, ...]
    failed: int = 0
    parameters: int | None = None
    seconds: float | None = None

    @property
    def mean(self) -> float | None:
        """The mean accuracy, None without a run that ended."""
        return statistics.fmean(self.accuracies) if self.accuracies else None

    @property
    def deviation(self) -> float | None:
        """The standard deviation over seeds (divided by n - 1), None below two runs."""
        return statistics.stdev(self.accuracies) if len(self.accuracies) > 1 else None


def read_records(folder: Path, keys: Sequence[str] | Mapping[str, object]) -> dict[str, Record]:
    """The records that a folder holds of these experiments, failed runs included.

    A file that is no such record counts as missing: its experiment runs again.
    """
    records = {}
    for key in keys:
        try:
            record = json.loads((folder / f"{key}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(record, dict) and record.get("key") == key and _is_whole(record):
            records[key] = record
    return records


def summarize(sweep: Sweep, records: Mapping[str, Record]) -> list[Configuration]:
    """Gather the seeds of each configuration, in the sweep's order."""
    groups: dict[str, list[str]] = {}
    for key in sweep.experiments:
        groups.setdefault(json.dumps(sweep.settings(key)), []).append(key)
    return [_configuration(sweep, records, keys) for keys in groups.values()]


def format_summary(configurations: Sequence[Configuration]) -> str:
    """Lay out the configurations as a Markdown table whose columns are aligned."""
    names = list(configurations[0].settings)
    rows = [[*map(short_name, names), *_TABLE_HEAD]]
    for one in configurations:
        rows.append([*(text(one.settings[name]) for name in names), *_measured(one)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    left = len(names)  # settings stand to the left, numbers to the right
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(f"| {' | '.join(cells)} |")
    rule = [
        ":" + "-" * (width + 1) if column < left else "-" * (width + 1) + ":"
        for column, width in enumerate(widths)
    ]
    return "\n".join([lines[0], f"|{'|'.join(rule)}|", *lines[1:]])


def headline(sweep: Sweep) -> str:
    """What the numbers of a sweep are, in one line."""
    scored_on = {str(one["scored_on"]) for one in sweep.experiments.values()}
    images = f"the {scored_on.pop()} images" if len(scored_on) == 1 else "held-out images"
    return f"{sweep.name}: accuracy on {images}, mean ± standard deviation over seeds"


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Keep other sweeps out of a folder, which is made if need be.

    The operating system holds the lock and lets go of it when the process ends, however that
    happens: it cannot be left behind. The file `.lock` stays and says who holds it.

    Raises:
        RuntimeError: another sweep runs there; says which process it is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "a+", encoding="utf-8") as file:
        if not _lock(file.fileno()):
            file.seek(1)
            owner = file.read().strip() or "another process"
            raise RuntimeError(f"another sweep runs in {folder} ({owner}): wait for it or stop it")
        file.truncate(0)
        # The first byte is what is locked, which keeps others from reading it on Windows.
        file.write(f" process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield
        file.truncate(0)


def digest(values: object) -> str:
    """Sixteen hexadecimal digits that differ wherever two plain values do."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def short_name(name: str) -> str:
    """A dotted name without its table; no two fields share it."""
    return name.rpartition(".")[2]


def text(value: object) -> str:
    """A value as a table shows it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _is_whole(record: Record) -> bool:
    accuracy = record.get("accuracy")
    return isinstance(record.get("error"), dict) or type(accuracy) in (int, float)


def _value(experiment: Mapping[str, Any], name: str) -> Any:
    table, _, field = name.rpartition(".")
    return experiment[table][field] if table else experiment[field]


def _configuration(
    sweep: Sweep, records: Mapping[str, Record], keys: Sequence[str]
) -> Configuration:
    known = [records[key] for key in keys if key in records]
    ended = [record for record in known if "error" not in record]
    seconds = [record["seconds"] for record in ended if "seconds" in record]
    return Configuration(
        settings=sweep.settings(keys[0]),
        accuracies=tuple(record["accuracy"] for record in ended),
        failed=len(known) - len(ended),
        parameters=ended[0].get("parameters") if ended else None,
        seconds=statistics.fmean(seconds) if seconds else None,
    )


def _measured(one: Configuration) -> list[str]:
    """The numbers of one configuration, as the columns of `_TABLE_HEAD`."""
    accuracy = "" if one.mean is None else f"{100 * one.mean:.2f}"
    if one.deviation is not None:
        accuracy += f" ± {100 * one.deviation:.2f}"
    return [
        accuracy,
        f"{100 * min(one.accuracies):.2f}" if one.accuracies else "",
        str(len(one.accuracies)),
        str(one.failed),
        "" if one.parameters is None else f"{one.parameters:,}",
        "" if one.seconds is None else f"{one.seconds:.1f}",
    ]


def _lock(descriptor: int) -> bool:
    """Take the lock of an open file, if nobody else has it."""
    try:
        if sys.platform == "win32":
            os.lseek(descriptor, 0, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (
        OSError
    ):  # some network disks know no locks; Windows says the same of a lock that is taken
        return sys.platform != "win32"
    return True
