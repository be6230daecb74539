"""What the commands that run experiments share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distil.cli.executors import ExecutorName, executor_named
from distil.cli.options import PathLike, as_json, listed, optional_path, path_of, print_note
from distil.errors import InvalidInput, argument

if TYPE_CHECKING:
    from distil.experiment.config.experiment_config import ExperimentConfig
    from distil.experiment.oracles import MakeOracle
    from distil.system.executor import Executor


def configured(
    config: PathLike,
    *,
    output: PathLike | None = None,
    data: PathLike | None = None,
    download: bool = False,
    strategies: str | Sequence[str] | None = None,
    seeds: int | None = None,
    threads: int | None = None,
    track: str | Sequence[str] | None = None,
) -> ExperimentConfig:
    """The experiment of a configuration file, with the options in place of what the file says."""
    from distil.experiment.config.experiment_config import read_config

    given = {
        "output": optional_path("output", output),
        "data": optional_path("data", data),
        "seeds": seeds,
        "threads": threads,
    }
    experiment: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    overrides = {"experiment": experiment}
    if seeds is not None:
        experiment["seed"] = None
    if track is not None:
        experiment["trackers"] = listed(track)
    if strategies is not None:
        overrides["active_learning"] = {"strategies": listed(strategies), "strategy": None}
    if download:
        overrides["dataset"] = {"download": True}
    found = read_config(Path(path_of("config", config)).expanduser(), overrides)
    folders = (found.output, *found.output.parents)
    try:
        blocked = next((path for path in folders if path.exists() and not path.is_dir()), None)
    except OSError as error:  # a name that is too long
        raise InvalidInput(
            f"experiment.output: {str(found.output)[:100]} cannot be a directory: {error.strerror}"
        ) from None
    if blocked is not None:
        raise InvalidInput(
            f"the output directory cannot be {found.output}: {blocked} is a file; choose another (--output)"
        )
    return found


def advanced(
    experiment: ExperimentConfig,
    *,
    executor: Executor | None = None,
    trust: bool = False,
    progress: bool | None = None,
    page: bool = False,
    say: Callable[[str], None] | None = None,
) -> str | None:
    """Do what is left of an experiment and write its results; the table, or None where the experiment waits for answers."""
    from distil.experiment.outputs import write_results
    from distil.experiment.suite import run_all

    with ExitStack() as projects:
        named = partial(_oracle_named, projects)
        complete = run_all(experiment, named=named, executor=executor, trust=trust, progress=progress, say=say)
    return write_results(experiment, page=page) if complete else None


def _oracle_named(projects: ExitStack, name: str) -> MakeOracle:
    """The oracle of a name in a configuration; a project is open as long as ``projects``."""
    from distil.experiment.config.document import PROJECT
    from distil.labeling.oracle import ProjectOracle
    from distil.labeling.project import Project
    from distil.system.imports import named_object

    if not name.startswith(PROJECT):
        return named_object(name)
    oracle = ProjectOracle(projects.enter_context(Project.open(name.removeprefix(PROJECT))))
    return lambda *_: oracle


def document_of(experiment: ExperimentConfig, table: str | None) -> dict[str, Any]:
    """What ``--json`` prints of an experiment that ``advanced`` returned ``table`` of."""
    from distil.experiment.directory import open_config
    from distil.experiment.page.report import report_of

    if table is None:
        return {"waiting": True, "output": str(experiment.output)}
    return as_json(report_of([open_config(experiment.output)]))


def finish(
    experiment: ExperimentConfig,
    *,
    workers: int | None,
    executor: ExecutorName | None,
    address: str | None,
    trust: bool,
    progress: bool | None,
    page: bool = False,
) -> int:
    """Do what is left of an experiment and print its table."""
    where = executor_named(executor, address, workers)
    table = advanced(experiment, executor=where, trust=trust, progress=progress, page=page, say=print_note)
    if table is None:
        print(f"Waiting for answers. When they are there: distil resume {argument(experiment.output)}")
    else:
        print(table)
    return 3 if table is None else 0
