"""The page of a comparison: its numbers against the events, its words where something is not known, and its HTML."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from scipy import stats

from distil.errors import DistilWarning, InvalidInput, RunError
from distil.evaluation.curves import labels_to_reach
from distil.experiment import outputs
from distil.experiment.config.document import read_json
from distil.experiment.config.experiment_config import parse_config
from distil.experiment.directory import open_config
from distil.experiment.outputs import write_results
from distil.experiment.page import report as page
from distil.experiment.page.render import page_of
from distil.experiment.page.report import report_of
from distil.experiment.run import Run
from distil.experiment.suite import run_all

VOID = {"meta", "link", "br", "hr", "img", "input", "wbr"}


class Reader(HTMLParser):
    """Elements that are open, references, and what is inside of script and style."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.references, self.inside, self.text = [], [], [], {}, []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.references += [value for name, value in attrs if name in ("src", "href", "action", "data", "srcset")]
        if tag not in VOID:
            self.open.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open[-1][0] == tag, f"</{tag}> closes <{self.open[-1][0]}>"
        self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1][0] in ("script", "style", "title", "h1", "pre"):
            tag, attrs = self.open[-1]
            self.inside.setdefault(attrs.get("id", tag), []).append(data)
        else:
            self.text.append(data)


def read(text):
    found = Reader(text)
    assert found.open == []
    return found, json.loads("".join(found.inside["report"]))


def reported(*configs):
    """The report as JSON holds it; ``really_reported`` is read from a page."""
    return json.loads(json.dumps(report_of(configs), allow_nan=False))


def notes(config):
    return " ".join(reported(config)["experiments"][0]["notes"])


# ------------------------------------------------------------------------------------------------- numbers


@pytest.fixture(scope="module")
def really_run(tmp_path_factory):
    output = tmp_path_factory.mktemp("real") / "runs"
    config = parse_config(
        {
            "model": {"architecture": "two_layer_net", "target_classes": 10, "hidden_units_1": 16},
            "train_parameters": {"lr": 0.05, "batch_size": 16, "n_epoch": 5},
            "active_learning": {
                "strategies": ["random_sampling", "margin_sampling", "margin_sampling_dropout", "badge"],
                "budget": 20,
                "rounds": 4,
                "initial_points": 20,
            },
            "dataset": {"name": "digits", "test_points": 300},
            "experiment": {"output": str(output), "seeds": 3, "full_data": True, "target_accuracy": 0.7},
        }
    )
    with pytest.warns(DistilWarning, match="no dropout"):
        assert run_all(config)
    return config


@pytest.fixture(scope="module")
def really_reported(really_run):
    return read(page_of(report_of([really_run])))[1]["experiments"][0]


def events_of(config, label, seed):
    path = config.output / label / str(seed) / "events.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def values_of(config, label, metric):
    """(seeds, points)"""
    return np.array(
        [[e[metric] for e in events_of(config, label, seed) if e["event"] == "evaluated"] for seed in config.seeds]
    )


def test_every_number_against_the_events(really_run, really_reported):
    made = really_reported
    assert made["strategies"] == ["random_sampling", "margin_sampling", "margin_sampling_dropout", "badge"]
    assert made["labels"] == [20, 40, 60, 80]
    assert made["twins"] == {"margin_sampling_dropout": "margin_sampling"}  # this network has no dropout
    for metric, own in made["metrics"].items():
        base = values_of(really_run, "random_sampling", metric)
        full = [values_of(really_run, "full_data", metric)[seed][0] for seed in range(3)]
        assert own["full"] == pytest.approx(np.mean(full))
        raw = {}
        for label in made["strategies"]:
            values = values_of(really_run, label, metric)
            summary = own["summaries"][label]
            assert own["values"][label] == values.tolist()
            assert summary["mean"] == pytest.approx(values.mean(0).tolist())
            half = stats.t.ppf(0.975, 2) * stats.sem(values)
            assert summary["low"] == pytest.approx((values.mean(0) - half).tolist())
            assert summary["high"] == pytest.approx((values.mean(0) + half).tolist())
            area = values.mean(1)
            assert summary["area"] == pytest.approx(area.mean())
            low, high = stats.t.interval(0.95, 2, area.mean(), stats.sem(area))
            assert (summary["area_low"], summary["area_high"]) == pytest.approx((low, high))
            if label == "random_sampling":
                assert summary["difference"] is None
                continue
            difference = area - base.mean(1)
            low, high = stats.t.interval(0.95, 2, difference.mean(), stats.sem(difference))
            assert summary["difference"] == pytest.approx([difference.mean(), low, high])
            raw[label] = difference
        if metric == "calibration_error":
            assert "comparisons" not in own
            continue
        del raw["margin_sampling_dropout"]
        assert set(own["comparisons"]) == set(raw)
        p = {label: stats.ttest_1samp(difference, 0).pvalue for label, difference in raw.items()}
        smaller, larger = sorted(p, key=p.get)
        corrected = {smaller: min(1, 2 * p[smaller]), larger: max(p[larger], min(1, 2 * p[smaller]))}
        for label, difference in raw.items():
            c = own["comparisons"][label]
            assert c["p"] == pytest.approx(p[label])
            assert c["p_holm"] == pytest.approx(corrected[label])
            assert c["wilcoxon_p"] == pytest.approx(stats.wilcoxon(difference).pvalue)
            assert c["d_z"] == pytest.approx(difference.mean() / difference.std(ddof=1))
            assert (c["wins"], c["losses"]) == ((difference > 0).sum(), (difference < 0).sum())
            assert c["better"][0] == pytest.approx((difference > 0).mean())
            assert c["verdict"].startswith(f"{label}: ")


