"""``distil label``: the page on which people label the items of a project."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from distil.cli.endings import say
from distil.cli.options import PathLike, listed, optional_path, path_of
from distil.cli.projects import check_strategy, is_code, moved_on, person, unread, writing
from distil.errors import InvalidInput, MissingPackage, RunError, argument

if TYPE_CHECKING:
    from distil.labeling.adding import Added
    from distil.labeling.project import Project


def label(
    data: PathLike,
    *,
    project: PathLike | None = None,
    column: str | None = None,
    ids: str | None = None,
    classes: str | Sequence[str] | None = None,
    who: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8765,
    model: str | None = None,
    weights: PathLike | None = None,
    strategy: str | None = None,
    random_share: float | None = None,
    withhold: float = 0.1,
    checks: bool = True,
    trust: bool = False,
) -> dict[str, Any]:
    """Label the items of a project on a page, in the browser of this machine.

    The command prints an address that opens the page once; the page makes further ones, one a person. Every answer is saved before
    the page says so. A model learns from the answers in the background and chooses the items from which it learns most. Ctrl-C ends
    the command, and the same command goes on, with the model, strategy and share that were named the last time::

        distil label photos/ --classes cat,dog

    Args:
        data: The folder of a project; or a folder of images, a table or an array, which becomes a new project. Later calls find
            that project again and add what is new.
        project: The folder of the project, where ``data`` is not one; default: the name of the data with ``-labels``, next to it.
        column: The column of texts or image paths, where the pool is a table; ``title,body`` joins two columns of texts.
        ids: The ids: a column of the table, or a file of ids; default: as before, or found by name.
        classes: The names of the classes: a list, or text such as ``cat,dog``; those that the project lacks are added after its
            own, and a line says so. The page adds classes too.
        who: The name of the person who opens the printed address; default: the name of the user's account.
        host: The address to listen on. Other machines reach any other than 127.0.0.1, over a connection that is not encrypted.
        port: The port; 0 takes a free one.
        model: The model of the embeddings: ``timm:NAME`` with weights; ``pixels``, which needs no weights; a folder or package of
            sentence-transformers; or ``package.module:callable``, which takes a list of items and returns (B, D).
        weights: The file with the weights of a timm model.
        strategy: The strategy that chooses items; default: herding, weighted by uncertainty once two classes have labels.
        random_share: Share of the items that are drawn at random; default: 0.1.
        withhold: Share of the items whose guess is not shown, so that its effect on people is measured.
        checks: Give some items a second time, to measure how much people agree with themselves and to look at suspected errors.
        trust: Run the code that the project names as its model.

    Returns:
        The document that ``--json`` prints at the end: ``project``, ``items`` and ``labeled``.

    Raises:
        InvalidInput: It is neither a project nor data, the address cannot be listened on, or the project names code as its model.
        RunError: Another process works on the project.
        UnknownName: No strategy has that name.
    """
    from distil.labeling.events import Event
    from distil.labeling.recording import check_class_names

    server = _server()
    names = listed(classes)
    check_class_names(names)
    if strategy is not None:
        check_strategy(strategy)
    if not 0 <= withhold <= 1:
        raise InvalidInput(f"withhold must be a number from 0 to 1, got {withhold!r}")
    if random_share is not None and not 0 <= random_share <= 1:
        raise InvalidInput(f"random_share must be a number from 0 to 1, got {random_share!r}")
    name, place = person(who), optional_path("project", project)
    where = _absolute(path_of("data", data))
    folder = _project_of(where, None if place is None else Path(place), name, column, ids)
    named = {"model": model, "weights": optional_path("weights", weights), "strategy": strategy, "share": random_share}
    with writing(folder) as opened:
        known = opened.known_classes
        new = [each for each in names if each not in known]
        opened.record_all([Event(kind="class_add", who=name, label=each) for each in new])
        worker = _model_of(opened, {key: value for key, value in named.items() if value is not None}, trust)
        say(f"project: {folder}")
        if names and known:
            added = f"; added now: {', '.join(new)}" if new else ""
            say(f"classes, in the order of their keys: {', '.join(opened.classes)}{added}")
        server.serve(opened, worker, name, host, port, withhold, say, checks=checks)
        return {"project": str(folder), "items": len(opened.items()), "labeled": len(opened.labels())}


def act(given: dict[str, Any]) -> int:
    """Serve the page, and say how far the project is at the end."""
    done = label(**given)
    print(
        f"{done['labeled']:,} of {done['items']:,} items have a label; go on with: distil label {argument(done['project'])}"
    )
    return 0


def _server() -> ModuleType:
    """The module of the server, which needs optional packages."""
    try:
        return import_module("distil.labeling.server.run")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("starlette", "uvicorn"):
            raise
        raise MissingPackage(
            f'distil label needs {error.name}, which is not installed: pip install "distil[label]"'
        ) from error


def _project_of(data: Path, project: Path | None, who: str, column: str | None, ids: str | None) -> Path:
    """The folder of the project for what the user named, made or brought up to date if that is data."""
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    from distil.labeling.store import FILE

    if (data / FILE).is_file():
        if project is not None:
            raise InvalidInput(f"{data} is a project itself; leave out --project, or name the data")
        if column is not None or ids is not None:
            raise InvalidInput(
                f"{data} is a project, whose data have their columns; leave out --column and --ids, or name the data"
            )
        return data
    folder = project.expanduser() if project is not None else project_for(data)
    # in a process of its own, because reading data loads torch, which would stay in the server for weeks
    try:
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            added = pool.submit(_brought, folder, data, who, column, ids).result()
    except BrokenProcessPool as error:
        raise RunError(
            f"the process that reads {data} was killed, perhaps because the memory was full; nothing was added: end other "
            "programs, and run the same command again"
        ) from error
    note = f"; {added.note}" if added.note else ""
    if added.unreadable:
        say(unread(added.unreadable))
    if added.moved:
        how = f"distil project add {argument(folder)} {argument(data)} --moved"
        say(moved_on(added.moved, f"to let the answers follow: {how}"))
    say(
        f"{added.new:,} new items, {added.known:,} as before, {len(added.changed):,} changed, {len(added.gone):,} gone{note}"
    )
    return folder


def project_for(data: str | Path) -> Path:
    """The folder of the project of some data, next to it: the whole name of a folder, or that of a file without its ending."""
    where = _absolute(data)
    name = where.name if where.is_dir() else where.stem
    if not name:
        raise InvalidInput(f"{where} has no name that the project could take; name its folder (--project)")
    return where.parent / f"{name}-labels"


def _absolute(data: str | Path) -> Path:
    """A path without ``.`` and ``..``, whose last part is a name."""
    return Path(os.path.abspath(Path(data).expanduser()))


def _brought(folder: Path, data: Path, who: str, column: str | None, ids: str | None) -> Added:
    """Add what is new in the data to its project; make the project if there is none."""
    from distil.labeling.project import Project
    from distil.labeling.sources import read_source
    from distil.labeling.store import FILE

    if not (folder / FILE).is_file():
        read_source(data, column, ids)  # what cannot be read leaves no project behind
        Project.create(folder, who=who).close()
    with writing(folder) as opened:
        sources = {os.path.abspath(source): source for source in opened.sources}  # typed in any way
        if sources and str(data) not in sources:
            raise InvalidInput(
                f"{folder} is a project for {opened.sources[0]}; name another folder (--project), or add the data to it: "
                f"distil project add {argument(folder)} {argument(data)}"
            )
        return opened.add(sources.get(str(data), data), column=column, ids=ids, who=who)


def _model_of(project: Project, named: dict[str, str | float], trust: bool) -> dict[str, str | float]:
    """The settings of the model: those on the command line, and for others those of the last time."""
    kept = project.model
    if "model" in named:
        kept.pop("weights", None)
    code = str(kept.get("model", ""))
    if "model" not in named and not trust and is_code(code):
        raise InvalidInput(
            f"the project names code as its model, {code!r:.200}, which is not run unasked; if you know the code, add --trust, or "
            "name a model (--model)"
        )
    settings = {**kept, **named}
    if settings != project.model:
        project.remember_model(settings)
    return settings
