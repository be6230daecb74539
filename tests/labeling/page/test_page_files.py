"""The files of the page: each that another names is there, and none asks another machine or makes code from text."""

import re
from pathlib import Path

import distil.labeling

PAGE = Path(distil.labeling.__file__).parent / "page"
FILES = {path.name: path.read_text(encoding="utf-8") for path in PAGE.iterdir()}


def test_every_file_that_is_named_exists():
    named = set(re.findall(r"/static/([\w.-]+)", FILES["index.html"]))
    for name, text in FILES.items():
        if name.endswith(".js"):
            named |= set(re.findall(r"""(?:from|import)\(? ?["']\./([\w.-]+)["']""", text))
    assert {"main.js", "base.css", "api.js", "single.js"} <= named
    assert named - {"map.js"} <= set(FILES)
    scripts = {name for name in FILES if name.endswith(".js")}
    assert scripts <= named


def test_no_file_makes_code_from_text_or_asks_another_machine():
    for name, text in FILES.items():
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text), (
            name
        )
        addresses = set(re.findall(r"https?://[^\s\"'`]+", text))
        assert addresses <= {"http://www.w3.org/2000/svg"}, name


def test_no_script_or_style_is_inside_the_page():
    assert not re.search(r"<style|<script(?![^>]*\bsrc=)|\bon\w+=|\bstyle=", FILES["index.html"])


def test_files_stay_small():
    assert {name for name, text in FILES.items() if text.count("\n") > 400} == set()