def test_labels_saved_against_interpolation(really_run, really_reported):
    made = really_reported
    own = made["metrics"]["accuracy"]
    labels = np.array(made["labels"])
    for label in made["strategies"]:
        mean = values_of(really_run, label, "accuracy").mean(0)
        for reach in own["reach"][label]:
            target = reach["share"] * own["full"]
            at = np.flatnonzero(mean >= target)
            if len(at) == 0:
                assert reach["labels"] is None
                assert "not reached with 80 labels" in reach["text"]
            elif at[0] == 0:
                assert reach["labels"] == 20
            else:
                i = at[0]
                assert reach["labels"] == pytest.approx(np.interp(target, mean[i - 1 : i + 1], labels[i - 1 : i + 1]))
    assert own["efficiency"]["random_sampling"] == {"ratio": [1, 1, 1, 1], "bound": [""] * 4}


def test_a_reports_provenance_and_ids_are_those_of_the_runs(really_run, really_reported):
    made = really_reported
    began = events_of(really_run, "badge", 1)[0]
    found = made["provenance"]
    assert found["versions"] == {name: [value] for name, value in began["versions"].items()}
    assert (found["device"], found["threads"]) == (["cpu"], ["1"])
    assert found["config"] == really_run.document
    assert found["seeds"]["2"] == {"split": 2, "initial": 2, "model": 2, "selection": 2}
    for label in made["strategies"]:
        for seed in really_run.seeds:
            events = events_of(really_run, label, seed)
            initial = [e["ids"] for e in events if e["event"] == "labeled"][0]  # noqa: RUF015
            assert made["ids"][label][str(seed)] == [initial, *(e["ids"] for e in events if e["event"] == "asked")]


def test_bounds_and_costs_of_real_runs(really_run, really_reported):
    made = really_reported
    majority = np.mean([events_of(really_run, "badge", seed)[0]["majority"] for seed in range(3)])
    assert made["metrics"]["accuracy"]["majority"] == pytest.approx(majority)
    assert made["metrics"]["balanced_accuracy"]["majority"] == pytest.approx(0.1)
    assert set(made["costs"]) == set(made["strategies"])
    assert made["selections"]["missing"] is None
    assert made["selections"]["measured"] == 3
    assert "random_sampling" in made["table"]


def test_versions_that_differ_are_all_listed(made_up, rewritten):
    config = made_up()
    path = config.output / "badge" / "0" / "events.jsonl"
    rewritten(path, lambda event: event["versions"].update(torch="2.14.0") if "versions" in event else None)
    assert reported(config)["experiments"][0]["provenance"]["versions"]["torch"] == ["2.13.0", "2.14.0"]


def test_the_penalty_matrix_has_a_note_on_how_to_read_it(made_up):
    config = made_up(gain={"margin_sampling": 0.1, "badge": -0.1}, alike=None)
    found = reported(config)["experiments"][0]["metrics"]["accuracy"]["penalty"]
    better, worse = (found["strategies"].index(name) for name in ("margin_sampling", "badge"))
    assert found["beats"][better][worse] == 1
    assert found["beats"][worse][better] == 0
    assert found["penalties"][better] == 0
    assert found["note"].startswith("Row beats column")


