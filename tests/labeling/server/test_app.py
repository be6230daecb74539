"""The routes, over real connections: what the page asks for and gets."""

import asyncio
import http.client
import io
import json
import time

import numpy as np
import pytest
from PIL import Image

from distil.labeling.events import Event, Shown
from distil.labeling.model import CACHE
from distil.labeling.project import Project
from distil.labeling.quality import Quality, Suspect
from distil.labeling.server import app as routes

SMALL = {"labeled", "open", "items", "mine", "queue"}


def test_an_address_opens_the_page_once(live):
    token = live.service.sessions.launch("anna")
    status, headers, _ = live.stranger().send("GET", f"/?token={token}")
    assert (status, headers["Location"]) == (303, "/")
    cookie = headers["Set-Cookie"]
    assert cookie.startswith(f"distil_{live.port}=")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert token not in cookie
    status, _, content = live.stranger().send("GET", f"/?token={token}")
    assert status == 401
    assert b"start it again to get another" in content
    again = live.stranger()
    again.cookie = cookie.partition(";")[0]
    assert (
        again.send("GET", f"/?token={token}")[0] == 303
    )  # a bookmark of the address, in the browser that has the session
    assert again.get("/api/project")["who"] == "anna"
    assert live.stranger().send("GET", "/")[0] == 401
    assert live.stranger().send("GET", "/api/project")[0] == 401
    assert live.stranger().send("GET", "/item/0")[0] == 401


def test_a_link_on_another_site_leads_to_the_page(live):
    """Browsers keep a cookie that is SameSite=Strict from requests that another site began, redirections included."""
    visit = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    token = live.service.sessions.launch("anna")
    status, headers, content = live.stranger().send("GET", f"/?token={token}", **visit)
    assert (status, b"http-equiv=refresh" in content) == (200, True)
    assert "Set-Cookie" in headers
    status, headers, content = live.stranger().send("GET", "/", **visit)
    assert (status, headers["Set-Cookie"]) == (200, None)
    assert live.stranger().send("GET", "/?token=wrong", **visit)[0] == 401
    assert live.stranger().send("GET", "/api/project", **visit)[0] == 403
    assert live("anna").send("POST", "/api/links", {"who": "ben"}, **visit)[0] == 403


def test_the_files_of_the_page(live, monkeypatch, tmp_path):
    (tmp_path / "index.html").write_text("<!doctype html>the page")
    (tmp_path / "main.js").write_text("go()")
    (tmp_path / "secret.py").write_text("x")
    monkeypatch.setattr(routes, "PAGE", tmp_path)
    client = live()
    files = routes._Routes(live.service, live.port)._files
    assert [*files] == ["index.html", "main.js"]
    for name in ("secret.py", "..%2fapp.py", "../app.py", "%2e%2e/app.py", "main.js%00"):
        assert client.send("GET", f"/static/{name}")[0] == 404


def test_every_answer_carries_the_headers_that_keep_the_page_alone(live):
    for client, path in [(live(), "/api/project"), (live.stranger(), "/"), (live(), "/nothing")]:
        headers = client.send("GET", path)[1]
        assert "default-src 'none'; script-src 'self'" in headers["Content-Security-Policy"]
        assert "require-trusted-types-for 'script'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Server"] is None


def test_the_project(live):
    anna = live("anna")
    anna.record(anna.label("1"), anna.event("class_key", label="cat", name="c"))
    found = anna.get("/api/project")
    assert found["classes"] == [{"name": "cat", "key": "c", "n": 1}, {"name": "dog", "key": None, "n": 0}]
    assert found["model"] == {"state": "off", "version": 0, "labels": 0, "made_from": None, "error": None}
    assert found["progress"] == {"labeled": 1, "open": 9, "items": 10, "mine": 1, "queue": 0}
    assert (found["who"], found["copies"], found["items"], found["kind"]) == ("anna", 1, 10, "texts")
    assert found["settings"] == {"withhold": 0.1, "prefetch": 10}
    assert live("ben").get("/api/project")["people"] == ["anna", "ben"]


