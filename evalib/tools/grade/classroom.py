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
import sys
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent import futures
from itertools import combinations
from pathlib import Path
from typing import Any

import psutil

from evalib import __version__
from evalib.results import write_atomically
from evalib.tools.grade.execute import STOPPED, end_children
from evalib.tools.grade.read import printable, read_submission
from evalib.tools.grade.rules import RULES, grade_notebook
from evalib.tools.grade.source import parse

# Path, status, reason, digest, warnings, and of each rule its status and its number; where they
# were made just now also "grade", as JSON takes it, and "lines" of code.
Row = dict[str, Any]

_STATUSES = ("passed", "failed", "needs a look", "unreadable")
_COLUMNS = ["path", "status", "warnings", "reason", "digest"]
_COLUMNS += [part for rule in RULES for part in (rule, f"{rule} (number)")]
_WORST_LAST = ("pass", "warn", "cannot tell", "fail")
_SAME = 0.9  # of the lines of two submissions, from which on they are reported
_LEAST_LINES = 10  # of own code, to be compared
_MOST_PAIRS = 50
_TEMPLATE = {"deprocess_image", "vis_img_in_filter"}  # functions of the course's own notebook


def find_notebooks(paths: Iterable[Path]) -> list[Path]:
    """List notebooks, those in folders too, each once; ValueError where a folder has none."""
    found: dict[Path, None] = {}
    for path in paths:
        inside = [path]
        if path.is_dir():
            inside = sorted(path.rglob("*.ipynb"))
            inside = [p for p in inside if "/." not in f"/{p.relative_to(path).as_posix()}"]
            if not inside:
                raise ValueError(f"expected notebooks in {path}, found none")
        found |= dict.fromkeys(inside)
    return list(found)


def grade_class(
    paths: Sequence[Path],
    options: Mapping[str, Any],
    *,
    jobs: int | None = None,
    table: Path | None = None,
    resume: bool = False,
) -> list[Row]:
    """Grade many submissions, one row each; one that cannot be read never stops the rest.

    Args:
        paths: The notebooks.
        options: What `grade_notebook` takes.
        jobs: How many at a time; by default one a core, and one where they are executed.
        table: A CSV file, which is written after each submission.
        resume: Keep the rows of the table whose notebooks and options are unchanged.

    Raises:
        ValueError: There is no table to resume from, or the number of jobs is below 1.
        OSError: The table cannot be written.
    """
    if resume and table is None:
        raise ValueError("expected --csv FILE with --resume: it goes on after that file's rows")
    if jobs is not None and jobs < 1:
        raise ValueError(f"expected at least one job, got {jobs}")
    kept: dict[str, Row] = {}
    if resume and table is not None and table.exists():
        with table.open(encoding="utf-8", newline="") as file:
            kept = {row["path"]: row for row in csv.DictReader(file) if row.get("digest")}
    rows: dict[str, Row] = {}
    _write_table(table, kept.values())  # refused before work is lost
    finished = _grade_all(paths, options, jobs, kept)
    with _progress(len(paths)) as show, contextlib.closing(finished):
        for row in finished:
            rows[row["path"]] = row
            show(row)
            _write_table(table, [rows[str(path)] for path in paths if str(path) in rows])
    return [rows[str(path)] for path in paths]


def _grade_all(
    paths: Sequence[Path], options: Mapping[str, Any], jobs: int | None, kept: Mapping[str, Row]
) -> Generator[Row, None, None]:
    """Give the rows as they are finished."""
    STOPPED.clear()
    executes = bool(options.get("execute"))
    broken = []
    with _executor(executes, jobs) as executor:
        tasks = {executor.submit(_grade_one, p, options, kept.get(str(p))): p for p in paths}
        try:
            for task in futures.as_completed(tasks):
                try:
                    yield task.result()
                except futures.process.BrokenProcessPool:
                    broken.append(tasks[task])
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            STOPPED.set()
            while executes and not all(task.done() for task in tasks):
                end_children(psutil.Process())
                time.sleep(0.1)
            raise
    for path in broken:  # one of them has ended the process that read it
        row: Row = {"path": str(path), "status": "unreadable"}
        row["reason"] = "reading it ended the process"
        with (
            _executor(False, 1) as executor,
            contextlib.suppress(futures.process.BrokenProcessPool),
        ):
            row = executor.submit(_grade_one, path, options, None).result()
        yield row


