"""Make the golden project of this version: ``python tests/labeling/golden/make.py VERSION`` writes VERSION.db and VERSION.json.

Run it once for each version of the file format, and keep what it wrote: later versions must open it.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

from distil.labeling.events import Event, Shown
from distil.labeling.project import Project

HERE = Path(__file__).parent
SAID = [
    ("label", "anna", "first\u202e", "cat"),
    ("label", "ben", "first\u202e", "dog"),
    ("flag", "ben", "first\u202e", None),
    ("skip", "anna", "second\0", None),
    ("unsure", "ben", "second\0", None),
    ("label", "anna", "third\udce9", "cat"),
    ("decide", "carl", "third\udce9", "dog"),
    ("label", "anna", "fourth", "dog"),
]


def main(version: str) -> None:
    """Make a project with an event of every kind."""
    source = Path(tempfile.gettempdir()) / "distil-golden.jsonl"
    ids = dict.fromkeys(item for _, _, item, _ in SAID)
    source.write_text("".join(json.dumps({"id": item, "text": f"text of {item}"}) + "\n" for item in ids))
    with tempfile.TemporaryDirectory() as folder:
        with Project.create(Path(folder) / "p", classes=["cat", "dog", "cow"], copies=2) as project:
            project.add(source)
            fill(project)
            state = project.state()
            document = {
                "classes": state.classes,
                "keys": state.keys,
                "answers": [[*place, *answer] for place, answer in state.answers.items()],
                "events": len(project.events()),
                "leases": project.leases(),
                "queued": project.queued("ben"),
                "texts": {item.id: item.text for item in project.items()},
            }
        shutil.copyfile(Path(folder) / "p" / "project.db", HERE / f"{version}.db")
    (HERE / f"{version}.json").write_text(json.dumps(document, indent=1) + "\n")


def fill(project: Project) -> None:
    """Record an event of every kind."""
    events = [Event(kind=kind, who=who, item=item, label=label) for kind, who, item, label in SAID]
    shown = Event(
        kind="label", who="ben", item="fourth", label="cow", ms=850, tab="t1", shown=Shown("cat", 0.5, True, "why", "1")
    )
    last = events[-1].key
    project.record_all([*events, shown])
    project.record_all(
        [
            Event(kind="undo", who="anna", target=last),
            Event(kind="redo", who="anna", target=last),
            Event(kind="undo", who="anna", target=last),
            Event(kind="withdraw", who="carl", item="second\0", of="ben"),
            Event(kind="class_rename", who="carl", label="cat", name="kitty"),
            Event(kind="class_add", who="carl", label="pet"),
            Event(kind="class_merge", who="carl", label="dog", name="pet"),
            Event(kind="class_key", who="carl", label="cow", name="w"),
            Event(kind="class_key", who="ben", label="dog", name="p"),
        ]
    )
    project.lease("ben", 1, ["second\0"], tab="t2", lasting=True)
    project.release(["second\0"], "ben")
    project.lease("ben", 1, ["third\udce9"])
    project.queue(["fourth", "second\0"])


if __name__ == "__main__":
    main(sys.argv[1])