def test_answers_and_new_items_in_one_request(live, snapshot):
    live.service.desk.snapshot = snapshot([0] * 10, [0.87654] * 10, [4, 2], version=7)
    anna = live("anna")
    first = anna.record(want=2)
    assert [item["id"] for item in first["items"]] == ["4", "2"]
    item = first["items"][0]
    assert item == {
        **{"id": "4", "place": 4, "kind": "texts", "text": "text 4", "whole": True},
        **{"image": None, "width": None, "height": None},
        **{"values": None, "guess": {"label": "cat", "p": 0.8765}, "withheld": item["withheld"], "reason": "reason 4"},
        **{"model": "4 labels", "mine": None, "gone": False},
    }
    shown = {"guess": "cat", "p": 0.8765, "withheld": False, "reason": "reason 4", "model": "4 labels"}
    good, wrong, odd = anna.label("4", ms=300, shown=shown), anna.label("2", "no class"), {"kind": "label", "key": 5}
    own = {**anna.label("2"), "who": "ben"}
    answer = anna.record(good, wrong, odd, own, want=1, have=["2"])
    assert [ack["key"] for ack in answer["acks"]] == [good["key"], wrong["key"], "", own["key"]]
    assert [ack["error"] is None for ack in answer["acks"]] == [True, False, False, False]
    assert answer["progress"] == {"labeled": 1, "open": 9, "items": 10, "mine": 1, "queue": 0}
    assert len(answer["items"]) == 1
    again = anna.record(good)
    assert again["acks"] == [{**answer["acks"][0], "duplicate": True}]
    (recorded,) = [each.event for each in live.service.project.events() if each.event.kind == "label"]
    assert (recorded.who, recorded.tab, recorded.ms, recorded.shown.p) == ("anna", anna.tab, 300, 0.8765)


def test_a_full_disk_is_said_and_the_server_goes_on(live):
    anna, store = live("anna"), live.service.project._store
    store._db.execute("PRAGMA max_page_count=1")
    flags = [anna.event("flag", item="1") for _ in range(300)]
    for _ in range(5):
        status, _, content = anna.send("POST", "/api/events", {"tab": "t", "events": flags, "want": 0, "have": []})
        if status == 507:
            break
        flags = [anna.event("flag", item="1") for _ in range(300)]
    assert status == 507
    assert "nothing of this was saved" in json.loads(content)["error"]
    assert anna.get("/api/project")["progress"]["items"] == 10
    store._db.execute("PRAGMA max_page_count=1000000")
    assert [ack["duplicate"] for ack in anna.record(*flags)["acks"]] == [False] * 300  # nothing of it was saved


def test_history_is_that_of_the_person(live):
    anna, ben = live("anna"), live("ben")
    first, second = anna.label("1"), anna.label("2", "dog")
    anna.record(first, second)
    ben.record(ben.label("3"))
    anna.record(anna.event("undo", target=first["key"]))
    events = anna.get("/api/history?n=2")["events"]
    assert [each["kind"] for each in events] == ["undo", "label"]
    assert events[0]["target"] == first["key"]
    older = anna.get(f"/api/history?before={events[-1]['seq']}")["events"]
    assert [(each["key"], each["undone"], each["item"]["id"]) for each in older] == [(first["key"], True, "1")]
    assert older[0]["item"]["mine"] is None
    assert len(ben.get("/api/history")["events"]) == 1


def test_history_of_other_pages(live):
    """What a page asks before it undoes: what the person did on other pages since it last asked."""
    here, there = live("anna"), live("anna")
    there.tab = "there"
    first, second = here.label("1"), there.label("2")
    here.record(first)
    there.record(second)
    there.record(there.event("undo", target=first["key"]))
    here.record(here.label("3"))
    path = f"/api/history?elsewhere={here.tab}"
    events = here.get(path)["events"]
    assert [(each["kind"], each["target"]) for each in events] == [("undo", first["key"]), ("label", None)]
    assert here.get(f"{path}&after={events[1]['seq']}")["events"] == events[:1]
    assert here.get(f"{path}&after={events[0]['seq']}")["events"] == []
    assert here.get(f"{path}&before={events[0]['seq']}")["events"] == events[1:]


