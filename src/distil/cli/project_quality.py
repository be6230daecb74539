"""``distil project suspects``, and what ``distil project status`` says about the quality of the labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from distil.cli.options import PathLike, as_json, optional_path, out_of, path_of, print_note
from distil.cli.projects import judging_model

if TYPE_CHECKING:
    from distil.labeling.project import Project
    from distil.labeling.quality import PersonQuality

_SHOWN = 20


def suspects(
    project: PathLike,
    *,
    out: PathLike | None = None,
    model: str | None = None,
    weights: PathLike | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """List the labels of a project that are probably wrong, the most probable error first.

    Every label is compared with what a linear model says that was fitted without it (confident learning, in five folds): the model
    that guesses on the page has learned the wrong labels too, so only its embeddings are used. Look at them again with::

        distil next PROJECT --suspects --n 20 --out sheet.csv

    Args:
        project: The folder of the project.
        out: The file to write them to: ``.csv``, ``.jsonl`` or ``.parquet``.
        model: The model of the embeddings; see ``distil next``. Default: that of the page.
        weights: The file with the weights of a timm model.
        force: Replace a file of that name that has other content; without it, no file is replaced.

    Returns:
        The document that ``--json`` prints: ``labels``, the number of labels that were judged; ``errors``, how many of them are
        estimated to be wrong; ``agreement``, the share that the model guesses; and ``suspects``, each with ``item``, ``label``,
        ``guess``, ``p`` and ``who`` gave the label.

    Raises:
        InvalidInput: Fewer than two classes have labels, or the model of the page is code, which is run only where it is named.
    """
    from distil.labeling.judging import judge
    from distil.labeling.project import Project
    from distil.labeling.table_rows import write_records
    from distil.system.runtime import Runtime

    path = out_of(out, (".csv", ".jsonl", ".parquet"))
    with Project.open(path_of("project", project)) as opened:
        embeds, weighs = judging_model(opened, model, optional_path("weights", weights))
        found = judge(opened, model=embeds, weights=weighs, runtime=Runtime())
        truths = opened.truths()
    rows = [
        {**each._asdict(), "who": [who for who, label in truths[each.item].votes.items() if label == each.label]}
        for each in found.suspects
    ]
    if path is not None:
        write_records([{**row, "who": ", ".join(row["who"])} for row in rows], path, force=force)
    return {"labels": found.labels, "errors": found.errors, "agreement": found.agreement, "suspects": rows}


def act_suspects(given: dict[str, Any]) -> int:
    """Print the first suspects."""
    done = suspects(**given)
    found = done["suspects"]
    print(
        f"{len(found):,} of {done['labels']:,} labels are suspect: a model that has not seen them is confident of another class "
        f"(it agrees with {done['agreement']:.0%}; about {done['errors']:,} are estimated to be wrong)"
    )
    for row in found[:_SHOWN]:
        print(
            f"  {row['item']}: {row['label']} ({', '.join(row['who'])}); the model says {row['guess']}, p = {row['p']:.2f}"
        )
    if len(found) > _SHOWN and given["out"] is None:
        print_note(f"{len(found) - _SHOWN:,} more; --out FILE.csv writes all of them")
    return 0


def quality_of(opened: Project) -> dict[str, Any]:
    """What ``distil project status`` says about quality.

    ``judged`` (labels), ``errors`` (estimated) and ``suspects`` (ids) when the labels were last judged, or None; and ``people``.
    """
    from distil.labeling.model import CACHE
    from distil.labeling.quality import Quality, SelfAgreement, is_suspect, people_quality

    truths, quality, repeats = opened.truths(), Quality.load(opened.path / CACHE), SelfAgreement()
    repeats.read(opened)
    known = opened.known_classes
    people = people_quality(truths, repeats.counts(known), quality)
    judged = () if quality is None else quality.suspects
    return {
        "judged": None if quality is None else quality.labels,
        "errors": None if quality is None else quality.errors,
        "suspects": [each.item for each in judged if is_suspect(each, truths.get(each.item), known)],
        "people": {who: _document(found) for who, found in people.items()},
    }


def _document(found: PersonQuality) -> dict[str, Any]:
    shares = {name: getattr(found, name) for name in ("with_others", "with_self")}
    document = {**asdict(found), **{name: share and share._asdict() for name, share in shares.items()}}
    return as_json(document)


def quality_lines(quality: Mapping[str, Any]) -> list[str]:
    """The lines of ``distil project status`` on quality."""
    lines = []
    if quality["judged"] is not None:
        lines.append(
            f"suspects: {len(quality['suspects']):,}, when {quality['judged']:,} labels were judged (distil project suspects)"
        )
    for who, found in quality["people"].items():
        parts = [
            f"{words} {_percent(found[name])}"
            for name, words in (
                ("with_others", "agrees with the others"),
                ("with_self", "with their own earlier answer"),
            )
            if found[name] is not None
        ]
        if found["quality"] is not None:
            parts.append(f"quality by CROWDLAB {found['quality']:.2f}")
        if parts:
            lines.append(f"{who}: {', '.join(parts)}")
    return lines


def _percent(share: Mapping[str, float]) -> str:
    return f"{share['share']:.0%} ({share['low']:.0%} to {share['high']:.0%})"