# ------------------------------------------------------------------------------------------------- what is not known


def test_one_seed(made_up):
    config = made_up(seeds=1)
    made = reported(config)["experiments"][0]
    assert "With one seed there are no intervals and no tests of differences." in made["notes"]
    accuracy = made["metrics"]["accuracy"]
    assert accuracy["comparisons"] == {}
    assert accuracy["penalty"] is None
    assert accuracy["summaries"]["badge"]["low"] == [None] * 4
    assert accuracy["summaries"]["badge"]["difference"][1:] == [None, None]


def test_runs_that_are_not_finished(made_up):
    config = made_up(unfinished=[("badge", 1), ("badge", 2)])
    made = reported(config)["experiments"][0]
    assert made["strategies"] == ["random_sampling", "margin_sampling"]
    assert "badge is left out: 2 of 4 seeds finished. Continue with: distil resume" in " ".join(made["notes"])


def test_no_run_is_finished_or_begun(made_up):
    config = made_up(seeds=1, unfinished=[(label, 0) for label in ("random_sampling", "margin_sampling", "badge")])
    made = reported(config)["experiments"][0]
    assert made["strategies"] == []
    assert made["metrics"] == {}
    assert sum("0 of 1 seed finished" in note for note in made["notes"]) == 3
    for label in ("random_sampling", "margin_sampling", "badge"):
        shutil.rmtree(config.output / label)
    assert reported(config)["title"] == "digits: 0 strategies, 1 seed"


def test_the_baseline_is_not_finished(made_up):
    config = made_up(unfinished=[("random_sampling", 0)])
    made = reported(config)["experiments"][0]
    assert (made["baseline"], made["seeds"]) == ("random_sampling", [1, 2, 3])
    assert "The table has 3 of 4 seeds, because some strategies have not finished the others." in made["notes"]


def test_other_numbers_of_labels(made_up):
    config = made_up(budgets={"badge": 4})
    made = reported(config)["experiments"][0]
    assert made["strategies"] == ["random_sampling", "margin_sampling"]
    assert "badge is left out: the numbers of labels in its runs differ from the baseline's." in made["notes"]
    assert "badge" in made["ids"]


def test_a_round_without_labels(made_up):
    assert "There are no curves: a round of the baseline added no label" in notes(made_up(idle=2))


def test_without_the_bound_of_all_data(made_up):
    made = reported(made_up(full=False))["experiments"][0]
    assert "there was no training on the whole pool" in " ".join(made["notes"])
    assert made["metrics"]["accuracy"]["reach"] is None
    assert made["metrics"]["accuracy"]["majority"] == pytest.approx(0.115)


def test_a_bound_of_all_data_that_is_unfinished(made_up):
    config = made_up()
    shutil.rmtree(config.output / "full_data" / "1")
    why = "because the trainings on the whole pool are not finished. Continue with: distil resume"
    assert f"{why} {config.output}" in notes(config)


def test_data_that_is_missing(made_up, tmp_path, monkeypatch):
    monkeypatch.setenv("DISTIL_DATA", str(tmp_path / "nothing"))
    selections = reported(made_up(dataset="mnist"))["experiments"][0]["selections"]
    assert "mnist" in selections["missing"].lower()
    assert selections["measured"] == 0
    assert len(selections["balance"]["badge"]) == 3
    assert selections["to_labeled"]["badge"] == []


def test_data_is_never_downloaded(made_up, tmp_path, monkeypatch):
    monkeypatch.setenv("DISTIL_DATA", str(tmp_path / "nothing"))
    config = made_up(dataset="mnist")
    document = read_json(config.output / "config.json")
    document["dataset"]["download"] = True

    def refuse(*_, **__):
        raise AssertionError("a report must not download")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    assert reported(parse_config(document))["experiments"][0]["selections"]["missing"]


def test_one_strategy_and_one_round(made_up):
    alone = reported(made_up(strategies=["badge"]))["experiments"][0]
    assert alone["baseline"] == "badge"
    assert alone["metrics"]["accuracy"]["comparisons"] == {}
    short = reported(made_up("short", rounds=1))["experiments"][0]
    assert short["labels"] == [10]
    assert short["metrics"]["accuracy"]["penalty"] is None


