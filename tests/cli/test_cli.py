"""The command line: exit codes, where messages go, and what the commands print."""

from __future__ import annotations

import csv
import json
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import pytest

from distil import cli
from distil.cli import main
from distil.errors import DistilWarning
from distil.experiment import outputs, suite
from distil.selection.oracle import Pending
from distil.strategies import STRATEGIES

SMALL = {
    "model": {"architecture": "two_layer_net", "target_classes": 10, "hidden_units_1": 8},
    "train_parameters": {"lr": 0.05, "batch_size": 16, "n_epoch": 2},
    "active_learning": {
        "strategies": ["random_sampling", "margin_sampling"],
        "budget": 5,
        "rounds": 3,
        "initial_points": 10,
    },
    "dataset": {"name": "digits", "test_points": 100},
    "experiment": {"seeds": 1},
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty current directory, no data of the user's, and no progress bars."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DISTIL_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


@pytest.fixture
def no_plot(monkeypatch):
    """Plots are slow, and tested elsewhere."""
    monkeypatch.setattr(outputs, "picture_of", lambda *_, **__: b"picture")


@pytest.fixture
def file(here):
    """``file(section__key=value)``: the name of a configuration file; None takes a key away."""

    def write(name="small.json", **changes):
        document = json.loads(json.dumps(SMALL))
        for key, value in changes.items():
            section, _, key = key.partition("__")
            if value is None:
                del document[section][key]
            elif key:
                document[section][key] = value
            else:
                document[section] = value
        (here / name).write_text(json.dumps(document))
        return name

    return write


@pytest.fixture
def said(capsys):
    """``said(argv)``: exit code, standard output and standard error of a command."""

    def call(*argv):
        capsys.readouterr()
        code = main(list(argv))
        return code, *capsys.readouterr()

    return call


# -------------------------------------------------------------------------------------------- help and wrong lines

NAMES = ("run", "compare", "report", "resume", "strategies", "select", "embed", "audit")


def test_help(said):
    code, out, err = said("--help")
    assert (code, err) == (0, "")
    assert out.startswith("Usage: distil [OPTIONS] COMMAND")
    for name in NAMES:
        assert f"\n  {name} " in out
        code, text, err = said(name, "-h")
        assert (code, err) == (0, "")
        assert text.startswith(f"Usage: distil {name} [OPTIONS]")
        assert text.isascii()
        assert "--json" in text


def test_version(said):
    assert said("--version") == (0, f"distil {version('distil')}\n", "")


def test_a_wrong_command_line(said):
    for argv, message in (
        ((), "Missing command.\nHelp: distil --help"),
        (("rum",), "No such command 'rum'. Did you mean 'run'"),
        (("run",), "Missing argument 'CONFIG'. A JSON file"),
        (("run", "a.json", "b.json"), "unexpected extra argument(s) (b.json)\nHelp: distil run --help"),
        (
            ("select", "e.npy", "--n", "3"),
            "'e.npy' follows no option; a file follows the option that reads it, such as --embeddings",
        ),
        (("evaluate", "p.npy"), "such as --probs p.npy\nHelp: distil evaluate --help"),
        (("verify", "a"), "unexpected extra argument(s) (a)"),
        (("run", "a.json", "--seeds", "x"), "Invalid value for '--seeds': expected a whole number, got 'x'"),
        (("run", "a.json", "--workers", "1.5"), "Invalid value for '--workers': expected a whole number, got '1.5'"),
        (("audit", "a.npy", "--near", "x"), "Invalid value for '--near': expected a number, got 'x'"),
        (("run", "a.json", "--theads", "2"), "No such option: --theads (Possible options: --seeds, --threads)"),
        (("run", "a.json", "--seeds", "1", "--seeds", "2"), "Invalid value for '--seeds': given 2 times; give it once"),
        (("embed", "a", "--out", "a.npy"), "Missing option '--model'. The model of the embeddings: `timm:NAME`"),
        (("embed", "a", "--on-error", "no"), "'no' is not one of 'raise', 'skip'"),
        (("strategies", "[/red]"), "([/red])"),
        (("--verison",), "--version"),
        (("project", "undo", "p"), "Missing argument 'KEY'. The key of the event.\nHelp: distil project undo --help"),
        (("project", "export", "p", "--out", "a"), "\nHelp: distil project export --help"),
        (("label-studio", "push", "--no"), "\nHelp: distil label-studio push --help"),
        (("select", "--strategy"), "Option '--strategy' requires an argument.\nHelp: distil select --help"),
        (("project", "expotr"), "\nHelp: distil project --help"),
    ):
        code, out, err = said(*argv)
        assert (code, out) == (2, "")
        assert err.startswith("distil: ")
        assert message in err
        assert err.splitlines()[-1].startswith("Help: distil ")


def test_verbose_shows_the_traceback_of_an_error(said):
    for argv in (("-v", "run", "no.json"), ("run", "no.json", "--verbose")):
        code, _, err = said(*argv)
        assert code == 2
        assert err.startswith("Traceback")
        assert err.endswith("distil: there is no configuration file no.json\n")
    assert "Traceback" not in said("run", "no.json")[2]


def test_an_error_of_the_system_is_a_line(said, file, monkeypatch):
    def fails(*_, **__):
        raise PermissionError(13, "Permission denied", "runs/small")

    monkeypatch.setattr(suite, "run_all", fails)
    assert said("run", file()) == (1, "", "distil: runs/small: Permission denied\n")


# -------------------------------------------------------------------------------------------- run and resume


def test_run(said, file, here, no_plot):
    code, out, err = said("run", file(), "--no-progress")
    assert (code, err) == (0, "")
    for part in ("accuracy (%) by labels", "random_sampling", "margin_sampling", "Results: runs/small/results.md"):
        assert part in out
    assert json.loads((here / "runs" / "small" / "config.json").read_text())["model"] == SMALL["model"]
    for label in ("random_sampling", "margin_sampling"):
        assert (here / "runs" / "small" / label / "0" / "model.safetensors").exists()
    with (here / "runs" / "small" / "results.csv").open() as results:
        assert len(list(csv.reader(results))) == 1 + 2 * 3


def test_run_with_the_real_plot(said, file, here):
    pytest.importorskip("matplotlib")
    code, out, err = said("run", file(active_learning__rounds=1))
    assert (code, err) == (0, "")
    assert "curves.png" in out
    assert (here / "runs" / "small" / "curves.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_run_again_and_resume_say_the_same(said, file, here, no_plot):
    first = said("run", file())
    assert said("run", "small.json") == first
    assert said("resume", "runs/small") == first
    assert said("resume", str(here / "runs" / "small"))[0] == 0


def test_the_options_of_run_replace_those_of_the_file(said, file, here, no_plot):
    name = file(
        active_learning__strategies=None, active_learning__strategy="core_set", experiment={"seed": 7, "threads": 1}
    )
    argv = [
        "--output",
        "there",
        "--strategies",
        "badge",
        "--strategies",
        "random_sampling",
        "--seeds",
        "2",
        "--threads",
        "2",
    ]
    code, _, err = said("run", name, *argv, "--data", "elsewhere")
    assert (code, err) == (0, "")
    found = json.loads((here / "there" / "config.json").read_text())
    assert found["experiment"] == {"output": ".", "seeds": 2, "threads": 2, "data": "../elsewhere"}
    assert found["active_learning"]["strategies"] == ["badge", "random_sampling"]
    assert "strategy" not in found["active_learning"]
    assert sorted(p.parent.name + p.name for p in (here / "there").glob("*/[0-9]*")) == [
        "badge0",
        "badge1",
        "first_round0",
        "first_round1",
        "random_sampling0",
        "random_sampling1",
    ]


def test_another_experiment_in_the_same_folder(said, file, no_plot):
    assert said("run", file())[0] == 0
    code, out, err = said("run", file(train_parameters__lr=0.1))
    assert code == 1
    assert out == ""
    assert err.startswith("distil: runs/small holds another experiment: train_parameters.lr is ")
    assert "distil resume runs/small" in err


def test_a_folder_of_something_else(said, file, here):
    (here / "thesis").mkdir()
    (here / "thesis" / "thesis.tex").touch()
    code, _, err = said("run", file(), "--output", "thesis")
    assert code == 2
    assert "thesis exists and holds no experiment" in err
    for output in ("thesis/thesis.tex", "thesis/thesis.tex/more"):
        code, _, err = said("run", file(), "--output", output)
        assert (code, "thesis/thesis.tex is a file" in err) == (2, True)


def test_what_is_no_experiment(said, here):
    (here / "file").touch()
    for argv in (("resume", "nothing"), ("resume", "."), ("resume", "file"), ("report", "nothing"), ("report", ".")):
        code, out, err = said(*argv)
        assert (code, out) == (1, "")
        assert err.startswith(f"distil: {argv[1]} holds no experiment")


def test_a_damaged_run(said, file, here, no_plot):
    assert said("run", file())[0] == 0
    events = here / "runs" / "small" / "margin_sampling" / "0" / "events.jsonl"
    lines = events.read_text().splitlines(keepends=True)
    events.write_text("".join([lines[0], "rubbish\n", *lines[2:]]))
    for argv in (
        ("resume", "runs/small"),
        ("report", "runs/small"),
        ("run", file()),
        ("compare", file(), "--seeds", "1"),
    ):
        code, out, err = said(*argv)
        assert (code, out, len(err.splitlines())) == (1, "", 1)
        assert err.startswith("distil: runs/small/margin_sampling/0/events.jsonl, line 2: expected a JSON object")
    assert not (here / "runs" / "small" / "full_data").exists()  # said before any training


def test_waiting_for_answers(said, file, monkeypatch, here, no_plot):
    class Nobody:
        def ask(self, query):
            return Pending()

    real = suite.run_all
    with monkeypatch.context() as patched:
        patched.setattr(suite, "run_all", lambda config, **_: real(config, oracle=lambda *_: Nobody()))
        for argv in (("run", file()), ("resume", "runs/small")):
            code, out, err = said(*argv)
            assert (code, err) == (3, "")
            assert out == "Waiting for answers. When they are there: distil resume runs/small\n"
            code, out, err = said(*argv, "--json")
            assert (code, json.loads(out), err) == (3, {"waiting": True, "output": "runs/small"}, "")
    assert not (here / "runs" / "small" / "results.md").exists()
    code, out, err = said("resume", "runs/small")  # without the oracle, which this command cannot have
    assert (code, out) == (1, "")
    assert "runs/small are answered by an object passed in Python" in err
    assert "5 ids wait for answers; go on in Python: distil.experiment.suite.run_all(config, oracle=...)" in err
    code, out, err = said("run", file())
    assert (code, out) == (1, "")
    assert (
        "answered by an object passed in Python, and this command has the labels of the data set; go on in Python"
        in err
    )


def test_what_a_run_shows_as_json(said, file, no_plot):
    """What ``distil report --json`` prints, of one strategy as well."""
    for argv in (("run", file(), "--strategies", "badge"), ("resume", "runs/small"), ("compare", file())):
        code, out, err = said(*argv, "--json")
        assert (code, err) == (0, "")
        assert json.loads(out) == json.loads(said("report", "runs/small", "--json")[1])
    assert "margin_sampling" in out


def test_interrupted(said, file, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(suite, "run_all", interrupt)
    code, out, err = said("run", file())
    assert (code, out) == (130, "")
    assert "interrupted; nothing is lost" in err


# -------------------------------------------------------------------------------------------- wrong configurations


def test_all_faults_of_a_file_are_told(said, file, here):
    name = file(model__architecture="resnet81", active_learning__budgt=4, train_parameters__batchsize=3)
    code, out, err = said("run", name)
    assert (code, out) == (2, "")
    assert err.startswith("distil: the configuration cannot be run:\n")
    for part in (
        "'resnet81'; did you mean 'resnet18'",
        "budgt; did you mean 'budget'",
        "batchsize; did you mean 'batch_size'",
    ):
        assert part in err
    assert not (here / "runs").exists()


def test_an_unknown_strategy_offers_the_nearest(said, file):
    for argv in (
        ("run", file(), "--strategies", "margin_samplin"),
        ("run", file(active_learning__strategies=["bagde"])),
    ):
        code, out, err = said(*argv)
        assert (code, out) == (2, "")
        assert "did you mean 'margin_sampling'" in err or "did you mean 'badge'" in err
        assert "known: " in err


def test_odd_lists_of_strategies(said, file, here):
    for strategies in ("", ",", "badge,", "badge,badge", " badge"):
        assert said("run", file(), "--strategies", strategies)[0] == 2
    assert said("run", file(), "--strategies", "badge", "--strategies", "badge")[0] == 2
    assert not (here / "runs").exists()


def test_numbers_out_of_range(said, file):
    for option, value in (("--seeds", "0"), ("--seeds", "-1"), ("--threads", "0")):
        code, _, err = said("run", file(), option, value)
        assert code == 2
        assert option.strip("-") in err


def test_no_configuration(said, here):
    for content in (None, "{", "[]"):
        if content is not None:
            (here / "a.json").write_text(content)
        code, out, err = said("run", "a.json")
        assert (code, out) == (2, "")
        assert err.startswith("distil: ")
        assert "a.json" in err


def test_missing_data_lists_the_places_tried(said, file, here):
    name = file(dataset={"name": "mnist"})
    code, out, err = said("run", name)
    assert (code, out) == (2, "")
    assert str(here / "data" / "MNIST" / "raw") in err
    assert "train-images-idx3-ubyte" in err
    assert "--data" in err
    assert "--download" in err
    assert not (here / "runs").exists()
    code, _, err = said("run", name, "--data", "other")
    assert code == 2
    assert str(Path("other", "MNIST", "raw")) in err
    code, _, err = said("run", file(dataset={"name": "csv", "path": "mine.csv"}))
    assert code == 2
    assert str(here / "mine.csv") in err
    assert str(here / "data" / "mine.csv") in err


def test_resume_takes_the_data_from_where_the_message_says(said, file, here, no_plot):
    """Its error names --data, so resume has that option too."""
    rows = "".join(f"{i % 7},{(i * 3) % 5},{'ab'[i % 2]}\n" for i in range(60))
    (here / "first").mkdir()
    (here / "first" / "mine.csv").write_text("u,v,label\n" + rows)
    model = {"architecture": "two_layer_net", "target_classes": 2, "hidden_units_1": 4}
    dataset = {"name": "csv", "path": "mine.csv", "test_points": 20}
    name = file(model=model, dataset=dataset)
    assert said("run", name, "--data", "first")[0] == 0
    (here / "first").rename(here / "second")
    code, _, err = said("resume", "runs/small")
    assert (code, "with --data" in err) == (2, True)
    for argv in (["--data", "second"], ["--data", "second", "--workers", "1", "--json"]):
        assert said("resume", "runs/small", *argv)[0] == 0


def test_ways_to_retrain(said, file, here):
    code, _, err = said("compare", file(), "--retrain", "scratch,wam")
    assert (code, err) == (
        2,
        "distil: retrain must be of scratch, warm, shrink_perturb, got 'wam'; did you mean 'warm'?\n",
    )
    assert not (here / "runs").exists()


def test_too_few_examples_for_the_rounds(said, file, here):
    code, _, err = said("run", file(active_learning__budget=5000))
    assert code == 2
    assert "left for the pool" in err
    assert not (here / "runs").exists()


def test_a_file_of_ones_own(said, file, here, no_plot):
    rows = "".join(f"{i % 7},{(i * 3) % 5},{'ab'[i % 2]}\n" for i in range(60))
    (here / "mine.csv").write_text("u,v,label\n" + rows)
    model = {"architecture": "two_layer_net", "target_classes": 2, "hidden_units_1": 4}
    code, _, err = said("run", file(model=model, dataset={"name": "csv", "path": "mine.csv"}))
    assert (code, err) == (0, "")


def test_warnings_are_a_line_on_standard_error(said, file, no_plot):
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        code, _, err = said("run", file(logs={"islogs": True, "location": "x"}))
    assert code == 0
    assert err == "distil: warning: the section `logs` has no effect; set train_parameters.islogs instead\n"


def test_how_warnings_are_shown_is_put_back(said):
    """For those who call main from a program of their own."""
    before = warnings.showwarning
    assert said("strategies", "--json")[0] == 0
    assert warnings.showwarning is before


def test_what_a_warning_looks_like(capsys):
    cli._show_warning(DistilWarning("something odd"), DistilWarning, "file.py", 3)
    assert capsys.readouterr().err == "distil: warning: something odd\n"


# -------------------------------------------------------------------------------------------- compare and report


def report_in(path):
    """The numbers of a page."""
    text = path.read_text().partition('<script type="application/json" id="report">')[2]
    return json.loads(text.partition("</script>")[0])


def test_compare_tells_of_its_page(said, file, here, no_plot):
    code, out, err = said("compare", file(), "--seeds", "2", "--no-progress")
    assert (code, err) == (0, "")
    assert out.endswith("Report: runs/small/report.html\n")
    assert "p (Holm)" in (here / "runs" / "small" / "results.md").read_text()
    report = report_in(here / "runs" / "small" / "report.html")
    assert report["title"] == "digits: 2 strategies, 2 seeds"
    assert report["experiments"][0]["metrics"]["accuracy"]["full"] > 0


@pytest.mark.filterwarnings("always::distil.errors.DistilWarning")
def test_report(said, file, here, no_plot):
    assert said("run", file(), "--seeds", "2")[0] == 0
    assert not (here / "runs" / "small" / "report.html").exists()
    code, out, err = said("report", "runs/small")
    assert (code, err) == (0, "")
    assert out.startswith("digits\n\n")
    assert "accuracy (%) by labels" in out
    assert out.endswith("\nReport: runs/small/report.html\n")
    first = (here / "runs" / "small" / "report.html").read_bytes()
    code, out, _ = said("report", "runs/small", "--output", "mine.html")
    assert (code, out.splitlines()[-1]) == (0, "Report: mine.html")
    assert (here / "mine.html").read_bytes() == first
    assert said("report", "runs/small", "--output", "mine.html")[1].endswith(
        "Report: mine.html (it was there already)\n"
    )
    for page in (here / "mine.html", here / "runs" / "small" / "report.html"):
        page.write_text("edited")
    code, _, err = said("report", "runs/small", "--output", "mine.html")
    assert (code, "mine.html exists already, with other content" in err) == (2, True)
    assert (here / "mine.html").read_text() == "edited"
    assert said("report", "runs/small", "--output", "mine.html", "--force")[0] == 0
    code, _, err = said("report", "runs/small")  # the directory's own page
    assert (code, "report.html is not as distil wrote it, so it is kept as report (edited).html" in err) == (0, True)
    assert (here / "runs" / "small" / "report (edited).html").read_text() == "edited"
    assert (here / "runs" / "small" / "report.html").read_bytes() == first == (here / "mine.html").read_bytes()


def test_report_of_several_data_sets(said, file, here, no_plot):
    assert said("run", file())[0] == 0
    assert said("run", file("other.json", active_learning__budget=6))[0] == 0
    code, out, err = said("report", "runs/small", "runs/other")
    assert (code, err) == (0, "")
    assert out.endswith("\nReport: report.html\n")
    assert [e["name"] for e in report_in(here / "report.html")["experiments"]] == ["digits (small)", "digits (other)"]
    code, out, err = said("report", "runs/small", "runs/other", "runs/small", "./runs/small", "--force")
    assert (code, err) == (0, "")
    assert out.startswith("runs/small counts once: its runs were given 3 times.\n\ndigits (small)\n\n")


def test_report_as_json(said, file, here, no_plot):
    assert said("run", file(), "--seeds", "2")[0] == 0
    assert said("report", "runs/small")[0] == 0
    page = here / "runs" / "small" / "report.html"
    expected = report_in(page)
    page.unlink()
    code, out, err = said("report", "runs/small", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == expected
    assert not page.exists()


def test_report_looks_for_data_where_it_is_told(said, file, here, no_plot):
    rows = "".join(f"{i % 7},{(i * 3) % 5},{'ab'[i % 2]}\n" for i in range(60))
    (here / "data").mkdir()
    (here / "data" / "mine.csv").write_text("u,v,label\n" + rows)
    model = {"architecture": "two_layer_net", "target_classes": 2, "hidden_units_1": 4}
    name = file(model=model, dataset={"name": "csv", "path": "mine.csv", "test_points": 20})
    assert said("run", name)[0] == 0
    (here / "data").rename(here / "elsewhere")
    found = json.loads(said("report", "runs/small", "--json")[1])["experiments"][0]["selections"]
    assert "mine.csv" in found["missing"]
    found = json.loads(said("report", "runs/small", "--json", "--data", "elsewhere")[1])["experiments"][0]["selections"]
    assert (found["missing"], found["measured"]) == (None, 1)


def test_a_page_replaces_no_other_file(said, here):
    (here / "emb.npy").write_text("mine")
    (here / "page.html").mkdir()
    for output, message in (
        ("emb.npy", "ends in .html"),
        ("page.html", "is a folder"),
        ("emb.npy/a.html", "is a file"),
    ):
        code, _, err = said("report", ".", "--output", output)
        assert (code, message in err) == (2, True)
    assert (here / "emb.npy").read_text() == "mine"


# -------------------------------------------------------------------------------------------- strategies


def test_strategies_as_json(said):
    code, out, err = said("strategies", "--json")
    assert (code, err) == (0, "")
    entries = json.loads(out)
    assert [entry["name"] for entry in entries] == sorted(STRATEGIES)
    for entry in entries:
        assert entry.keys() == {"name", "summary", "tasks", "signals", "parameters", "paper"}
        assert entry["paper"] == STRATEGIES[entry["name"]].paper
        assert entry["paper"].strip()
        assert entry["summary"].strip()[-1] in ".:;)" or entry["summary"]
        assert STRATEGIES[entry["name"]](**entry["parameters"]) == STRATEGIES[entry["name"]]()
    by_name = {entry["name"]: entry for entry in entries}
    assert by_name["random_sampling"]["signals"] == {}
    assert by_name["badge"]["tasks"] == ["classification", "multilabel", "regression"]
    assert by_name["margin_sampling"]["tasks"] == ["classification"]
    assert by_name["bald_dropout"]["parameters"] == {"n_samples": 10}
    assert "pool" in by_name["badge"]["signals"]


def test_strategies_for_people(said):
    code, out, err = said("strategies")
    assert (code, err) == (0, "")
    for name, cls in STRATEGIES.items():
        assert f"{name}\n" in out
        assert cls.paper in out
