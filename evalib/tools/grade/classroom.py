"""Grade a class: many submissions in one command, a CSV row each, and who has the same code."""

import ast
import contextlib
import csv
import hashlib
import io
import json
import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent import futures
from itertools import combinations
from pathlib import Path
from typing import Any

import psutil
from tqdm import tqdm

from evalib import __version__
from evalib.results import write_atomically
from evalib.tools.grade.execute import STOPPED, end_children
from evalib.tools.grade.read import parse, printable, read_file
from evalib.tools.grade.rules import RULES, grade_notebook
from evalib.tools.terminal import signs_of_life

# What a CSV file has; one that was made just now also has "grade", for JSON, and "lines" of code.
Row = dict[str, Any]
Options = Mapping[str, Any]
_STATUSES = ("passed", "failed", "needs a look", "unreadable")
_COLUMNS = ["path", "status", "warnings", "reason", "digest"]
_COLUMNS += [part for rule in RULES for part in (rule, f"{rule} (number)")]
_WORST_LAST = ("pass", "warn", "cannot tell", "fail")
# Of two submissions: the share of alike lines, and the own lines of each, to be reported.
_SAME, _LEAST_LINES, _MOST_PAIRS = 0.9, 10, 50
_TEMPLATE = {"deprocess_image", "vis_img_in_filter"}  # functions of the course's own notebook


def find_notebooks(paths: Iterable[Path]) -> list[Path]:
    found: dict[Path, None] = {}
    for path in paths:
        inside = sorted(path.rglob("*.ipynb")) if path.is_dir() else [path]
        inside = [p for p in inside if not any(n[0] == "." for n in p.relative_to(path).parts)]
        if not inside:
            raise ValueError(f"expected notebooks in {path}, found none")
        found |= dict.fromkeys(inside)
    return list(found)


def grade_class(
    paths: Sequence[Path], options: Options, *, jobs: int | None = None,
    table: Path | None = None, resume: bool = False, scheduler: str | None = None,
) -> list[Row]:  # fmt: skip
    """Grade many submissions, one row each; `options` are those of `grade_notebook`."""
    if resume and table is None:
        raise ValueError("expected --csv FILE with --resume: it goes on after that file's rows")
    if scheduler and not options.get("execute"):
        raise ValueError("expected --execute with --scheduler: files are read here")
    rows, kept = dict[str, Row](), dict[str, Row]()
    if resume and table is not None and table.exists():
        with table.open(encoding="utf-8", newline="") as file:
            kept = {row["path"]: row for row in csv.DictReader(file) if row.get("digest")}
    _write_table(table, kept.values())  # refused before work is lost
    with (
        tqdm(total=len(paths), disable=None) as bar,  # None: a bar in a terminal only
        signs_of_life(bar.refresh),
        _executor(bool(options.get("execute")), jobs, scheduler) as executor,
        contextlib.closing(_grade_all(executor, paths, options, kept)) as finished,
    ):
        for row in finished:
            rows[row["path"]] = row
            bar.set_postfix_str(_summary(rows.values()), refresh=False)
            bar.update()
            _write_table(table, [rows[str(path)] for path in paths if str(path) in rows])
    return [rows[str(path)] for path in paths]


def _grade_all(
    executor: futures.Executor, paths: Sequence[Path], options: Options, kept: Mapping[str, Row]
) -> Generator[Row, None, None]:
    STOPPED.clear()
    broken = []
    tasks = {executor.submit(_grade_one, p, options, kept.get(str(p))): p for p in paths}
    try:
        for task in futures.as_completed(tasks):
            try:
                yield task.result()
            except futures.process.BrokenProcessPool:
                broken.append(tasks[task])
            except futures.CancelledError:
                raise RuntimeError("the Dask scheduler is lost") from None
            except Exception as error:  # of a worker of Dask that has died, or has no evalib
                reason = printable(repr(error), 300)
                yield {"path": str(tasks[task]), "status": "unreadable", "reason": reason}
    except BaseException:
        STOPPED.set()
        while not all([task.cancel() or task.done() for task in tasks]):
            if isinstance(executor, futures.ThreadPoolExecutor):
                end_children(psutil.Process())
            time.sleep(0.1)
        raise
    for path in broken:  # one of them has ended the process that read it
        row = {"path": str(path), "status": "unreadable", "reason": "reading it ended the process"}
        with contextlib.suppress(futures.process.BrokenProcessPool), _executor(False, 1) as alone:
            row = alone.submit(_grade_one, path, options, None).result()
        yield row