def test_differences_without_any_spread(made_up, rewritten):
    """An infinite effect size has no word in JSON."""
    config = made_up(seeds=2, alike={"badge": "random_sampling"}, gain={})
    for seed in (0, 1):
        path = config.output / "badge" / str(seed) / "events.jsonl"
        used = {i for event in Run(path.parent).events for i in event.get("ids", [])}
        old = Run(path.parent).last("asked")["ids"][0]
        new = min(set(range(1797)) - used)

        def better(event, old=old, new=new):
            if event["event"] == "evaluated":
                event["accuracy"] += 0.125
            if "ids" in event:
                event["ids"] = [new if i == old else i for i in event["ids"]]

        rewritten(path, better)
    found = reported(config)["experiments"][0]["metrics"]["accuracy"]["comparisons"]["badge"]
    assert (found["d_z"], found["g_z"], found["p"]) == (None, None, 0.5)


WARM = [
    "random_sampling",
    "badge",
    {"name": "random_sampling", "label": "random_sampling+warm", "retrain": "warm"},
    {"name": "badge", "label": "badge+warm", "retrain": "warm"},
]


def areas_of(config, label):
    return values_of(config, label, "accuracy").mean(1)


def test_strategies_are_compared_with_the_baseline_that_is_retrained_alike(made_up):
    """Going on from the last weights helps random sampling too: badge+warm must not get that for a win."""
    config = made_up(
        strategies=WARM, gain={"random_sampling+warm": 0.19, "badge+warm": 0.17, "badge": 0.05}, target_accuracy=0.75
    )
    made = reported(config)["experiments"][0]
    assert made["baselines"] == {
        "random_sampling": "random_sampling",
        "badge": "random_sampling",
        "random_sampling+warm": "random_sampling+warm",
        "badge+warm": "random_sampling+warm",
    }
    own = made["metrics"]["accuracy"]
    for label, other in (("badge", "random_sampling"), ("badge+warm", "random_sampling+warm")):
        difference = areas_of(config, label) - areas_of(config, other)
        assert own["summaries"][label]["difference"][0] == pytest.approx(difference.mean())
        assert own["comparisons"][label]["p"] == pytest.approx(stats.ttest_1samp(difference, 0).pvalue)
        means = [values_of(config, name, "accuracy").mean(0) for name in (label, other)]
        needed = [labels_to_reach(made["labels"], mean, 0.75) for mean in means]
        assert own["summaries"][label]["saving"]["ratio"] == pytest.approx(needed[1] / needed[0])
    assert own["comparisons"]["badge"]["outcome"] == "win"
    assert own["comparisons"]["badge+warm"]["outcome"] == "loss"
    assert set(own["comparisons"]) == {"badge", "badge+warm"}
    assert own["efficiency"]["random_sampling+warm"]["bound"] == [""] * 4
    write_results(config)
    text = (config.output / "results.md").read_text()
    assert "- Significantly better than random at 0.05 (paired t test of the areas" in text
    assert "- Significantly worse than random_sampling+warm at 0.05 (paired t test of the areas" in text
    assert "- badge+warm: compared with random_sampling+warm, not with random." in text


def test_without_a_baseline_that_is_retrained_alike_nothing_is_compared(made_up):
    config = made_up(strategies=[*WARM[:2], WARM[3]], gain={"badge+warm": 0.15})
    made = reported(config)["experiments"][0]
    own = made["metrics"]["accuracy"]
    assert set(own["comparisons"]) == {"badge"}
    assert own["comparisons"]["badge"]["family"] == 1
    assert own["summaries"]["badge+warm"]["difference"] is None
    why = "Compared with nothing, because random was not run with retrain 'warm': badge+warm."
    assert why in made["notes"]
    write_results(config)
    text = (config.output / "results.md").read_text()
    assert why in text
    assert "badge+warm" not in text.split("Significantly")[-1].split("\n")[0]


def test_a_baseline_retrained_in_two_ways_is_no_strategy_without_a_baseline(made_up):
    made = reported(made_up(strategies=[WARM[0], WARM[2]]))["experiments"][0]
    assert not any("Compared with nothing" in note for note in made["notes"])
    assert made["metrics"]["accuracy"]["comparisons"] == {}