def test_history_of_an_item_is_that_of_all_people(live):
    anna, ben = live("anna"), live("ben")
    anna.record(anna.label("1"), anna.label("2"))
    ben.record(ben.label("1", "dog"))
    events = anna.get("/api/history?item=1")["events"]
    assert [(each["who"], each["label"]) for each in events] == [("ben", "dog"), ("anna", "cat")]
    status, _, content = anna.send("GET", "/api/history?item=99")
    assert status == 400
    assert "no item '99'" in json.loads(content)["error"]


def test_grid_take_search_bulk_links_and_progress(live, snapshot):
    live.service.desk.snapshot = snapshot([0] * 5 + [1] * 5, [0.9] * 10)
    live.service.desk.withhold = 0.0
    anna = live("anna")
    grid = anna.post("/api/grid", tab="t", n=2, label="dog", have=[])
    assert (grid["label"], [item["id"] for item in grid["items"]]) == ("dog", ["5", "6"])
    taken = live("ben").post("/api/take", tab="b", ids=["5", "1"])
    assert taken["taken"] == {"5": "anna has it now"}
    assert [item["id"] for item in taken["items"]] == ["5", "1"]
    assert anna.get("/api/search?q=TEXT&guess=cat&n=2")["found"] == 5
    assert anna.post("/api/bulk", key="lasso-0001", tab="t", places=[0, 1], do="label", label="cat") == {
        "done": 2,
        "skipped": 0,
    }
    for verb in ("undo", "redo"):
        done = anna.post("/api/bulk", key=f"{verb}-00001", tab="t", places=[0, 1, 2], do=verb, of="lasso-0001")
        assert done == {"done": 2, "skipped": 1}
    for wrong in ({"do": "undo"}, {"do": "undo", "of": "short"}, {"do": "undo", "of": 1}, {"do": "delete"}):
        assert anna.send("POST", "/api/bulk", {"key": "lasso-0003", "tab": "t", "places": [0], **wrong})[0] == 400
    assert anna.post("/api/bulk", key="lasso-0002", tab="t", places=[0, 9], do="queue") == {"done": 1, "skipped": 1}
    url = anna.post("/api/links", who="carl")["url"]
    assert url.startswith(f"http://127.0.0.1:{live.port}/?token=")
    assert live.stranger().send("GET", url.partition(str(live.port))[2])[0] == 303
    numbers = anna.get("/api/progress")
    assert numbers["classes"] == {"cat": 2, "dog": 0}
    assert numbers["people"] == [{"who": "anna", "answers": 2, "per_hour": None, "median_ms": None}]
    assert (numbers["curve"], numbers["accuracy"], numbers["guesses"]) == ([], None, None)


def test_the_progress_is_that_of_the_record(live, project, snapshot, monkeypatch):
    for name in ("_FRESH", "_RARE"):
        monkeypatch.setattr(f"distil.labeling.server.service.{name}", 0.0)
    anna = live("anna")
    (project.path / CACHE).mkdir(exist_ok=True)
    snapshot([0, 1, 0, *[0] * 7], [0.9] * 10).save(project.path / CACHE)
    for n, guess in enumerate(["cat", "dog", "cat"]):
        shown = {"guess": guess, "p": 0.9, "withheld": n == 2, "reason": "random", "model": "1"}
        anna.record({**anna.label(str(n)), "ms": 800, "shown": shown})
        numbers = anna.get("/api/progress")
    assert (numbers["accuracy"]["n"], numbers["people"][0]["median_ms"]) == (3, 800)
    assert numbers["curve"] == [{**numbers["curve"][0], "labels": 1, "n": 3}]
    assert numbers["guesses"]["withheld"] == {"n": 1, "accepted": 1, "median_ms": 800}


