"""Wrong usage, config or input: one clear line, exit code 2, nothing started."""

import json
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from inspector import __version__
from inspector.machine import machine
from tests.support.lines import LineUnderTest


@pytest.fixture
def line(tmp_path: Path) -> LineUnderTest:
    return LineUnderTest(tmp_path)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), np.full((64, 128), 90, np.uint8))
    return folder


def refused(line: LineUnderTest, source: Path, said: str, *arguments: object) -> None:
    run = line.replay(source, *arguments)
    assert run.code == 2, run.stderr
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith("inspector replay: ")
    assert said in run.stderr
    assert "Traceback" not in run.stderr
    assert not run.summary


def test_changed_engine_byte(line: LineUnderTest, images: Path) -> None:
    """A changed engine is not opened."""
    path = line.folder / "engine" / "golden.npz"
    raw = bytearray(path.read_bytes())
    raw[-30] ^= 1
    path.write_bytes(raw)
    refused(line, images, "content does not match the manifest")


def test_recipe_names_a_class_the_engine_lacks(line: LineUnderTest, images: Path) -> None:
    """The line names the class and the available ones."""
    with (line.folder / "recipe.toml").open("a") as recipe:
        recipe.write("[classes.rust]\n")
    refused(line, images, " has no such class; it has bright")


def test_misspelt_config_key(line: LineUnderTest, images: Path) -> None:
    """The line names file, key, and what was meant."""
    line.config.write_text(line.config.read_text().replace("recipe =", "recepie ="))
    refused(line, images, "recepie: unknown key: did you mean recipe?")


@pytest.mark.parametrize("what", ["nothing", "empty folder", "text file"])
def test_source_that_is_none(line: LineUnderTest, images: Path, tmp_path: Path, what: str) -> None:
    """A source that cannot be opened at all."""
    sources = {
        "nothing": (tmp_path / "none", "no such file or folder"),
        "empty folder": (tmp_path / "empty", "no image"),
        "text file": (line.config, "neither a folder nor a video"),
    }
    (tmp_path / "empty").mkdir()
    source, said = sources[what]
    refused(line, source, said)


def test_an_out_folder_that_holds_a_run_is_not_touched(line: LineUnderTest, images: Path) -> None:
    """Records are not overwritten."""
    assert line.replay(images).code == 0
    before = (line.folder / "out" / "verdicts.jsonl").read_bytes()
    again = line.start("replay", images, "--config", line.config, "--out", line.folder / "out")
    _, stderr = again.communicate(timeout=60)
    assert again.returncode == 2
    assert "already holds a run" in stderr
    assert (line.folder / "out" / "verdicts.jsonl").read_bytes() == before


def test_golden_that_is_no_run(line: LineUnderTest, images: Path, tmp_path: Path) -> None:
    """The error comes before the replay, not after it."""
    refused(line, images, "give the folder of an earlier replay", "--golden", tmp_path / "none")


def test_check_says_what_would_not_start(line: LineUnderTest, images: Path) -> None:
    """`inspector check SOURCE` names frames of another size, and everything else in one table."""
    cv2.imwrite(str(images / "b.png"), np.full((32, 32), 90, np.uint8))
    process = line.start("check", images, "--config", line.config, "--json")
    stdout, _ = process.communicate(timeout=60)
    rows = {row["what"]: row for row in json.loads(stdout)["checks"]}
    assert process.returncode == 2
    assert (
        "1 of 2 frames (1 of 32×32; first b.png) do not have the engine's size 64×128" in rows["source"]["found"]
    )
    assert {rows[what]["state"] for what in ("config", "engine files", "recipe", "golden frames", "links")} == {
        "ok"
    }


def test_check_of_a_good_line(line: LineUnderTest) -> None:
    """Exit 0, and a table a person can read."""
    process = line.start("check", "--config", line.config)
    stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 0, stdout
    assert "ok     golden frames" in stdout
    assert "simulator, 40 frames" in stdout


def test_check_prints_what_a_bug_report_needs(line: LineUnderTest) -> None:
    """The engine measured here beside its build, its libraries and the PC: in JSON as in the table."""
    process = line.start("check", "--config", line.config, "--json")
    stdout, _ = process.communicate(timeout=60)
    rows = {row["what"]: row for row in json.loads(stdout)["checks"]}
    assert {rows[what]["state"] for what in ("golden frames", "parity", "speed", "this PC")} == {"ok"}
    assert rows["parity"]["found"] == "not measured when it was built"
    found = re.fullmatch(r"([\d.]+) frames/s alone, batch 4, 2 slots, a batch [\d.]+ ms", rows["speed"]["found"])
    assert found, rows["speed"]["found"]
    assert float(found[1]) > 0
    assert rows["this PC"]["found"] == f"inspector {__version__}; machine {machine()}"