def test_beyond_what_random_reached_label_efficiencies_are_bounds(made_up):
    made = reported(made_up(gain={"badge": 0.19}, target_accuracy=0.85))["experiments"][0]
    own = made["metrics"]["accuracy"]
    assert own["efficiency"]["badge"]["bound"] == ["", "", "at least", "at least"]
    assert own["efficiency"]["badge"]["ratio"][2:] == pytest.approx([25 / 20, 1])  # 25 labels are the last
    saving = own["summaries"]["badge"]["saving"]
    assert (saving["bound"], saving["high"]) == ("at least", None)
    assert saving["cell"].startswith("> 1.")
    assert own["cells"]["badge"]["times"] == saving["cell"]
    never = made_up("never", gain={"random_sampling": -0.1})  # below what all labels give
    reached = reported(never)["experiments"][0]["metrics"]["accuracy"]["reach"]["random_sampling"][-1]
    assert (reached["bound"], reached["labels"], reached["cell"]) == ("at least", None, "> 25")


def test_every_number_of_the_page_is_that_of_the_table_for_a_paper(really_run, really_reported):
    """Both print the same texts, and these are the numbers of the events, rounded once."""
    write_results(really_run)
    own = really_reported["metrics"]["accuracy"]
    lines = (really_run.output / "results.md").read_text().split("\n")[2:]
    heads, _, *rows = [line.strip("| ").split(" | ") for line in lines[: lines.index("")]]
    keys = {
        "area (mean)": "area",
        "labels to 70 %": "labels",
        "times fewer": "times",
        "area minus random's": "difference",
    }
    keys |= {"p (Holm)": "p", "effect g_z": "effect", "wins/ties/losses": "wins"}
    found = 0
    for row in ([*row, *[""] * (len(heads) - len(row))] for row in rows):
        cells = own["cells"][row[0]]
        assert row[1:5] == cells["curve"]
        for head, text in zip(heads[5:], row[5:], strict=True):
            assert text.strip() == cells[keys[head]], (row[0], head)
            found += bool(text.strip())
        values = values_of(really_run, row[0], "accuracy")
        assert row[1:5] == [f"{100 * value:.1f}" for value in values.mean(0)]
        if cells["effect"] not in ("", "-"):
            difference = values.mean(1) - values_of(really_run, "random_sampling", "accuracy").mean(1)
            g_z = difference.mean() / difference.std(ddof=1) / np.sqrt(np.pi)  # Hedges' factor with three seeds
            assert cells["effect"] == f"{g_z:+.2f}"
    assert found > 20


def test_ids_that_are_too_many_for_a_page(made_up, monkeypatch):
    config = made_up()
    monkeypatch.setattr(page, "_MOST_IDS", 3 * 4 * 25)
    assert reported(config)["experiments"][0]["ids"] is not None
    monkeypatch.setattr(page, "_MOST_IDS", 3 * 4 * 25 - 1)
    made = reported(config)["experiments"][0]
    assert made["ids"] is None
    assert "The selected ids are too many for this page; the file events.jsonl of each run has them." in made["notes"]


def test_a_report_of_nothing():
    with pytest.raises(InvalidInput, match="at least one experiment"):
        report_of([])


def test_a_damaged_run_is_an_error(made_up):
    config = made_up()
    path = config.output / "badge" / "0" / "events.jsonl"
    path.write_text(path.read_text().replace('"accuracy": 0.6', '"accuracy": 0.9', 1))
    with pytest.raises(RunError, match=r"badge/0/events\.jsonl, line 8: its content does not match its hash"):
        report_of([config])


def test_models_that_are_lost_are_noted_and_change_no_number(made_up):
    config = made_up(seeds=3)
    before = reported(config)["experiments"][0]
    (config.output / "badge" / "1" / "model.safetensors").unlink()
    (config.output / "badge" / "2" / "model.safetensors").write_bytes(b"?")
    (config.output / "full_data" / "0" / "model.safetensors").write_bytes(b"?")
    with pytest.warns(DistilWarning) as said:
        made = reported(config)["experiments"][0]
    for label, models in (("badge", "2 of 3 models"), ("full_data", "1 of 3 models")):
        note = next(note for note in made["notes"] if note.startswith(label))
        assert f"{label}: {models} are missing or are not those that the runs wrote; the first is" in note
        assert note in [str(each.message) for each in said]
    assert made["metrics"] == before["metrics"]