def test_progress_says_how_good_the_labels_are(tmp_path, texts, serve):
    with Project.create(tmp_path / "p", classes=["cat", "dog"]) as project:
        project.add(texts)
        again = Shown(reason="repeat")
        said = [
            ("anna", "0", "cat", None),
            ("ben", "0", "cat", None),
            ("carl", "0", "dog", None),
            ("anna", "0", "cat", again),
        ]
        project.record_all([Event(kind="label", who=w, item=i, label=c, shown=shown) for w, i, c, shown in said])
        (project.path / CACHE).mkdir()
        suspects = (Suspect("0", "cat", "dog", 0.75), Suspect("1", "cat", "dog", 0.5))
        Quality(3, 1, 0.9, suspects, {}, ()).save(project.path / CACHE)
        with serve(project) as live:
            numbers = live("anna").get("/api/progress")
            Quality(3, 0, 1.0, (), {}, ()).save(project.path / CACHE)
            asyncio.run_coroutine_threadsafe(live.service._hear({"quality": 0}), live.service._loop).result(10)
            assert live("ben").get("/api/progress")["suspects"] == []
        (found,) = numbers["suspects"]
        assert (found["item"]["id"], found["label"], found["guess"], found["p"]) == ("0", "cat", "dog", 0.75)
        assert numbers["self_agreement"] == {"n": 1, "agree": 1}
        assert numbers["confusion"] == {"carl": {"dog": {"cat": 1}}}, "for the others, the rest ties"


def test_long_texts_are_sent_whole_only_for_the_item_on_the_screen(tmp_path, serve, snapshot):
    """Lists get some hundred characters around what was searched for, items to answer the first 20,000."""
    texts = [f"{'a quiet room, ' * 70_000}a LOUD neighbor {n}{', quiet again' * 1000}" for n in range(8)]
    lines = [json.dumps({"id": f"s{n}", "text": text}) for n, text in enumerate(texts)]
    (tmp_path / "long.jsonl").write_text("\n".join(lines))
    with Project.create(tmp_path / "p", classes=["cat", "dog"]) as project:
        project.add(tmp_path / "long.jsonl")
        with serve(project) as live:
            live.service.desk.snapshot = snapshot([0] * 8, [0.9] * 8)
            anna = live("anna")
            found = anna.get("/api/search?q=loud")["items"]
            handed = anna.record(want=2)["items"]
            anna.record(anna.label(handed[0]["id"]), have=[handed[1]["id"]])
            lists = {
                "search": found,
                "grid": anna.post("/api/grid", tab="t", n=3, label="cat", have=[])["items"],
                "history": [each["item"] for each in anna.get("/api/history")["events"]],
                "items": anna.get("/api/items?places=3")["items"],
            }
            taken = anna.post("/api/take", tab="t", ids=["s5"])["items"]
            assert [len(each) for each in lists.values()] == [8, 3, 1, 1]
            assert {item["whole"] for items in (*lists.values(), handed, taken) for item in items} == {False}
            assert {len(item["text"]) for items in lists.values() for item in items} <= {401, 402}
            assert all(f"a LOUD neighbor {item['id'][1:]}" in item["text"] for item in found)
            assert {len(item["text"]) for item in (*handed, *taken)} == {20_001}
            assert anna.get("/api/text?place=3") == {"text": texts[3]}
            for query, status in (("", 404), ("?place=8", 404), ("?place=x", 400), ("?place=1&n=2", 400)):
                assert anna.send("GET", f"/api/text{query}")[0] == status
            assert live.stranger().send("GET", "/api/text?place=3")[0] == 401


def test_items_are_shown_by_their_places_and_stay_free(live):
    anna = live("anna")
    anna.record(anna.label("3"))
    found = anna.get("/api/items?places=3,1,3,99999")["items"]
    assert [(item["place"], item["id"]) for item in found] == [(3, "3"), (1, "1"), (3, "3")]
    assert found[0]["mine"]["label"] == "cat"
    assert live.service.project.leases() == []
    for places in ("", "1,", "-1", "1.0", "x", "9" * 30, ",".join(["1"] * 61)):
        assert anna.send("GET", f"/api/items?places={places}")[0] == 400