def test_check_of_an_engine_that_answers_otherwise_stops_there(line: LineUnderTest) -> None:
    """A wrong engine's speed is not measured; the other rows are still printed."""
    manifest = line.folder / "engine" / "manifest.json"
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(content | {"options": {"defect_grey": 50}}))
    process = line.start("check", "--config", line.config, "--json")
    stdout, _ = process.communicate(timeout=60)
    rows = {row["what"]: row for row in json.loads(stdout)["checks"]}
    assert process.returncode == 2
    assert "golden frames differ on this PC" in rows["golden frames"]["found"]
    assert not rows.keys() & {"parity", "speed", "this PC"}
    assert {rows[what]["state"] for what in ("engine files", "links", "disk")} == {"ok"}


VIEWED = '[view]\nframes_per_second = 1\naddress = "tcp://127.0.0.1:7994"\nkeys = "nokeys"\n'


def test_check_finds_keys_that_decide_could_not_use(line: LineUnderTest) -> None:
    """Before the start, for the whole line and for the stage that needs them."""
    line.write_config(VIEWED)
    for options in ((), ("--stage", "decide")):
        process = line.start("check", "--config", line.config, *options)
        stdout, _ = process.communicate(timeout=60)
        assert process.returncode == 2
        assert "inspector keys line" in stdout


def test_check_asks_for_no_keys_that_nobody_needs(line: LineUnderTest) -> None:
    """A view that is switched off, or that stays on this PC, starts without them."""
    for view in (VIEWED.replace("= 1", "= 0", 1), '[view]\nframes_per_second = 1\nkeys = "nokeys"\n'):
        line.write_config(view)
        process = line.start("check", "--config", line.config, "--stage", "decide")
        stdout, _ = process.communicate(timeout=60)
        assert process.returncode == 0, stdout


def test_check_of_records_in_a_file_that_is_no_database(line: LineUnderTest) -> None:
    """A file that is not a database is an error at once, because waiting does not help."""
    notes = line.folder / "notes.txt"
    notes.write_text("nothing of a database in here\n" * 100)
    line.write_config(f'[records]\nenabled = true\nurl = "sqlite:///{notes}"\n')
    process = line.start("check", "--config", line.config)
    stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "file is not a database: name another one in records.url" in stdout


def test_check_looks_at_the_engine_that_is_named(line: LineUnderTest) -> None:
    """`--engine` is checked instead of the config's engine."""
    process = line.start("check", "--config", line.config, "--engine", line.folder / "nothing")
    stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert f"{line.folder / 'nothing'}" in stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("check", "--camera", "top", "--config", "CONFIG"), "give --stage ingest too"),
        (("mark", "C-1", "--run", "r", "--config", "CONFIG"), "a coil is marked in all runs"),
        (("mark", "C-1", "--list", "--config", "CONFIG"), "leave out what to mark"),
        (("mark", "top:99999999999999999999999", "--config", "CONFIG"), "no frame has such a number"),
        (("export", "--from", "9999-12-31", "--out", "x.csv", "--config", "CONFIG"), "in the years 1970 to 2261"),
        (("replay", "images", "--config", "CONFIG", "--out", ""), "must not be empty"),
        (("bench", "--frames", "0", "--config", "CONFIG"), "must be at least 1, got 0"),
        (("bench", "--seconds", "nan", "--config", "CONFIG"), "must be over 0 and at most 3600, got nan"),
        (("keys", "signing", "--out", "key", "--name", "bob"), "takes none"),
        (("keys", "viewer", "--out", "KEYS", "--name", "../evil"), "make a viewer's name"),
    ],
)
def test_options_that_mean_nothing_together(line: LineUnderTest, arguments: tuple[str, ...], said: str) -> None:
    """One line, exit code 2."""
    places = {"CONFIG": str(line.config), "KEYS": str(line.folder / "keys")}
    process = line.start(*(places.get(each, each) for each in arguments))
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 2, stderr
    assert said in stderr
    assert "Traceback" not in stderr


def test_status_from_another_program(line: LineUnderTest) -> None:
    """Another program answers on the port."""

    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        line.write_config(f"[health]\nport = {server.server_port}\n")
        process = line.start("status", "--config", line.config)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "is not this version of decide" in stderr
    assert "Traceback" not in stderr


def test_a_reader_that_has_left(line: LineUnderTest) -> None:
    """`| head` ends a command without a traceback."""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "inspector", "check", "--config", str(line.config)]
    process = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(write)
    assert process.returncode == 1
    assert "BrokenPipe" not in process.stderr