def test_damaged_times_cost_times_alone(made_up):
    config = made_up(seeds=2)
    before = reported(config)["experiments"][0]
    path = config.output / "badge" / "1" / "times.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"seconds"', b'"sekonds"', 1))
    note = "badge: 1 of 2 runs lack the time of a step, and are left out of times and memory."
    damaged = r"badge/1/times\.jsonl, line 1: .* 1 of 7 lines are damaged or altered and are left out"
    with pytest.warns(DistilWarning, match=damaged), pytest.warns(DistilWarning, match=note):
        made = reported(config)["experiments"][0]
    assert made["metrics"] == before["metrics"]
    assert note in made["notes"]
    path.write_bytes(b"")
    with pytest.warns(DistilWarning, match=note):
        made = reported(config)["experiments"][0]
    assert made["metrics"] == before["metrics"]
    for cost in ("training", "selection"):  # means over the runs whose times are known
        assert made["costs"]["badge"][cost] == before["costs"]["badge"][cost]


# ------------------------------------------------------------------------------------------------- several data sets


def test_several_experiments_are_ranked(made_up):
    gain = {"margin_sampling": 0.1, "badge": 0.05}
    configs = [made_up(f"set{i}", gain=gain, seeds=3, draw=i) for i in range(5)]
    found = reported(*configs)
    assert [e["name"] for e in found["experiments"]] == [f"digits (set{i})" for i in range(5)]
    own = found["across"]["metrics"]["accuracy"]
    assert own["ranks"] == {"random_sampling": [3] * 5, "margin_sampling": [1] * 5, "badge": [2] * 5}
    assert own["test"]["strategies"] == ["margin_sampling", "badge", "random_sampling"]
    assert own["test"]["mean_ranks"] == [1, 2, 3]
    chi2, p = stats.friedmanchisquare(*([own["scores"][name] for name in own["scores"]]))
    assert (own["test"]["chi2"], own["test"]["p"]) == pytest.approx((chi2, p))
    assert own["why_not"] is None
    assert own["penalty"]["note"].startswith("Row beats column: the share of rounds, summed over 5 settings")


def test_with_few_data_sets_there_is_no_diagram_and_it_says_why(made_up):
    found = reported(made_up("a"), made_up("b", draw=1))["across"]["metrics"]["accuracy"]
    assert found["test"] is None
    assert "at least 5 data sets, got 2" in found["why_not"]


def test_only_strategies_that_all_have_are_ranked(made_up):
    one = made_up("one")
    two = made_up("two", strategies=["random_sampling", "badge"], full=False, draw=1)
    found = reported(one, two)["across"]["metrics"]
    assert set(found["accuracy"]["scores"]) == {"random_sampling", "badge"}
    apart = reported(one, made_up("three", strategies=["core_set"]))
    assert apart["across"]["metrics"] == {}


def test_equal_names_are_made_distinct(made_up, tmp_path):
    (tmp_path / "other").mkdir()
    configs = [made_up("a"), made_up("other/a", draw=1)]
    assert [e["name"] for e in reported(*configs)["experiments"]] == ["digits (a) #1", "digits (a) #2"]


def test_a_directory_counts_once_however_often_it_is_given(made_up, tmp_path):
    config, other = made_up("a"), made_up("b", draw=1)
    (tmp_path / "link").symlink_to(config.output)
    shutil.copytree(config.output, tmp_path / "copy")
    again = [config, open_config(tmp_path / "link"), open_config(tmp_path / "copy"), config]
    found = reported(*again)
    assert [e["name"] for e in found["experiments"]] == ["digits"]
    assert found["across"] is None
    where = f"{tmp_path / 'link'}, {tmp_path / 'copy'}"
    assert found["notes"] == [f"{config.output} counts once: its runs were given 4 times, also as {where}."]
    found = reported(config, other, config)
    assert [e["name"] for e in found["experiments"]] == ["digits (a)", "digits (b)"]
    assert found["notes"] == [f"{config.output} counts once: its runs were given 2 times."]
    assert all(len(own) == 2 for own in found["across"]["metrics"]["accuracy"]["scores"].values())
    assert reported(config, other)["notes"] == []


def test_of_a_directory_and_its_copy_that_has_grown_the_larger_counts(made_up):
    small, large = made_up("small", strategies=["random_sampling", "badge"]), made_up("large")
    found = reported(small, large)
    assert found["experiments"][0]["strategies"] == ["random_sampling", "margin_sampling", "badge"]
    assert found["notes"] == [f"{large.output} counts once: its runs were given 2 times, also as {small.output}."]
    assert reported(large, small)["experiments"] == found["experiments"]