def test_images_are_made_here_and_never_the_file(tmp_path, serve):
    folder = tmp_path / "images"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (400, 600, 3), np.uint8)
    Image.fromarray(noise).save(folder / "large.jpg")
    Image.fromarray(noise[:8, :4]).save(folder / "small.png")
    (folder / "text.png").write_text("<svg onload=alert(1)>")
    with Project.create(tmp_path / "p") as project:
        project.add(folder)
        with serve(project) as live:
            anna = live("anna")
            items = {item["id"]: item for item in anna.record(want=9)["items"]}
            large, small, text = (items[name] for name in ("large.jpg", "small.png", "text.png"))
            assert (large["width"], large["height"], large["kind"]) == (600, 400, "images")
            assert (small["width"], small["height"]) == (4, 8)
            status, headers, content = anna.send("GET", f"{large['image']}&size=256")
            assert (status, headers["Content-Type"]) == (200, "image/png")
            assert headers["Cache-Control"] == "private, max-age=31536000, immutable"
            assert Image.open(io.BytesIO(content)).size == (256, 171)
            status, headers, content = anna.send("GET", f"{large['image']}&size=full")
            assert (headers["Content-Type"], Image.open(io.BytesIO(content)).size) == ("image/jpeg", (600, 400))
            assert content != (folder / "large.jpg").read_bytes()
            pixels = np.asarray(Image.open(io.BytesIO(anna.send("GET", small["image"])[2])))
            assert np.array_equal(pixels, noise[:8, :4])  # a small image loses nothing
            assert anna.send("GET", text["image"])[0] == 404
            assert text["width"] is None
            for path in ("/item/9", "/item/-1", "/item/0?size=1", "/item/x", f"/item/{'9' * 30}", "/item/large.jpg"):
                assert anna.send("GET", path)[0] in (400, 404)


def test_rows_of_arrays_show_their_numbers(tmp_path, serve):
    rows = np.arange(900, dtype=np.float32).reshape(3, 300)
    rows[1, 0] = np.nan
    np.save(tmp_path / "rows.npy", rows)
    with Project.create(tmp_path / "p") as project:
        project.add(tmp_path / "rows.npy")
        with serve(project) as live:
            items = live("anna").record(want=9)["items"]
            values = {item["place"]: item["values"] for item in items}
            assert values[0] == list(range(200))
            assert values[1][:2] == [None, 301]
            assert live("anna").get("/api/project")["kind"] == "rows"


def test_names_of_files_that_are_no_text(tmp_path, serve):
    (tmp_path / "images").mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "images" / "caf\udce9.png")
    with Project.create(tmp_path / "p", classes=["cat"]) as project:
        project.add(tmp_path / "images")
        with serve(project) as live:
            anna = live("anna")
            (item,) = anna.record(want=1)["items"]
            assert item["id"] == "caf\udce9.png"
            assert anna.send("GET", item["image"])[0] == 200
            assert anna.record(anna.label(item["id"]))["acks"][0]["error"] is None


def test_the_stream_sends_what_changed(live):
    anna = live("anna")
    connection = http.client.HTTPConnection("127.0.0.1", live.port, timeout=10)
    connection.request("GET", "/api/stream", headers={"Cookie": anna.cookie})
    stream = connection.getresponse()
    assert stream.headers["Content-Type"].startswith("text/event-stream")

    def message():
        lines = []
        while line := stream.readline().decode().strip():
            lines.append(line)
        return lines[0].removeprefix("event: "), json.loads(lines[1].removeprefix("data: "))

    first = dict(message() for _ in range(3))
    assert first["model"]["state"] == "off"
    assert first["progress"]["labeled"] == 0
    assert [each["name"] for each in first["classes"]] == ["cat", "dog"]
    anna.record(anna.event("class_add", label="cow"))
    kind, classes = message()
    assert (kind, classes[-1]["name"]) == ("classes", "cow")
    anna.record(anna.label("1", "cow"))
    assert dict(message() for _ in range(2))["progress"]["mine"] == 1
    connection.close()


def test_a_server_ends_while_streams_are_open(project, serve):
    with serve(project) as live:
        connection = http.client.HTTPConnection("127.0.0.1", live.port, timeout=10)
        connection.request("GET", "/api/stream", headers={"Cookie": live().cookie})
        stream = connection.getresponse()
        stream.readline()
        began = time.monotonic()
    assert time.monotonic() - began < 5
    connection.close()


@pytest.mark.parametrize("who", ["", " x", "a\nb", "x" * 501, 5, None])
def test_links_are_for_names(live, who):
    assert live().send("POST", "/api/links", {"who": who})[0] == 400
