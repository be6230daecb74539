"""``distil next``: the items to label next, as a sheet to fill in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from distil.cli.options import PathLike, optional_path, path_of, print_note
from distil.cli.projects import judging_model, person, writing
from distil.errors import argument, counted

if TYPE_CHECKING:
    from distil.labeling.events import Shown
    from distil.labeling.handing_out import Selector
    from distil.labeling.project import Project


def next_(
    project: PathLike,
    n: int,
    *,
    out: PathLike,
    who: str | None = None,
    ties: bool = False,
    suspects: bool = False,
    relabel: bool = False,
    strategy: str | None = None,
    model: str | None = None,
    weights: PathLike | None = None,
    random_share: float = 0.1,
    seed: int = 0,
) -> dict[str, Any]:
    """Write the items to label next as a sheet to fill in, in any spreadsheet program.

    A workbook (``.xlsx``) has the images as pictures, and the classes as lists to pick from; a ``.csv`` file names the images.

    Fill in the column label with names of classes, or the column answer with skip, unsure or flag; rows may stay blank. Then::

        distil answer PROJECT sheet.csv

    The items stay with the person until then: no other sheet holds them. Items that are queued come first, then those that need one
    more answer, then those from which a model learns most: a linear model is fitted to the labels that the project has, and the
    strategy chooses, without labels too. The model reads pixels of images, word counts of texts and the numbers of arrays, unless
    another one is named. One item in ten is drawn at random, so that the accuracy of the model can be measured.

    Args:
        project: The folder of the project.
        n: The number of items.
        out: The file to write, ``.csv`` or ``.xlsx``, which must be new.
        who: The person who fills in the sheet; default: the name of the user's account.
        ties: Only items on which people disagree and no label has the most votes, to one more person.
        suspects: Only labeled items whose label is probably wrong, the most probable error first, for a second look.
        relabel: Only items where one more label helps most, be it the first label or a further one (ActiveLab).
        strategy: The strategy; default: herding, weighted by uncertainty once two classes have labels. random_sampling needs no
            model.
        model: The model of the embeddings: ``timm:NAME`` with weights; ``pixels``, which needs no weights; a folder or package of
            sentence-transformers; or ``package.module:callable``, which takes a list of items and returns (B, D).
        weights: The file with the weights of a timm model.
        random_share: Share of the items that are drawn at random.
        seed: The same seed gives the same choice from the same answers.

    Returns:
        The document that ``--json`` prints: ``out``, ``who``, ``ids``, and ``note``, a sentence on classes or ids that a
        spreadsheet cannot keep apart in a ``.csv`` file; empty if there are none.

    Raises:
        InvalidInput: The file exists, or no item is left for this person.
        UnknownName: No strategy has that name.
        MissingPackage: The file is a workbook and openpyxl is not installed.
    """
    from distil.cli.options import out_of
    from distil.errors import InvalidInput, whole_number
    from distil.labeling.fitting import chosen_by_model
    from distil.labeling.handing_out import drawn_at_random, random_order
    from distil.labeling.sheets import write_sheet
    from distil.strategies.registry import strategy_named
    from distil.system.runtime import Runtime

    if whole_number(n, 1) is None:
        raise InvalidInput(f"n must be a whole number from 1 on, got {n!r}")
    if not 0 <= random_share <= 1:
        raise InvalidInput(f"random_share must be a number from 0 to 1, got {random_share!r}")
    if ties + suspects + relabel > 1:
        raise InvalidInput("ties, suspects and relabel are different lists of items; ask for one of them")
    chosen_by = None if strategy is None else strategy_named(strategy)
    out_of(out, (".csv", ".xlsx"))
    path, name = path_of("out", out), person(who)
    again = suspects or relabel
    shown: dict[str, Shown] = {}
    with writing(project) as opened:
        if again:
            selector = _for_a_second_look(opened, suspects, model, optional_path("weights", weights))
        elif ties:
            selector = random_order(seed)
        elif strategy == "random_sampling":
            selector = drawn_at_random(seed, shown)
        else:
            selector = chosen_by_model(
                opened,
                n,
                model=model,
                weights=optional_path("weights", weights),
                strategy=chosen_by,
                share=random_share,
                seed=seed,
                runtime=Runtime(),
                shown=shown,
            )
        ids = write_sheet(opened, path, name, n, selector, ties=ties, check=again, shown=shown)
        return {"out": path, "who": name, "ids": ids, "note": _alike(opened, ids) if _is_csv(path) else ""}


def _is_csv(path: str) -> bool:
    return path.lower().endswith(".csv")


def _alike(project: Project, ids: Sequence[str]) -> str:
    """A sentence on classes, or else on ids, that a spreadsheet saves alike; empty if there are none."""
    from distil.labeling.spreadsheets import saved_alike

    classes = project.classes
    for what, names, known in (("classes", classes, classes), ("ids", ids, project.ids())):
        pair = saved_alike(names, known)
        if pair is not None:
            return (
                f"a spreadsheet program saves the {what} {pair[0]!r} and {pair[1]!r} alike in a .csv file; a workbook "
                "keeps them apart (--out sheet.xlsx)"
            )
    return ""


def _for_a_second_look(project: Project, suspects: bool, model: str | None, weights: str | None) -> Selector:
    """The suspects, or what ActiveLab puts first, by the labels that the project has now."""
    from distil.labeling.judging import judge, relabel_first, suspects_first
    from distil.system.runtime import Runtime

    model, weights = judging_model(project, model, weights)
    quality = judge(project, model=model, weights=weights, runtime=Runtime())
    return suspects_first(quality) if suspects else relabel_first(quality)


def act(given: dict[str, Any]) -> int:
    """Write the sheet, and say what is in it."""
    done = next_(**given)
    if done["note"]:
        print_note(done["note"])
    print(
        f"{counted(len(done['ids']), 'item')} for {done['who']} in {done['out']}; then: distil answer {argument(given['project'])} "
        f"{argument(done['out'])}"
    )
    return 0
