"""Export and import: every format goes there and back; contradictions are counted and change nothing."""

import errno
import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import distil
from distil.cli import project_classes
from distil.data.workbooks import read_sheet
from distil.errors import DataNotFound, InvalidInput, RunError
from distil.labeling import hugging_face, workbook_sheets
from distil.labeling.events import Event
from distil.labeling.exchange import export_labels, import_labels
from distil.labeling.project import Project

ODD = "\u202eodd 'x'; DROP TABLE item; --"


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    (folder / "sub").mkdir(parents=True)
    for number, name in enumerate(["a.png", "sub/b.png", "=1+1.png", "d.png"]):
        Image.new("L", (4, 4), 50 * number).save(folder / name)
    return folder


@pytest.fixture
def of_images(tmp_path, images):
    with Project.create(tmp_path / "of_images", classes=["cat", ODD]) as project:
        project.add(images)
        yield project


def fresh(tmp_path, source):
    project = Project.create(tmp_path / f"fresh{len(list(tmp_path.iterdir()))}")
    project.add(source)
    return project


def answer_all(project, ids):
    """Answers of every kind by two people, to four items."""
    said = [
        ("label", "anna", ids[0], "cat"),
        ("label", "ben", ids[0], "cat"),
        ("label", "anna", ids[1], project.classes[1]),
        ("flag", "anna", ids[1], None),
        ("skip", "anna", ids[2], None),
        ("unsure", "ben", ids[2], None),
        ("label", "ben", ids[3], "cat"),
        ("decide", "carl", ids[3], project.classes[1]),
        ("flag", "ben", ids[2], None),
    ]
    project.record_all([Event(kind=kind, who=who, item=item, label=label) for kind, who, item, label in said])


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl", "x.parquet", "x.json"])
def test_answers_go_there_and_back(tmp_path, of_images, images, name):
    answer_all(of_images, ["a.png", "sub/b.png", "=1+1.png", "d.png"])
    more = {"format": "label-studio"} if name == "x.json" else {"answers": True}
    export_labels(of_images, tmp_path / name, **more)
    with fresh(tmp_path, images) as project:
        done = import_labels(project, tmp_path / name)
        assert (done.conflicts, done.unknown, done.refused) == ((), (), ())
        assert project.state().answers == of_images.state().answers
        assert {*project.classes} == {*of_images.classes}
        again = import_labels(project, tmp_path / name)
        assert (again.recorded, again.known) == (0, 7)
        assert project.state().answers == of_images.state().answers


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl", "x.parquet", "x.json", "folder"])
def test_labels_go_there_and_back(tmp_path, of_images, images, name):
    answer_all(of_images, ["a.png", "sub/b.png", "=1+1.png", "d.png"])
    formats = {"x.json": "coco", "folder": "huggingface"}
    assert export_labels(of_images, tmp_path / name, formats.get(name, "table")) == 3
    with fresh(tmp_path, images) as project:
        assert import_labels(project, tmp_path / name).recorded == 3
        assert project.labels() == of_images.labels() == {"a.png": "cat", "sub/b.png": ODD, "d.png": ODD}


def test_texts_go_there_and_back(tmp_path):
    texts = ["two\nlines", "=SUM(A1)", "'quoted", 'a "b", c', "\u202eright to left", "-5"]
    source = tmp_path / "texts.jsonl"
    source.write_text("".join(json.dumps({"id": f"={n}", "text": text}) + "\n" for n, text in enumerate(texts)))
    with Project.create(tmp_path / "p", classes=["+1", "=A"]) as project:
        project.add(source)
        project.record_all(
            [Event(kind="label", who="a", item=f"={n}", label=["+1", "=A"][n % 2]) for n in range(len(texts))]
        )
        for name, kind in [("x.csv", "table"), ("x.parquet", "table"), ("x.jsonl", "table"), ("hf", "huggingface")]:
            export_labels(project, tmp_path / name, kind)
            with fresh(tmp_path, source) as other:
                import_labels(other, tmp_path / name)
                assert other.labels() == project.labels()
    lines = (tmp_path / "x.csv").read_text()
    assert "\n'=1,'=SUM(A1),'=A\n" in lines
    table = pq.read_table(tmp_path / "hf" / "data" / "train-00000-of-00001.parquet")
    assert table.column("text").to_pylist() == texts