@contextlib.contextmanager
def _executor(executes: bool, jobs: int | None, at: str | None = None) -> Iterator[Any]:
    if at:
        from evalib.tools.cluster import connect

        with connect(at) as client:
            yield client.get_executor(pure=False)
        return
    pool: futures.Executor = futures.ThreadPoolExecutor(jobs or 1)  # each run has its own process
    if not executes:
        context = multiprocessing.get_context("spawn")
        deaf = (signal.signal, (signal.SIGINT, signal.SIG_IGN))  # Ctrl-C is for their parent
        pool = futures.ProcessPoolExecutor(jobs or os.cpu_count(), context, *deaf)
    with pool:
        yield pool


def _grade_one(path: Path, options: Options, kept: Row | None) -> Row:
    row: Row = {"path": str(path), "status": "unreadable"}
    try:
        asked = json.dumps([__version__, *sorted(options.items())])
        row["digest"] = hashlib.sha256(path.read_bytes() + asked.encode()).hexdigest()
        trees = filter(None, (parse(cell.source).tree for cell in read_file(path).cells))
        own = (n for tree in trees for n in tree.body if getattr(n, "name", "") not in _TEMPLATE)
        # Written alike, without comments and magics.
        row["lines"] = {line.strip() for node in own for line in ast.unparse(node).split("\n")}
        if kept is not None and kept["digest"] == row["digest"]:
            return kept | {"lines": row["lines"]}
        grade = grade_notebook(path, **options)
    except Exception as error:  # whatever a stranger's file brings about
        reason = str(error) if isinstance(error, (ValueError, OSError)) else repr(error)
        return row | {"reason": printable(reason, 300)}
    row |= {"status": grade.status, "warnings": len(grade.warnings), "grade": grade.as_dict()}
    for check in sorted(grade.checks, key=lambda check: _WORST_LAST.index(check.status)):
        row |= {check.rule: check.status, f"{check.rule} (number)": check.number}
    return row


def find_similar(rows: Sequence[Row]) -> list[tuple[float, int, str, str]]:
    """Pairs of nearly the same code: the share of alike lines, their number, the two paths."""
    users = Counter(line for row in rows for line in row.get("lines", ()))
    most = max(2, sum("lines" in row for row in rows) / 2)
    kept = {row["path"]: {x for x in row.get("lines", ()) if users[x] <= most} for row in rows}
    found = []
    for one, two in combinations([path for path in kept if len(kept[path]) >= _LEAST_LINES], 2):
        sizes = len(kept[one]), len(kept[two])
        share = 2 * len(kept[one] & kept[two]) / sum(sizes)
        found += [(share, max(sizes), one, two)] if share >= _SAME else []
    return sorted(found, key=lambda pair: (-pair[0], -pair[1], pair[2:]))


def format_class(rows: Sequence[Row]) -> str:
    lines = [f"{'':12}  {'parameters':>10}  {'score':>6}  notebook"]
    for row in rows:
        count, score = (row.get(f"{rule} (number)") or "" for rule in ("parameters", "score"))
        count, score = f"{int(count):,}" if count else "-", f"{float(score):.4f}" if score else "-"
        wrong = [f"{rule}: {row[rule]}" for rule in RULES if (row.get(rule) or "pass") != "pass"]
        line = f"{row['status']:12}  {count:>10}  {score:>6}  {printable(row['path'], 200)}  "
        lines.append((line + (row.get("reason") or ", ".join(wrong))).rstrip())
    pairs = find_similar(rows)
    alike = f"{len(pairs)} pairs of nearly the same code"
    lines += ["", f"{len(rows)} submissions: {_summary(rows)}; {alike}"]
    for share, size, one, two in pairs[:_MOST_PAIRS]:
        lines.append(f"{share:.2f} of {size} lines alike: {printable(one)}, {printable(two)}")
    return "\n".join(lines + ["..."] * (len(pairs) > _MOST_PAIRS))


def _summary(rows: Iterable[Row]) -> str:
    counts = Counter(row["status"] for row in rows)
    return ", ".join(f"{counts[status]} {status}" for status in _STATUSES)


def class_as_dict(rows: Sequence[Row]) -> dict[str, Any]:
    names = ("share", "lines", "one", "two")
    return {
        "summary": Counter(row["status"] for row in rows),
        "submissions": [{key: row[key] for key in row if key != "lines"} for row in rows],
        "alike": [dict(zip(names, pair, strict=True)) for pair in find_similar(rows)],
    }


def _write_table(table: Path | None, rows: Iterable[Row]) -> None:
    if table is None:
        return
    writer = csv.DictWriter(text := io.StringIO(), _COLUMNS, "", "ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(table, text.getvalue())
