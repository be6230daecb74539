"""``distil report`` and ``distil.report``: a page of what one or several experiments show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distil.cli.options import PathLike, as_json, optional_path, out_of, paths_of


def report(
    runs: PathLike | Sequence[PathLike],
    *,
    output: PathLike | None = None,
    force: bool = False,
    data: PathLike | None = None,
) -> dict[str, Any]:
    """Make a page of what one or several experiments show.

    The page has learning curves with their bounds, areas with paired tests, labels saved, which strategy beats which, time and
    memory, what was selected, and everything needed to repeat the experiment. It is a single file that works offline and can be
    sent as it is. Several directories are taken for several data sets, over which strategies are ranked; of directories that
    share runs, as copies do, one counts.

    The page names what it cannot show, for example because runs are not finished, there is only one seed, or the data is missing.
    With --json, ``distil report`` prints everything that the page shows, and writes the page only with --output.

    Args:
        runs: The output directories of ``distil run`` or ``distil compare``, one a data set.
        output: The page to write, ``.html``; default of the command: report.html, in RUNS where that is one directory.
        force: Replace a page of that name that has other content; without it, no file is replaced. The report.html in a directory
            RUNS needs no --force: it is written anew, and one that was edited is kept as `report (edited).html`.
        data: The folder of the data sets; default: the experiment's, ``$DISTIL_DATA``, then the user's cache.

    Returns:
        The document that ``distil report --json`` prints, every number and sentence of the page: ``title``, ``notes``, ``level``,
        ``alpha``, ``metric_names``, ``experiments`` (one a directory) and ``across`` (None with one data set).

    Raises:
        RunError: A directory holds no experiment, or a damaged one.
        InvalidInput: No directories, an output that is not called as a page is, or a file of that name with other content.
    """
    path = out_of(output, (".html", ".htm"), "output")
    found = _report(runs, data)
    if path is not None:
        _written(path, paths_of("runs", runs), found, force)
    return as_json(found)


def _report(runs: PathLike | Sequence[PathLike], data: PathLike | None) -> Any:  # noqa: ANN401 - what JSON can hold
    from distil.experiment.directory import open_config
    from distil.experiment.page.report import report_of

    return report_of(
        [open_config(Path(run).expanduser(), optional_path("data", data)) for run in paths_of("runs", runs)]
    )


def _written(path: Path, runs: Sequence[str], found: Any, force: bool) -> bool:  # noqa: ANN401
    """Write the page; False if the file holds it already. The page of a directory is also written by its comparison."""
    from distil.experiment.outputs import PAGE, write_report
    from distil.experiment.page.render import page_of
    from distil.system.files import publish

    page = page_of(found)
    if len(runs) == 1 and path.absolute() == Path(runs[0], PAGE).expanduser().absolute():
        return write_report(path.parent, page)
    return publish(path, page.encode(), force=force)


def act(given: dict[str, Any]) -> int:
    """Write the page and print the tables."""
    from distil.experiment.outputs import PAGE

    runs, path = given["runs"], out_of(given["output"], (".html", ".htm"), "output")
    found = _report(runs, given["data"])
    path = path or (Path(runs[0], PAGE).expanduser() if len(runs) == 1 else Path(PAGE))
    written = _written(path, runs, found, given["force"])
    for note in found["notes"]:
        print(f"{note}\n")
    print("\n\n".join(f"{experiment['name']}\n\n{experiment['table']}" for experiment in found["experiments"]))
    print(f"\nReport: {path}" + ("" if written else " (it was there already)"))
    return 0