def test_the_layout_of_an_image_folder(tmp_path, of_images, images):
    """As documented for ``imagefolder``: metadata.jsonl next to the images, with file_name relative to it."""
    answer_all(of_images, ["a.png", "sub/b.png", "=1+1.png", "d.png"])
    export_labels(of_images, tmp_path / "hf", "huggingface")
    lines = [json.loads(line) for line in (tmp_path / "hf/train/metadata.jsonl").read_text().splitlines()]
    assert [line["label"] for line in lines] == ["cat", ODD, ODD]
    for line in lines:
        assert (tmp_path / "hf/train" / line["file_name"]).read_bytes() == (images / line["id"]).read_bytes()
    with pytest.raises(RunError, match="expected a new or empty folder"):
        export_labels(of_images, tmp_path / "hf", "huggingface")


def test_an_image_folder_is_there_completely_or_not_at_all(tmp_path, of_images, images, monkeypatch):
    """After a full disk or a kill, the same export again works and leaves nothing else behind."""
    answer_all(of_images, ["a.png", "sub/b.png", "=1+1.png", "d.png"])
    copy, copied = hugging_face.shutil.copyfile, []

    def fails(source, target):
        copied.append(target)
        if len(copied) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        copy(source, target)

    before = sorted(tmp_path.iterdir())
    folder = tmp_path / "new" / "out"
    for begin in (lambda: None, lambda: folder.mkdir(parents=True)):  # an empty folder is as good as none
        begin()
        copied.clear()
        monkeypatch.setattr(hugging_face.shutil, "copyfile", fails)
        with pytest.raises(OSError, match="No space left"):
            export_labels(of_images, folder, "huggingface")
        assert [*folder.parent.iterdir()] in ([], [folder])
        monkeypatch.setattr(hugging_face.shutil, "copyfile", copy)
        killed = folder.parent / ".out.0123456789abcdef.tmp" / "train"
        killed.mkdir(parents=True)
        (killed / "a.png").write_bytes(b"half")
        (folder.parent / ".out.mine.tmp").write_bytes(b"mine")  # not of an export
        export_labels(of_images, folder, "huggingface")
        assert sorted(path.name for path in folder.parent.iterdir()) == [".out.mine.tmp", "out"]
        assert (folder / "train" / "sub" / "b.png").read_bytes() == (images / "sub" / "b.png").read_bytes()
        with pytest.raises(RunError, match="expected a new or empty folder"):
            export_labels(of_images, folder, "huggingface")
        shutil.rmtree(folder.parent)
    assert sorted(tmp_path.iterdir()) == before


