"""The command line: `python -m evalib ...`, also installed as `evalib`.

A subcommand imports what it needs when it runs: `colab` works before anything is installed.
"""

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

from evalib.tools.rf import add_rf
from evalib.tools.terminal import signs_of_life


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand and give its exit status; 2 means refused, 130 interrupted."""
    parser = argparse.ArgumentParser(prog="evalib", description="Tools around the notebooks.")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    commands = {_run: _run_options, _grade: _grade_options, _sweep: _sweep_options}
    commands |= {_colab: _colab_options, _claims: _claims_options}
    for command, add_options in commands.items():
        name, (summary, _, text) = command.__name__, (command.__doc__ or "").partition("\n")
        own = subparsers.add_parser(name.lstrip("_"), help=summary, description=text)
        own.set_defaults(command=command)
        add_options(own)
    add_rf(subparsers)
    arguments = parser.parse_args(argv)
    try:
        with signs_of_life():
            return int(arguments.command(arguments))
    except (ValueError, RuntimeError, OSError) as error:
        print(f"evalib: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("evalib: interrupted", file=sys.stderr)
        return 130


def parse_value(text: str) -> bool | float | str | None:
    """Read a parameter as papermill's command line does: True, None, 3, 1e-3, or the text."""
    if text in ("True", "False", "None"):
        return {"True": True, "False": False}.get(text)
    for read in (int, float):
        with contextlib.suppress(ValueError):
            return read(text)
    return text