def _executor(executes: bool, jobs: int | None) -> futures.Executor:
    if executes:  # each run has a process of its own already
        return futures.ThreadPoolExecutor(jobs or 1)
    context = multiprocessing.get_context("spawn")
    deaf = (signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started them
    return futures.ProcessPoolExecutor(jobs or os.cpu_count(), context, signal.signal, deaf)


def _grade_one(path: Path, options: Mapping[str, Any], kept: Row | None) -> Row:
    row: Row = {"path": str(path), "status": "unreadable"}
    try:
        asked = json.dumps([__version__, *sorted(options.items())])
        row["digest"] = hashlib.sha256(path.read_bytes() + asked.encode()).hexdigest()
        lines: Counter[str] = Counter()  # written alike, without comments and magics
        for tree in (parse(cell.source).tree for cell in read_submission(path).cells):
            own = [n for n in tree.body if getattr(n, "name", "") not in _TEMPLATE] if tree else []
            with contextlib.suppress(RecursionError):
                lines.update(part.strip() for n in own for part in ast.unparse(n).split("\n"))
        del lines["pass"]
        row["lines"] = lines
        if kept is not None and kept["digest"] == row["digest"]:
            return kept | {"lines": lines}
        grade = grade_notebook(path, **options)
    except Exception as error:  # whatever a stranger's file brings about
        reason = str(error) if isinstance(error, (ValueError, OSError)) else repr(error)
        return row | {"reason": printable(reason, 300)}
    row |= {"status": grade.status, "warnings": len(grade.warnings), "grade": grade.as_dict()}
    for check in sorted(grade.checks, key=lambda check: _WORST_LAST.index(check.status)):
        row |= {check.rule: check.status, f"{check.rule} (number)": check.number}
    return row


def find_similar(rows: Sequence[Row]) -> list[tuple[float, int, str, str]]:
    """Find pairs of submissions of nearly the same code, leaving out the lines that most share.

    Returns:
        The share of lines that two have in common, their number, and the two paths.
    """
    own = {row["path"]: row["lines"] for row in rows if row.get("lines")}
    users = Counter(line for lines in own.values() for line in lines)
    most = max(2, len(own) / 2)
    kept = {p: Counter({x: n for x, n in c.items() if users[x] <= most}) for p, c in own.items()}
    sizes = {path: lines.total() for path, lines in kept.items()}
    found = []
    for one, two in combinations([path for path in kept if sizes[path] >= _LEAST_LINES], 2):
        both = sizes[one] + sizes[two]
        if 2 * min(sizes[one], sizes[two]) >= _SAME * both:
            share = 2 * (kept[one] & kept[two]).total() / both
            found += [(share, max(sizes[one], sizes[two]), one, two)] if share >= _SAME else []
    return sorted(found, key=lambda pair: (-pair[0], -pair[1], pair[2:]))


def format_class(rows: Sequence[Row]) -> str:
    """Lay out a class as text: a line for each submission, a summary, and who has the same code."""
    lines = [f"{'':12}  {'parameters':>10}  {'score':>6}  notebook"]
    for row in rows:
        count, score = (row.get(f"{rule} (number)") or "" for rule in ("parameters", "score"))
        count, score = f"{int(count):,}" if count else "-", f"{float(score):.4f}" if score else "-"
        wrong = [f"{rule}: {row[rule]}" for rule in RULES if (row.get(rule) or "pass") != "pass"]
        line = f"{row['status']:12}  {count:>10}  {score:>6}  {printable(row['path'], 200)}  "
        lines.append((line + (row.get("reason") or ", ".join(wrong))).rstrip())
    counts = Counter(row["status"] for row in rows)
    summary = ", ".join(f"{counts[status]} {status}" for status in _STATUSES)
    pairs = find_similar(rows)
    lines += ["", f"{len(rows)} submissions: {summary}; {len(pairs)} pairs of nearly the same code"]
    for share, size, one, two in pairs[:_MOST_PAIRS]:
        lines.append(f"{share:.2f} of {size} lines alike: {printable(one)}, {printable(two)}")
    return "\n".join(lines + ["..."] * (len(pairs) > _MOST_PAIRS))


def class_as_dict(rows: Sequence[Row]) -> dict[str, Any]:
    """The same in dictionaries, lists, texts and numbers, as JSON can hold them."""
    names = ("share", "lines", "one", "two")
    return {
        "summary": Counter(row["status"] for row in rows),
        "submissions": [{key: row[key] for key in row if key != "lines"} for row in rows],
        "alike": [dict(zip(names, pair, strict=True)) for pair in find_similar(rows)],
    }


def _write_table(table: Path | None, rows: Iterable[Row]) -> None:
    if table is not None:
        text = io.StringIO()
        writer = csv.DictWriter(text, _COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_atomically(table, text.getvalue())


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[Row], None]]:
    """In a terminal, a bar with the number of each status; gives what takes the next row."""
    if not sys.stderr.isatty():
        yield lambda row: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}")
    counts: Counter[str] = Counter()
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=total)

        def show(row: Row) -> None:
            counts[row["status"]] += 1
            text = ", ".join(f"{number} {status}" for status, number in counts.items())
            progress.update(task, advance=1, description=text)

        yield show