def test_an_image_folder_has_a_file_for_each_image(tmp_path):
    """Also where an id cannot be the name of a file there, and its number is another id."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for n, name in enumerate(["000001.png", "metadata.png"]):
        Image.new("RGB", (4, 4), (n * 200, 0, 0)).save(folder / name)
    with Project.create(tmp_path / "p", classes=["cat"]) as project:
        project.add(folder)
        answers = [Event(kind="label", who="a", item=item, label="cat") for item in project.ids()]
        project.record_all(answers)
        export_labels(project, tmp_path / "hf", "huggingface")
        lines = [json.loads(line) for line in (tmp_path / "hf/train/metadata.jsonl").read_text().splitlines()]
        assert len(lines) == 2
        for line in lines:
            assert (tmp_path / "hf/train" / line["file_name"]).read_bytes() == (folder / line["id"]).read_bytes()
        (folder / "000001.png").unlink()
        with pytest.raises(InvalidInput, match=r"1 labeled image cannot be copied.*'000001\.png'"):
            export_labels(project, tmp_path / "later", "huggingface")
    assert not (tmp_path / "later").exists()


def test_a_text_that_no_reader_of_csv_takes(tmp_path):
    (tmp_path / "texts.jsonl").write_text(json.dumps({"id": "a", "text": "a" * 150_000}) + "\n")
    with Project.create(tmp_path / "p", classes=["cat"]) as project:
        project.add(tmp_path / "texts.jsonl")
        project.record_all([Event(kind="label", who="a", item="a", label="cat")])
        with pytest.raises(InvalidInput, match=r"has 150,000 characters.*write \.jsonl"):
            export_labels(project, tmp_path / "x.csv")
        assert export_labels(project, tmp_path / "x.jsonl") == 1


def test_a_workbook_of_labels(tmp_path, monkeypatch):
    """All cells are texts, so no text is a formula and ids keep their zeros; it comes back as it was."""
    openpyxl = pytest.importorskip("openpyxl")
    texts = {"007": "=1+1", "'=a": "+a\tb\r\n_x0041_\x01", "true": "ä"}
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"id": i, "text": t}) + "\n" for i, t in texts.items()))
    labels = dict(zip(texts, ["01", "=HYPERLINK(1)", "1.0"], strict=True))
    with Project.create(tmp_path / "p", classes=["1", *labels.values()]) as project:
        project.add(tmp_path / "texts.jsonl")
        project.record_all([Event(kind="label", who="@a", item=item, label=label) for item, label in labels.items()])
        project.record_all([Event(kind="flag", who="b", item="true")])
        assert export_labels(project, tmp_path / "x.xlsx") == 3
        assert export_labels(project, tmp_path / "answers.xlsx", answers=True) == 4
        for name in ("x.xlsx", "answers.xlsx"):
            cells = [cell for row in openpyxl.load_workbook(tmp_path / name).active for cell in row]
            assert {(cell.data_type, cell.number_format) for cell in cells if cell.value is not None} == {("s", "@")}
            with Project.create(tmp_path / f"of {name}", classes=project.classes) as other:
                other.add(tmp_path / "texts.jsonl")
                import_labels(other, tmp_path / name)
                assert other.labels() == labels
        shown = [cells[:2] for _, cells in read_sheet(tmp_path / "x.xlsx").rows]
        assert shown == [["id", "text"], *map(list, texts.items())]
        with pytest.raises(InvalidInput, match="exists already, with other content"):
            export_labels(project, tmp_path / "answers.xlsx")
        monkeypatch.setattr(workbook_sheets, "LONGEST", 10)
        with pytest.raises(
            InvalidInput, match=r"more.xlsx was not written: .* 32 characters, .* at most 10 in a cell; write .jsonl"
        ):
            export_labels(project, tmp_path / "more.xlsx")


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl", "x.parquet"])
def test_classes_whose_names_differ_by_a_zero_behind_the_point(tmp_path, project, texts, name):
    project.record_all([Event(kind="class_add", who="a", label=label) for label in ("1", "1.0")])
    said = {"0": "1", "1": "1.0", "2": "1"}
    project.record_all([Event(kind="label", who="a", item=item, label=label) for item, label in said.items()])
    export_labels(project, tmp_path / name)
    with Project.create(tmp_path / "other", classes=["1", "1.0"]) as other:
        other.add(texts)
        import_labels(other, tmp_path / name)
        assert other.labels() == said


def test_new_classes_whose_names_differ_by_a_zero_behind_the_point(tmp_path, texts):
    """They are kept apart where one file has both; alone, 2.0 is what a program made of 2."""
    for first, second in (("1", "1.0"), ("1.0", "1")):
        (tmp_path / "x.csv").write_text(f"id,label\n0,{first}\n1,{second}\n2,{first}\n3,2.0\n4, {second}\n")
        with Project.create(tmp_path / f"p{first}") as other:
            other.add(texts)
            assert import_labels(other, tmp_path / "x.csv").classes == (first, second, "2")
            assert other.labels() == {"0": first, "1": second, "2": first, "3": "2", "4": second}


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl", "x.parquet", "x.json"])
def test_answers_that_are_ratings_keep_the_zero_behind_the_point(tmp_path, project, texts, name):
    project.record_all([Event(kind="class_add", who="a", label=label) for label in ("4.0", "4.5")])
    said = {"0": "4.0", "1": "4.5"}
    project.record_all([Event(kind="label", who="a", item=item, label=label) for item, label in said.items()])
    more = {"format": "label-studio"} if name == "x.json" else {"answers": True}
    export_labels(project, tmp_path / name, **more)
    with fresh(tmp_path, texts) as other:
        import_labels(other, tmp_path / name)
        assert other.labels() == said


def test_class_labels_of_a_data_set(tmp_path, project):
    """Numbers of a ``ClassLabel`` are its names, which ``datasets`` writes into the schema."""
    features = {"id": {"dtype": "string"}, "label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
    table = pa.table({"id": ["0", "1"], "label": [1, 0]})
    about = json.dumps({"info": {"features": features}})
    (tmp_path / "hf" / "data").mkdir(parents=True)
    pq.write_table(
        table.replace_schema_metadata({"huggingface": about}), tmp_path / "hf/data/train-00000-of-00001.parquet"
    )
    import_labels(project, tmp_path / "hf")
    assert project.labels() == {"0": "dog", "1": "cat"}


def test_the_layout_of_coco(tmp_path, of_images):
    answer_all(of_images, ["a.png", "sub/b.png", "=1+1.png", "d.png"])
    export_labels(of_images, tmp_path / "coco.json", "coco")
    document = json.loads((tmp_path / "coco.json").read_text())
    names = {entry["id"]: entry["name"] for entry in document["categories"]}
    files = {entry["id"]: entry["distil_id"] for entry in document["images"]}
    said = {files[entry["image_id"]]: names[entry["category_id"]] for entry in document["annotations"]}
    assert said == of_images.labels()


def test_coco_of_another_program(tmp_path, of_images):
    document = {
        "images": [{"id": n, "file_name": name} for n, name in enumerate(["a.png", "d.png", "sub/b.png", "none.png"])],
        "categories": [{"id": 7, "name": "cow"}, {"id": 9, "name": "cat"}],
        "annotations": [
            {"image_id": 0, "category_id": 7, "bbox": [0, 0, 1, 1]},
            {"image_id": 0, "category_id": 7},
            {"image_id": 1, "category_id": 7},
            {"image_id": 1, "category_id": 9},
            {"image_id": 3, "category_id": 9},
        ],
    }
    (tmp_path / "c.json").write_text(json.dumps(document))
    done = import_labels(of_images, tmp_path / "c.json")
    assert of_images.labels() == {"a.png": "cow"}
    assert (done.recorded, done.classes, done.unknown) == (1, ("cow",), ("none.png",))
    assert done.refused == ("d.png: it has the categories cat, cow", "sub/b.png: it has no category")
    (tmp_path / "c.json").write_text(json.dumps({"annotations": [{"image_id": 5}]}))
    with pytest.raises(InvalidInput, match="expected COCO"):
        import_labels(of_images, tmp_path / "c.json")


def choices(*labels, **more):
    result = [{"from_name": "x", "to_name": "y", "type": "choices", "value": {"choices": list(labels)}}]
    return {"completed_by": {"email": "anna@x.org"}, "was_cancelled": False, "result": result, **more}


def test_tasks_of_label_studio(tmp_path, project):
    """As its JSON export has them; what is no label of one class is refused by name, and the rest is recorded."""
    rectangle = {"type": "rectanglelabels", "value": {"rectanglelabels": ["cat"]}}
    annotations = [
        choices("cat", id=1, lead_time=2.5),
        choices("cat", "dog"),
        choices("dog", result=[], was_cancelled=True),
        choices("dog", result=[]),
        choices("dog", result=[rectangle]),
        choices("dog", completed_by=None),
        choices("dog", completed_by=4),
        "x",
    ]
    tasks = [{"id": 10 + n, "data": {"distil_id": str(n)}, "annotations": [a]} for n, a in enumerate(annotations)]
    tasks += [{"id": 20, "data": {}, "annotations": []}, {"data": {"id": "99"}, "annotations": [choices("cat")]}, 3]
    (tmp_path / "ls.json").write_text(json.dumps(tasks))
    done = import_labels(project, tmp_path / "ls.json")
    state = project.state().answers
    assert {place: (answer.kind, answer.label) for place, answer in state.items()} == {
        ("0", "anna@x.org"): ("label", "cat"),
        ("2", "anna@x.org"): ("skip", None),
        ("6", "label-studio user 4"): ("label", "dog"),
    }
    assert (done.recorded, done.unknown) == (3, ("99",))
    refused = {text.partition(":")[0] for text in done.refused}
    assert refused == {"task 1 (1)", "task 3 (3)", "task 4 (4)", "task 5 (5)", "task 7 (7)", "task 8", "task 10"}
    (tmp_path / "ls.json").write_text(json.dumps([{"data": {"id": 1}, "label": "cat"}]))
    with pytest.raises(InvalidInput, match="not JSON_MIN"):
        import_labels(project, tmp_path / "ls.json")


def test_what_people_said_is_not_changed(tmp_path, project, say):
    say("anna", "label", "0", "cat")
    say("anna", "label", "1", "cat")
    say("ben", "label", "1", "dog")
    say("anna", "skip", "2")
    say("carl", "decide", "3", "dog")
    (tmp_path / "x.csv").write_text("id,label\n0,dog\n1,cat\n2,cow\n3,dog\n4.0, cat \n4,dog\nnone,cat\n5,\n")
    before = project.state().answers
    done = import_labels(project, tmp_path / "x.csv", who="file")
    assert done.conflicts == (("0", "cat", "dog"), ("1", "several labels", "cat"), ("4", "cat", "dog"))
    assert (done.recorded, done.known, done.unknown, done.blank, done.classes) == (2, 1, ("none",), 1, ("cow",))
    after = project.state().answers
    assert {place: after[place] for place in before} == before
    assert {place for place in after if place not in before} == {("2", "file"), ("4", "file")}
    assert project.labels() == {"0": "cat", "2": "cow", "3": "dog", "4": "cat"}


def test_a_label_under_an_earlier_name(tmp_path, project, say):
    say("anna", "label", "0", "cat")
    export_labels(project, tmp_path / "x.csv")
    say("anna", "class_rename", label="cat", name="kitty")
    done = import_labels(project, tmp_path / "x.csv")
    assert (done.known, done.conflicts, project.classes) == (1, (), ["kitty", "dog"])


def test_tables_of_other_programs(tmp_path, project):
    for name, text, labels in [
        ("two.csv", "0,cat\n1,dog\n", {"0": "cat", "1": "dog"}),
        ("names.tsv", "ID\tClass\n2\tcat\n", {"2": "cat"}),
        ("objects.json", '[{"id": 3, "label": "dog"}]', {"3": "dog"}),
    ]:
        (tmp_path / name).write_text(text)
        import_labels(project, tmp_path / name)
        assert labels.items() <= project.labels().items()
    for name, text, message in [
        ("none.csv", "id,label\nx,cat\n", "none of the 1 ids is that of an item: 'x'"),
        ("ids.txt", "0\n", "has no labels"),
        ("bad.json", "{", "cannot be read as JSON"),
        ("deep.json", "[" * 200_000, "cannot be read as JSON"),
        ("odd.csv", "id,who,answer,label,flagged\n0,anna,lable,cat,0\n", "line 2: expected label, skip"),
        ("odd2.csv", "id,who,answer,label,flagged\n0,anna,skip,cat,0\n", "do not fit together"),
        ("odd3.csv", 'id,label\n5,"two\nlines"\n', "one line of text"),
    ]:
        (tmp_path / name).write_text(text)
        with pytest.raises(InvalidInput, match=message):
            import_labels(project, tmp_path / name)
    with pytest.raises(DataNotFound):
        import_labels(project, tmp_path / "nothing")


def test_folders_of_classes(tmp_path):
    folder = tmp_path / "classes"
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        Image.new("L", (4, 4)).save(folder / label / "1.png")
    with Project.create(tmp_path / "p") as project:
        project.add(folder)
        import_labels(project, folder)
        assert project.labels() == {"cat/1.png": "cat", "dog/1.png": "dog"}


def test_what_cannot_be_exported(tmp_path, project, say):
    with pytest.raises(InvalidInput, match="there is nothing to export yet"):
        export_labels(project, tmp_path / "x.csv")
    say("anna", "label", "0", "cat")
    for name, more, message in [
        ("x.tsv", {}, "ends in .csv or .jsonl or .parquet or .xlsx"),
        ("x.csv", {"format": "coco"}, "ends in .json"),
        ("x.json", {"format": "coco"}, "COCO holds images, and '0' is none"),
        ("x.json", {"format": "coco", "answers": True}, "answers are written to"),
        ("x.json", {"format": "label_studio"}, "did you mean 'label-studio'"),
    ]:
        with pytest.raises(InvalidInput, match=message):
            export_labels(project, tmp_path / name, **more)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(("x.", ".x"))]


def test_an_export_replaces_no_other_file(tmp_path, of_images):
    answer_all(of_images, ["a.png", "sub/b.png", "=1+1.png", "d.png"])
    for name, kind in (("x.csv", "table"), ("x.jsonl", "table"), ("x.json", "label-studio"), ("y.json", "coco")):
        path = tmp_path / name
        export_labels(of_images, path, kind)
        whole = path.read_bytes()
        export_labels(of_images, path, kind)
        path.write_bytes(b"mine")
        with pytest.raises(InvalidInput, match="exists already, with other content"):
            export_labels(of_images, path, kind)
        assert path.read_bytes() == b"mine"
        export_labels(of_images, path, kind, force=True)
        assert path.read_bytes() == whole


def test_names_that_are_not_utf_8(tmp_path, of_images, images):
    Image.new("L", (4, 4)).save(images / "caf\udce9.png")
    of_images.add(images)
    of_images.record_all([Event(kind="label", who="anna", item="caf\udce9.png", label="cat")])
    for name in ("x.csv", "x.jsonl"):
        export_labels(of_images, tmp_path / name)
        with fresh(tmp_path, images) as project:
            import_labels(project, tmp_path / name)
            assert project.labels() == {"caf\udce9.png": "cat"}
    with pytest.raises(InvalidInput, match=r"which only \.jsonl keeps"):
        export_labels(of_images, tmp_path / "x.parquet")


def test_an_exported_table_is_labels_for_a_selection(tmp_path, project, say):
    for item, label in [("0", "cat"), ("3", "dog")]:
        say("anna", "label", item, label)
    export_labels(project, tmp_path / "labels.csv")
    np.save(tmp_path / "e.npy", np.random.default_rng(0).normal(size=(10, 3)))
    picks = distil.pick("core_set", 8, embeddings=tmp_path / "e.npy", labeled=tmp_path / "labels.csv")["picks"]
    assert {str(pick["id"]) for pick in picks} == {str(n) for n in range(10)} - {"0", "3"}


# -------------------------------------------------------------------------------------------- everything, in every format

PEOPLE, NAMES, TEXTS = ("anna", "ben", "مرحبا"), ("cat", "=1+1", "a, b"), ("0", "1", "2", "3")
said = st.builds(
    lambda kind, who, item, label: Event(
        kind=kind, who=who, item=item, label=label if kind in ("label", "decide") else None
    ),
    st.sampled_from(["label", "label", "skip", "unsure", "flag", "decide"]),
    st.sampled_from(PEOPLE),
    st.sampled_from(TEXTS),
    st.sampled_from(NAMES),
)
keys = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["c", "=", "'", "é"]), max_size=3)


@settings(max_examples=6)
@given(st.lists(said, min_size=1, max_size=15), keys)
def test_everything_goes_there_and_back_in_every_format(tmp_path_factory, events, keys):
    """Answers, skips, flags and decisions of several people, and the classes with their keys."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "texts.txt").write_text("one\ntwo\nthree\nfour\n")
    with Project.create(folder / "p", classes=NAMES) as project:
        project.add(folder / "texts.txt")
        project.record_all([*events, *(Event(kind="class_key", who="x", label=c, name=k) for c, k in keys.items())])
        whole, classes = project.state(), project_classes.classes(project.path)
    (folder / "classes.json").write_text(json.dumps(classes))
    for name in ("x.csv", "x.jsonl", "x.parquet", "x.json"):
        more = {"format": "label-studio"} if name == "x.json" else {"answers": True}
        with Project.open(folder / "p") as project:
            export_labels(project, folder / name, **more)
        with Project.create(folder / f"of {name}") as other:
            other.add(folder / "texts.txt")
            for file in ("classes.json", name):
                done = import_labels(other, folder / file)
                assert (done.conflicts, done.unknown, done.refused) == ((), (), ())
            assert other.state() == whole
            assert import_labels(other, folder / "classes.json").known == 3


def test_a_list_of_classes_changes_no_key_that_is_there(tmp_path, project):
    project.record_all([Event(kind="class_key", who="x", label="cat", name="c")])
    path = tmp_path / "classes.json"
    entries = [{"name": "cat", "key": "k"}, {"name": "dog", "key": "c"}, {"name": "cow", "key": "w"}, {"name": "pet"}]
    path.write_text(json.dumps({"classes": entries}))
    done = import_labels(project, path)
    assert done.classes == ("cow", "pet")
    assert done.conflicts == (("cat", "c", "k"), ("dog", "no key: c is that of cat", "c"))
    assert project.class_keys == {"cat": "c", "cow": "w"}
    for wrong, message in (
        ([{"name": 3}], "entry 0 of classes needs the texts name"),
        ([{"name": "cat"}, {"name": "new", "key": ["k"]}], "entry 1 of classes needs"),
        ([{"name": "new", "key": "kk"}], "must be one printable character"),
    ):
        path.write_text(json.dumps({"classes": wrong}))
        with pytest.raises(InvalidInput, match=message):
            import_labels(project, path)
    assert project.classes == ["cat", "dog", "cow", "pet"]