def test_directories_that_share_some_runs_count_as_one_data_set(made_up):
    """One was copied, and both were continued with strategies of their own; the page shows both."""
    large, small = made_up("large"), made_up("small", strategies=["random_sampling", "badge", "core_set"], seeds=3)
    other = made_up("other", draw=1)
    found = reported(small, large)
    assert [e["name"] for e in found["experiments"]] == ["digits (small)", "digits (large)"]
    assert found["across"] is None
    assert found["title"] == "digits (large): 3 strategies, 4 seeds"
    assert found["notes"] == [
        f"{small.output} is no data set of its own: 6 of its 9 runs are those of {large.output}, which counts. To compare all "
        "strategies in one table, run them in one directory."
    ]
    found = reported(small, large, other)
    assert len(found["experiments"]) == 3
    assert found["title"].startswith("Strategies over 2 data sets: digits (large), digits (other)")
    assert found["across"] == reported(large, other)["across"]


def test_runs_that_have_not_begun_are_no_copies(made_up):
    configs = [made_up("a"), made_up("b", draw=1)]
    for config in configs:
        for label in ("random_sampling", "margin_sampling", "badge"):
            shutil.rmtree(config.output / label)
    assert len(reported(*configs)["experiments"]) == 2


# ------------------------------------------------------------------------------------------------- the file


def test_the_page_loads_nothing_else(made_up):
    found, _ = read(page_of(report_of([made_up()])))
    assert found.tags.count("h1") == 1
    assert found.references == ["data:,"]  # no icon is asked for
    text = page_of(report_of([made_up("again")]))
    assert not re.search(r"(?:src|href)\s*=\s*[\"']?\s*(?:https?:)?//", text)
    assert not re.search(r"url\s*\(", text)
    assert "@import" not in text
    assert "default-src 'none'" in text
    assert '<html lang="en">' in text


def test_no_text_can_break_the_page(made_up, hostile):
    """Not in the title, not in the numbers, not in the tables for those without scripts."""
    report = json.loads(json.dumps(report_of([made_up()])).replace("margin_sampling", json.dumps(hostile)[1:-1]))
    report["title"] = hostile
    report["experiments"][0]["ids"]["random_sampling"]["0"][0][0] = hostile
    text = page_of(report)
    found, read_back = read(text)
    assert read_back == report
    assert json.dumps(read_back) == json.dumps(report)  # the order of keys, too
    assert read_back["experiments"][0]["strategies"][1] == hostile
    assert found.tags.count("b") == 1  # the footer's own
    assert found.inside["title"] == [hostile]
    assert found.inside["h1"] == [hostile]
    assert hostile in "".join(found.inside["pre"])
    data = text.partition('id="report">')[2].partition("</script>")[0]
    assert not set("<>&\u2028\u2029") & set(data)


def test_the_same_runs_make_the_same_page(made_up):
    config = made_up()
    assert page_of(report_of([config])) == page_of(report_of([config]))


def test_without_scripts_the_page_has_the_table(made_up):
    found, report = read(page_of(report_of([made_up()])))
    assert report["experiments"][0]["table"] in "".join(found.inside["pre"])
    assert "area minus" in report["experiments"][0]["table"]


def test_a_page_is_written_whole_or_not_at_all(made_up, monkeypatch):
    config = made_up()
    path = config.output / "report.html"
    write_results(config, page=True)
    before = path.read_bytes()
    monkeypatch.setattr(outputs, "page_of", lambda report: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_results(config, page=True)
    assert path.read_bytes() == before
    assert not list(config.output.glob(".report*"))


def test_results_of_a_comparison_have_a_page(really_run):
    said = write_results(really_run, page=True)
    path = really_run.output / "report.html"
    assert said.endswith(f"Report: {path}")
    assert read(path.read_text())[1]["title"] == "digits: 4 strategies, 3 seeds"
    text = (really_run.output / "results.md").read_text()
    assert "p (Holm)" in text
    assert "margin_sampling_dropout: the same selections as margin_sampling in every run" in text


def test_results_of_one_strategy_have_no_page(made_up):
    config = made_up(strategies=["random_sampling"])
    assert "Report:" not in write_results(config, page=True)
    assert not (config.output / "report.html").exists()


def test_reading_changes_nothing(made_up):
    config = made_up()
    before = {p: p.read_bytes() for p in config.output.rglob("*") if p.is_file()}
    report_of([config])
    assert {p: p.read_bytes() for p in config.output.rglob("*") if p.is_file()} == before
    assert Run(config.output / "badge" / "0").finished
