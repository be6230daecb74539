"""``distil label-studio``: label the items of a project in Label Studio."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from distil.cli.commands import Act
from distil.cli.endings import say
from distil.cli.options import PathLike, as_json, optional_path, path_of, print_note
from distil.cli.projects import writing
from distil.errors import InvalidInput, RunError, whole_number

if TYPE_CHECKING:
    from distil.labeling.label_studio.push import PushSettings

HELP = "Label the items of a project in Label Studio. Its token is in the environment variable LABEL_STUDIO_API_KEY."


def push(
    project: PathLike,
    *,
    url: str,
    n: int = 20,
    images: str = "upload",
    document_root: PathLike = "/",
    strategy: str | None = None,
    model: str | None = None,
    weights: PathLike | None = None,
    random_share: float = 0.1,
    seed: int = 0,
) -> dict[str, Any]:
    """Send the items to label next to Label Studio, with what the model of the project guesses.

    The first push makes a project there. Items are chosen as by distil next. In Label Studio, Label All Tasks begins with the task
    to label first, and so does the tab "next first". No item gets a second task, and open tasks get the newest guesses.

    Args:
        project: The folder of the project.
        url: The address of Label Studio, such as http://localhost:8080.
        n: The number of items.
        images: How images get there: ``upload``; ``data-uri``, inside the tasks, for small ones; or ``local-files``, which Label
            Studio reads on its own machine if it runs with LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true.
        document_root: Its LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT, for local-files.
        strategy: The strategy; default: herding, weighted by uncertainty once two classes have labels.
        model: The model of the embeddings, as for distil next.
        weights: The file with the weights of a timm model.
        random_share: Share of the items that are drawn at random.
        seed: The same seed gives the same choice from the same answers.

    Returns:
        The document that ``--json`` prints: ``page``, ``new``, ``open``, ``guesses``, ``dropped``, ``left_out`` and ``notes``.

    Raises:
        InvalidInput: There is no token, or the project has no classes or items of several kinds.
        RunError: Label Studio does not answer or refuses something.
    """
    from distil.labeling.label_studio.client import connect
    from distil.labeling.label_studio.push import push, remote_of

    how = _settings(n, images, document_root, strategy, model, weights, random_share, seed)
    client = connect(url)
    with writing(project) as opened:
        done = push(opened, remote_of(opened, client), n, how)
    return as_json({**asdict(done), "notes": done.notes})


def act_push(given: dict[str, Any]) -> int:
    """Push, and say what is there now."""
    done = push(**given)
    for line in done["notes"]:
        print_note(line)
    print(
        f"{done['new']:,} new tasks, {done['open']:,} open, {done['guesses']:,} with a guess of the model: {done['page']}"
    )
    return 0


def pull(project: PathLike, *, url: str, new_classes: bool = False) -> dict[str, Any]:
    """Record the answers that people gave in Label Studio.

    Each answer counts once, however often it is pulled. An edited annotation is a new answer, and that of a deleted annotation is
    withdrawn; answers of deleted tasks stay. Skips are skips. People have the names of their accounts there.

    Args:
        project: The folder of the project.
        url: The address of Label Studio, as in the push.
        new_classes: Make a class of each choice that is none yet; without this, annotations with such choices are listed.

    Returns:
        The document that ``--json`` prints: ``recorded``, ``known``, ``withdrawn``, ``classes``, ``refused``, ``open`` and
        ``notes``.

    Raises:
        InvalidInput: There is no token.
        RunError: Nothing was pushed there, or Label Studio does not answer or refuses something.
    """
    from distil.labeling.label_studio.client import connect
    from distil.labeling.label_studio.pull import pull
    from distil.labeling.label_studio.remote import Remote

    client = connect(url)
    with writing(project) as opened:
        remote = Remote.find(opened, client)
        if remote is None:
            raise RunError(f"{client.url} has no project of {opened.path}; push first: distil label-studio push")
        done = pull(opened, remote, new_classes=new_classes)
    return as_json({**asdict(done), "notes": done.notes})


def act_pull(given: dict[str, Any]) -> int:
    """Pull, and say what was recorded."""
    done = pull(**given)
    for line in done["notes"]:
        print_note(line)
    print(
        f"{done['recorded']:,} answers recorded, {done['known']:,} known before, {done['withdrawn']:,} withdrawn; {done['open']:,} "
        "tasks are open"
    )
    return 0


def loop(
    project: PathLike,
    *,
    url: str,
    n: int = 20,
    every: float = 10.0,
    new_classes: bool = False,
    images: str = "upload",
    document_root: PathLike = "/",
    strategy: str | None = None,
    model: str | None = None,
    weights: PathLike | None = None,
    random_share: float = 0.1,
    seed: int = 0,
) -> dict[str, Any]:
    """Pull and push while people label in Label Studio, until no item is open.

    When half of the tasks are answered, the model is fitted again and the next items are pushed, so that people always find some.
    Ctrl-C ends it at any moment; the same command goes on.

    Args:
        project: The folder of the project.
        url: The address of Label Studio, such as http://localhost:8080.
        n: The number of tasks that are open after a push.
        every: Seconds between two looks at Label Studio; up to six times as many while people answer nothing.
        new_classes: Make a class of each choice that is none yet; without this, annotations with such choices are listed.
        images: How images get there, as for push: ``upload``, ``data-uri`` or ``local-files``.
        document_root: The LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT of Label Studio, for local-files.
        strategy: The strategy; default: herding, weighted by uncertainty once two classes have labels.
        model: The model of the embeddings, as for distil next.
        weights: The file with the weights of a timm model.
        random_share: Share of the items that are drawn at random.
        seed: The same seed gives the same choice from the same answers.

    Returns:
        The document that ``--json`` prints: ``page``, ``rounds``, ``recorded``, ``labeled`` and ``items``.

    Raises:
        InvalidInput: There is no token, or the project has no classes or items of several kinds.
        RunError: Label Studio refuses something, or does not answer at the beginning.
    """
    from distil.labeling.label_studio.client import connect
    from distil.labeling.label_studio.loop import loop
    from distil.labeling.label_studio.push import remote_of
    from distil.labeling.project import Project

    how = _settings(n, images, document_root, strategy, model, weights, random_share, seed)
    client = connect(url)
    with Project.open(path_of("project", project)) as opened:
        with opened.only_writer():
            remote = remote_of(opened, client)
        say(f"labeling at {remote.page}")
        done = loop(opened, remote, n, how, every=every, new_classes=new_classes, say=say, note=print_note)
    return as_json({"page": remote.page, **asdict(done)})


def act_loop(given: dict[str, Any]) -> int:
    """Loop, and say how far the project is."""
    done = loop(**given)
    print(f"nothing is open: {done['labeled']:,} of {done['items']:,} items have a label")
    return 0


def _settings(
    n: int,
    images: str,
    document_root: PathLike,
    strategy: str | None,
    model: str | None,
    weights: PathLike | None,
    random_share: float,
    seed: int,
) -> PushSettings:
    from pathlib import Path

    from distil.labeling.label_studio.images import as_images
    from distil.labeling.label_studio.push import PushSettings
    from distil.strategies.registry import strategy_named
    from distil.system.runtime import Runtime

    if whole_number(n, 1) is None:
        raise InvalidInput(f"n must be a whole number from 1 on, got {n!r}")
    if not 0 <= random_share <= 1:
        raise InvalidInput(f"random_share must be a number from 0 to 1, got {random_share!r}")
    return PushSettings(
        strategy=None if strategy is None else strategy_named(strategy),
        share=random_share,
        seed=seed,
        model=model,
        weights=optional_path("weights", weights),
        runtime=Runtime(),
        images=as_images(images),
        root=Path(path_of("document_root", document_root)).expanduser().absolute(),
    )


COMMANDS: dict[str, tuple[Callable[..., Any], Act]] = {
    "push": (push, act_push),
    "pull": (pull, act_pull),
    "loop": (loop, act_loop),
}