def _count(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {number}")
    return number


def _folder(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("expected a folder, got an empty name")
    return Path(text)


def _run_options(parser: argparse.ArgumentParser) -> None:
    add, devices, pair = parser.add_argument, ("auto", "cpu", "gpu"), ("NAME", "VALUE")
    add("names", nargs="*", metavar="NAME", help="name, number, file or beginning; all if none")
    add("--device", choices=devices, default="auto", help="cpu hides GPUs, gpu insists on one")
    add("-p", nargs=2, action="append", metavar=pair, help="for the cell tagged `parameters`")
    add("--out", type=_folder, metavar="DIR", help="for the copies (default: outputs/executed)")
    add("--timeout", type=_count, metavar="SECONDS", help="the most a cell may take")
    add("--jobs", type=_count, default=1, metavar="N", help="how many at once, on shared cores")
    add("--resume", action="store_true", help="skip what passed and would come out alike")
    add("--store-outputs", action="store_true", help="into the notebooks; TensorFlow, one job")
    add("--notebooks", type=Path, metavar="DIR", help="the notebooks' folder (default: notebooks)")


def _run(arguments: argparse.Namespace) -> int:
    """execute notebooks and print what passed

    Execute notebooks in fresh kernels, whatever your own settings of IPython, Jupyter and Keras
    are; KERAS_BACKEND counts. Exit status: 0 if all passed, 1 if one failed, 2 if the input was
    refused or the output folder cannot be written, 130 after an interrupt. Whatever ended a call,
    --resume goes on after it.
    """
    from evalib.tools.run import format_table, run_notebooks

    options = {name: value for name, value in vars(arguments).items() if name != "command"}
    parameters = {name: parse_value(value) for name, value in options.pop("p") or []}
    runs = run_notebooks(parameters=parameters, **options)
    if hasattr(sys.stdout, "reconfigure"):  # an error may hold what a terminal cannot show
        sys.stdout.reconfigure(errors="backslashreplace")
    print(format_table(runs))
    for name, warning in ((run.name, text) for run in runs for text in run.warnings):
        print(f"warning: {name}: {warning}")
    return 0 if all(run.passed for run in runs) else 1


def _grade_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("paths", nargs="+", type=Path, metavar="NOTEBOOK", help="of at most 50 MB; or a folder")
    add("--execute", action="store_true", help="judge a run of a copy, with no files beside it")
    add("--timeout", type=float, default=1800, metavar="SECONDS", help="for a run (default: 1800)")
    add("--strict", action="store_true", help="a warning counts as a failure")
    add("--json", action="store_true", help="print the marks as JSON")
    add("--csv", type=Path, metavar="FILE", help="write a row for each submission")
    add("--resume", action="store_true", help="keep the rows of --csv of unchanged notebooks")
    add(
        "--jobs",
        type=_count,
        metavar="N",
        help="at once (default: all cores; 1 to execute)",
    )
    shared = "execute on a Dask cluster, one run a thread; its workers must see the same folder"
    add("--scheduler", metavar="ADDRESS", help=f"{shared} (tcp://10.0.0.5:8786)")
    add("--parameters-below", type=int, default=20_000, metavar="N")
    add("--score-above", type=float, default=0.994, metavar="X")


def _grade(arguments: argparse.Namespace) -> int:
    """mark submissions of the S3 assignment

    Mark notebooks by the rules of the S3 assignment: a comment in every code cell, fewer than
    20,000 parameters, a score above 0.994, cells run in their order, no errors. What a file does
    not show is `cannot tell`. Without --execute files are only read, and numbers are those of
    their stored outputs, which can be edited. Of several files, or a folder, it prints a line
    each, a summary, and who has nearly the same code. --execute runs a copy of somebody else's
    code with your rights, for --timeout seconds and without installers. It is no sandbox: the code
    can read, change and delete your files, and use the network. For people whom you do not trust,
    run it in a container or on Colab. Exit status: 0 passed; 1 a rule failed (with --strict also
    if one warned); 3 needs a look: one cannot be told, or a file of several cannot be read; 2 the
    input was refused; 130 interrupted.
    """
    import json

    from evalib.tools.grade import classroom, rules

    names = ("execute", "timeout", "parameters_below", "score_above")
    options = {name: getattr(arguments, name) for name in names}
    paths = classroom.find_notebooks(arguments.paths)
    of_class = arguments.csv or arguments.resume or arguments.scheduler
    if len(paths) == 1 and paths == arguments.paths and not of_class:
        grade = rules.grade_notebook(paths[0], **options)
        content = grade.as_dict() if arguments.json else rules.format_grade(grade)
        statuses, warnings = {grade.status}, len(grade.warnings)
    else:
        own = {"table": arguments.csv, "scheduler": arguments.scheduler, "jobs": arguments.jobs}
        rows = classroom.grade_class(paths, options, resume=arguments.resume, **own)
        content = (classroom.class_as_dict if arguments.json else classroom.format_class)(rows)
        statuses = {row["status"] for row in rows}
        warnings = sum(int(row.get("warnings") or 0) for row in rows)
    print(json.dumps(content, indent=1) if arguments.json else content)
    if "failed" in statuses or (arguments.strict and warnings):
        return 1
    return 0 if statuses == {"passed"} else 2 if statuses == {"unreadable"} else 3


def _sweep_options(parser: argparse.ArgumentParser) -> None:
    add, place = parser.add_argument, parser.add_mutually_exclusive_group().add_argument
    add("spec", type=Path, metavar="SPEC", help="such as experiments/small.toml")
    place("--scheduler", metavar="ADDRESS", help="Dask's, such as tcp://10.0.0.5:8786")
    place("--workers", type=int, default=1, metavar="N", help="processes here (default: 1)")
    add("--out", type=_folder, metavar="DIR", help="for records (default: outputs/sweeps/NAME)")
    add("--retry-failed", action="store_true", help="run also what failed in an earlier call")


def _sweep(arguments: argparse.Namespace) -> int:
    """run many experiments from one file, here or on a Dask cluster

    Run the experiments of a TOML file and write a record each, then a table and a figure. The same
    command goes on after an interrupt; what other code recorded runs again. Exit status: 0 if all
    ended, 1 if one failed, 2 if the input was refused or the cluster was lost, 130 interrupted.
    """
    from evalib.tools.devices import NO_GPU
    from evalib.tools.kernels import end_processes, kernel_environment

    if not arguments.spec.is_file():  # a pipe could be read only once
        raise ValueError(f"expected a TOML file, got {arguments.spec}")
    with tempfile.TemporaryDirectory(prefix="evalib-sweep-") as name:
        home, variables = Path(name), {"PYTHONSAFEPATH": "1", "TMPDIR": name}
        environment = kernel_environment(home, variables=variables)
        with mock.patch.dict(os.environ, environment, clear=True):
            try:
                from evalib.tools.sweep import run_sweep

                with mock.patch.dict(os.environ, NO_GPU):  # whose memory is for the workers
                    from evalib.tools.sweep_spec import read_sweep

                    sweep = read_sweep(arguments.spec)  # builds each network to check it
                folder = arguments.out or Path("outputs", "sweeps", sweep.name)
                names = ("scheduler", "workers", "retry_failed")
                records = run_sweep(sweep, folder, **{n: getattr(arguments, n) for n in names})
            except ImportError as error:
                dask = error.name in ("dask", "distributed")
                needed = "Dask (pip install distributed)" if dask else "Keras and its backend"
                raise RuntimeError(f"a sweep needs {needed}, but: {error}") from error
            finally:
                end_processes(home)
    print(f"\n{(folder / 'table.md').read_text(encoding='utf-8')}\n{folder / 'figure.png'}")
    return 1 if any("error" in record for record in records.values()) else 0


def _colab_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_mutually_exclusive_group(required=True).add_argument
    add("--repo", metavar="URL", help="write this address: https://github.com/OWNER/REPOSITORY")
    add("--check", action="store_true", help="list badges, first cells and versions that differ")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="the checkout (default: this)")


def _colab(arguments: argparse.Namespace) -> int:
    """write or check the repository's address, which notebooks on Colab install from

    The address stands in pyproject.toml. Badges, first cells and clone commands are written from
    it. Exit status: 0 if all is in order, 1 if a place differs.
    """
    from evalib.tools.colab import repository_folder, set_repository, wrong_addresses

    folder = arguments.folder or repository_folder()
    for path in [] if arguments.repo is None else set_repository(arguments.repo, folder):
        print(f"changed {path.relative_to(folder).as_posix()}")
    wrong = wrong_addresses(folder)
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


def _claims_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--check", action="store_true", help="only tell whether it is current")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="the checkout (default: this)")


def _claims(arguments: argparse.Namespace) -> int:
    """write or check docs/claims.md, the course's claims and the cells that check them

    Join notebooks/claims.toml and the cells' tags proves:ID, refines:ID and corrects:ID. Exit
    status: 0 if the page is as it should be, 1 if it is not, 2 if the list or a tag was refused.
    """
    from evalib.results import write_atomically
    from evalib.tools.claims import PAGE, claims_page
    from evalib.tools.colab import repository_folder

    folder = arguments.folder or repository_folder()
    page, text = folder / PAGE, claims_page(folder)
    if not arguments.check:
        write_atomically(page, text)
        print(PAGE.as_posix())
    elif not page.is_file() or page.read_text(encoding="utf-8") != text:
        print(f"{PAGE.as_posix()} is not what the cells say: run `evalib claims`", file=sys.stderr)
        return 1
    return 0
