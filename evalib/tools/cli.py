"""The command line: `python -m evalib ...`, also installed as `evalib`."""

import argparse
import io
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

from evalib.tools.rf import add_rf

# A subcommand imports what it needs when it runs: help stays quick, and one that needs only the
# standard library works before anything is installed.


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand.

    Args:
        argv: The arguments; those of the process by default.

    Returns:
        0 when all is well, 1 when a check or a notebook failed, 2 when the input was refused, 130
        after an interrupt.
    """
    parser = argparse.ArgumentParser(prog="evalib", description="Tools around the notebooks.")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_run(subparsers)
    _add_grade(subparsers)
    add_rf(subparsers)
    _add_sweep(subparsers)
    _add_colab(subparsers)
    _add_claims(subparsers)
    arguments = parser.parse_args(argv)
    try:
        return int(arguments.command(arguments))
    except (ValueError, RuntimeError, OSError) as error:
        print(f"evalib: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("evalib: interrupted", file=sys.stderr)
        return 130


def parse_value(text: str) -> bool | int | float | str | None:
    """Read a parameter's value as papermill's command line does.

    Args:
        text: Such as "True", "None", "3", "1e-3" or "relu".

    Returns:
        A bool, None, an int, a float, or the text itself.
    """
    constants: dict[str, bool | None] = {"True": True, "False": False, "None": None}
    if text in constants:
        return constants[text]
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            continue
    return text


def _add_run(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "run",
        help="execute notebooks and print what passed",
        description="Execute notebooks in fresh kernels, whatever your own settings of IPython, "
        "Jupyter and Keras are; KERAS_BACKEND counts. Exit status: 0 if all passed, 1 if one "
        "failed, 2 if the input was refused or the output folder cannot be written (full, for "
        "example), 130 after an interrupt. Whatever ended a call, --resume goes on after it.",
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="a notebook's name, number, file or unambiguous beginning; all notebooks if none is "
        "given",
    )
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "gpu"),
        default="auto",
        help="cpu hides GPUs from the notebooks, gpu refuses to run without one (default: auto)",
    )
    parser.add_argument(
        "-p",
        dest="parameters",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help="a value for the cell tagged `parameters`; repeatable",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="where executed copies and report.json go (default: outputs/executed beside the "
        "notebooks' folder); only what this command wrote is replaced",
    )
    parser.add_argument("--timeout", type=int, metavar="SECONDS", help="the most a cell may take")
    parser.add_argument(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="how many notebooks to run at once; they share the processor's cores (default: 1)",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="skip what passed earlier and is unchanged: the notebook, evalib, the results in "
        "outputs/, versions, parameters and device",
    )
    parser.add_argument(
        "--store-outputs",
        action="store_true",
        help="write the outputs of notebooks that passed into the notebooks themselves; only with "
        "TensorFlow and one job, for the digits of others differ",
    )
    parser.add_argument(
        "--notebooks", type=Path, metavar="DIR", help="the notebooks' folder (default: notebooks)"
    )
    parser.set_defaults(command=_run)


def _run(arguments: argparse.Namespace) -> int:
    from evalib.results import UnwritableError
    from evalib.tools.run import format_table, run_notebooks

    if arguments.out == "":
        raise ValueError("expected a folder for --out, got an empty name")
    try:
        runs = run_notebooks(
            arguments.names,
            device=arguments.device,
            parameters={name: parse_value(value) for name, value in arguments.parameters},
            output_folder=Path(arguments.out) if arguments.out else None,
            store_outputs=arguments.store_outputs,
            cell_timeout=arguments.timeout,
            notebook_folder=arguments.notebooks,
            jobs=arguments.jobs,
            resume=arguments.resume,
        )
    except UnwritableError as error:
        raise UnwritableError(f"{error}. What has finished is kept; --resume goes on") from error
    if isinstance(sys.stdout, io.TextIOWrapper):  # an error may hold what a terminal cannot show
        sys.stdout.reconfigure(errors="backslashreplace")
    print(format_table(runs))
    for run in runs:
        for warning in run.warnings:
            print(f"warning: {run.name}: {warning}")
    return 0 if all(run.passed for run in runs) else 1


def _add_grade(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "grade",
        help="mark submissions of the S3 assignment",
        description="Mark notebooks by the rules of the S3 assignment: a comment in every code "
        "cell, fewer than 20,000 parameters, a score above 0.994, cells run in their order, no "
        "errors. What makes a score say less than it seems is a warning; what a file does not show "
        "is `cannot tell`. Without --execute files are only read: nothing of them is run or "
        "imported, and numbers are those of their stored outputs, which can be edited. Of several "
        "files, or a folder, it prints a line each, a summary, and who has nearly the same code.",
        epilog="--execute runs somebody else's code with your rights. It protects the original "
        "file (a copy is run, in a temporary folder that is removed), your time (--timeout), your "
        "packages (pip, conda and others are refused), and you from processes that stay behind. It "
        "is no sandbox: the code can read, change and delete your files, read your environment "
        "variables, use the network, and get around what protects you. For people whom you do not "
        "trust, run it in a container or on Colab. Exit status: 0 passed; 1 a rule failed (with "
        "--strict also if one warned); 3 needs a look: none failed, but one cannot be told, or a "
        "file of several cannot be read; 2 the input was refused; 130 interrupted.",
    )
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="NOTEBOOK", help="of at most 50 MB; or a folder"
    )
    parser.add_argument(
        "--execute",
        action="store_true",
        help="run a copy from a fresh kernel of this Python, and judge that run; it finds no files "
        "beside the notebook",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=1800,
        metavar="SECONDS",
        help="for a whole run (default: %(default)s)",
    )
    parser.add_argument("--strict", action="store_true", help="a warning counts as a failure")
    parser.add_argument("--json", action="store_true", help="print the marks as JSON")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write a row for each submission")
    parser.add_argument(
        "--resume", action="store_true", help="keep the rows of --csv whose notebooks are unchanged"
    )
    parser.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="how many at a time (default: one a core; one with --execute)",
    )
    parser.add_argument("--parameters-below", type=int, default=20_000, metavar="N")
    parser.add_argument("--score-above", type=float, default=0.994, metavar="X")
    parser.set_defaults(command=_grade)


def _grade(arguments: argparse.Namespace) -> int:
    import json

    from evalib.tools.grade import classroom, rules

    names = ("execute", "timeout", "parameters_below", "score_above")
    options = {name: getattr(arguments, name) for name in names}
    paths = classroom.find_notebooks(arguments.paths)
    several = len(paths) > 1 or paths != arguments.paths or arguments.csv or arguments.resume
    if not several:
        grade = rules.grade_notebook(paths[0], **options)
        content = grade.as_dict() if arguments.json else rules.format_grade(grade)
        statuses, warnings = [grade.status], len(grade.warnings)
    else:
        rows = classroom.grade_class(
            paths, options, jobs=arguments.jobs, table=arguments.csv, resume=arguments.resume
        )
        content = (classroom.class_as_dict if arguments.json else classroom.format_class)(rows)
        statuses = [row["status"] for row in rows]
        warnings = sum(int(row.get("warnings") or 0) for row in rows)
    print(json.dumps(content, indent=1) if arguments.json else content)
    if "failed" in statuses or (arguments.strict and warnings):
        return 1
    if set(statuses) == {"unreadable"}:
        return 2
    return 0 if set(statuses) == {"passed"} else 3


def _add_sweep(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "sweep",
        help="run many experiments from one file, here or on a Dask cluster",
        description="Run the experiments of a TOML file and write a record each, then a table and "
        "a figure. What has its record does not run again, unless other code made that: after an "
        "interrupt the same command goes on. Exit status: 0 if all runs ended, 1 if one failed, 2 "
        "if the input was refused or the cluster was lost, 130 after an interrupt.",
    )
    parser.add_argument("spec", type=Path, metavar="SPEC", help="such as experiments/small.toml")
    place = parser.add_mutually_exclusive_group()
    place.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="of a Dask scheduler, such as tcp://10.0.0.5:8786 (default: start workers here)",
    )
    place.add_argument(
        "--workers",
        type=int,
        default=1,
        metavar="N",
        help="how many processes to start here; they share the cores (default: 1)",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="where records go (default: outputs/sweeps/NAME below the current folder)",
    )
    parser.add_argument(
        "--retry-failed", action="store_true", help="run also what failed in an earlier call"
    )
    parser.set_defaults(command=_sweep)


def _sweep(arguments: argparse.Namespace) -> int:
    from evalib.tools.kernels import end_processes, kernel_environment

    if not arguments.spec.is_file():  # a pipe could be read only once
        raise ValueError(f"expected a TOML file, got {arguments.spec}")
    if arguments.out == "":
        raise ValueError("expected a folder for --out, got an empty name")
    with tempfile.TemporaryDirectory(prefix="evalib-sweep-") as name:
        home = Path(name)
        environment = kernel_environment(home, variables={"PYTHONSAFEPATH": "1", "TMPDIR": name})
        with mock.patch.dict(os.environ, environment, clear=True):
            try:
                return _sweep_file(arguments)
            except ImportError as error:
                needed = "Keras and its backend"
                if error.name in ("dask", "distributed"):
                    needed = "Dask (pip install distributed)"
                raise RuntimeError(f"a sweep needs {needed}, but: {error}") from error
            finally:
                end_processes(home)


def _sweep_file(arguments: argparse.Namespace) -> int:
    from evalib.tools.devices import NO_GPU
    from evalib.tools.sweep import run_sweep

    # This process builds each network to check it: GPU memory is for the workers.
    with mock.patch.dict(os.environ, NO_GPU):
        from evalib.tools.sweep_spec import read_sweep

        sweep = read_sweep(arguments.spec)
    folder = Path(arguments.out or Path("outputs", "sweeps", sweep.name))
    records = run_sweep(
        sweep,
        folder,
        scheduler=arguments.scheduler,
        workers=arguments.workers,
        retry_failed=arguments.retry_failed,
    )
    print(f"\n{(folder / 'table.md').read_text(encoding='utf-8')}\n{folder / 'figure.png'}")
    return 1 if any("error" in record for record in records.values()) else 0


def _add_colab(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "colab",
        help="write or check the repository's address, which notebooks on Colab install from",
        description="The address stands in pyproject.toml. Badges, first cells and clone commands "
        "are written from it. Exit status: 0 if all is in order, 1 if a place differs.",
    )
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument(
        "--repo", metavar="URL", help="write this address: https://github.com/OWNER/REPOSITORY"
    )
    action.add_argument(
        "--check",
        action="store_true",
        help="list the badges, first cells and versions that differ from the checkout's",
    )
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="the checkout (default: this one)"
    )
    parser.set_defaults(command=_colab)


def _colab(arguments: argparse.Namespace) -> int:
    from evalib.tools.colab import repository_folder, set_repository, wrong_addresses

    folder = arguments.folder or repository_folder()
    changed = [] if arguments.repo is None else set_repository(arguments.repo, folder)
    for path in changed:
        print(f"changed {path.relative_to(folder).as_posix()}")
    wrong = wrong_addresses(folder)
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


def _add_claims(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "claims",
        help="write or check docs/claims.md, the course's claims and the cells that check them",
        description="Join notebooks/claims.toml and the tags proves:ID, refines:ID and corrects:ID "
        "of the notebooks' cells into docs/claims.md. Exit status: 0 if the page is as it should "
        "be, 1 if a check found it otherwise, 2 if the list or a tag was refused.",
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing, only tell whether the page is current"
    )
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="the checkout (default: this one)"
    )
    parser.set_defaults(command=_claims)


def _claims(arguments: argparse.Namespace) -> int:
    from evalib.tools.claims import PAGE, is_current, write_page
    from evalib.tools.colab import repository_folder

    folder = arguments.folder or repository_folder()
    if not arguments.check:
        print(write_page(folder).relative_to(folder).as_posix())
    elif not is_current(folder):
        print(f"{PAGE.as_posix()} is not what the cells say: run `evalib claims`", file=sys.stderr)
        return 1
    return 0
