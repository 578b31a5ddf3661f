"""Passwords: hidden in everything people read, and taken from where only the service looks."""

import json
from pathlib import Path

import pytest
import structlog

from inspector import logs
from inspector.config.line import load_config
from inspector.errors import ConfigError
from inspector.passwords import masked, with_password

LINE = 'name = "t"\nengine = "e"\nrecipe = "r"\n[cameras.top]\ntype = "camera"\nframes_per_second = 5\n'


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://admin:S3cret@10.0.0.5/x", "rtsp://admin:***@10.0.0.5/x"),
        ("rtsp://admin:S3:cr@et/S3cret@10.0.0.5/x", "rtsp://admin:***@10.0.0.5/x"),
        ("rtsp://:S3cret@cam", "rtsp://:***@cam"),
        ("rtsp://admin:8080S3cret@cam", "rtsp://admin:***@cam"),
        ("http://cam/x?user=admin&pwd=S3cret", "http://cam/x?user=admin&pwd=***"),
        ("http://cam/x?password=S3cret&user=a", "http://cam/x?password=***&user=a"),
        ("http://cam/x?Passwd=S3cret#a", "http://cam/x?Passwd=***"),
        ("http://cam/x?usr=a;loginpass=S3cret", "http://cam/x?usr=a;loginpass=***"),
        ("http://cam/x?access_token=S3cret", "http://cam/x?access_token=***"),
        ("http://cam/x?pw=S3cret&api-key=1", "http://cam/x?pw=***&api-key=***"),
        ("rtsp://cam/user=admin&password=S3cret&channel=1", "rtsp://cam/user=admin&password=***&channel=1"),
        ("rtspsrc location=rtsp://cam user-pw=S3cret", "rtspsrc location=rtsp://cam user-pw=***"),
        ("postgresql://a:S3cret@db/x?sslpassword=S3cret", "postgresql://a:***@db/x?sslpassword=***"),
        ("camera 'rtsp://a:S3cret@c/x': no answer", "camera 'rtsp://a:***@c/x': no answer"),
        ("first rtsp://a:S3cret@c and http://d:S3cret@e", "first rtsp://a:***@c and http://d:***@e"),
    ],
)
def test_passwords_are_hidden_in_any_text(text: str, shown: str) -> None:
    """After the user's name, and behind the names that cameras and databases use."""
    assert masked(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "rtsp://10.0.0.5:554/strip?channel=1",
        "http://cam:8080/x?mail=a@b.c",
        "demo@4edcc0498664: frames=3",
        "rtsp://admin@10.0.0.5/x",
        "no frame within 1.0 s",
    ],
)
def test_what_is_no_password_stays(text: str) -> None:
    """Ports, engine identities, users."""
    assert masked(text) == text


def test_a_log_line_shows_no_password(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither a log call nor an exception that quotes the password shows it."""
    logs.configure("test")
    log = structlog.get_logger()
    log.warning("rtsp://a:S3cret@c gone", device="http://c/?pwd=S3cret")
    try:
        raise ValueError("rtsp://a:S3cret@c")
    except ValueError:
        log.exception("failed")
    said = capsys.readouterr().err
    structlog.reset_defaults()
    assert "S3cret" not in said
    assert said.count("***") >= 3


def configured(tmp_path: Path, camera: str) -> Path:
    path = tmp_path / "line.toml"
    path.write_text(LINE + camera + "\n")
    return path


@pytest.mark.parametrize(
    ("device", "opened"),
    [
        ("rtsp://admin@cam/x", "rtsp://admin:S3%2Fcr%40et@cam/x"),
        ("http://cam/x?user=a&pwd={password}", "http://cam/x?user=a&pwd=S3%2Fcr%40et"),
    ],
)
@pytest.mark.parametrize("where", ["env", "credential"])
def test_a_password_comes_from_the_environment_or_a_credential(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, opened: str, where: str
) -> None:
    """The config names it; only what the stages of a run are given holds it."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("TOP_CAMERA", "S3/cr@et")
    (tmp_path / "top-camera").write_text("S3/cr@et\n")
    source = "env:TOP_CAMERA" if where == "env" else "credential:top-camera"
    line = load_config(configured(tmp_path, f'device = "{device}"\npassword = "{source}"')).line
    assert line.cameras["top"].address() == opened
    assert json.loads(line.json_for_stages())["cameras"]["top"]["device"] == opened
    assert "S3" not in line.json_for_people()
    stages = tmp_path / "stages.json"
    stages.write_text(line.json_for_stages())
    assert load_config(stages).line.cameras["top"].address() == opened


@pytest.mark.parametrize(
    ("camera", "said"),
    [
        ('device = "rtsp://cam/x"\npassword = "env:X"', "device has no place for it: write rtsp://USER@HOST"),
        ('device = "rtsp://a@cam/x"\npassword = "S3cret"', "must be env:NAME"),
        ('device = "v4l2src ! appsink"', "GStreamer pipelines are not supported"),
    ],
)
def test_a_password_in_the_wrong_place_is_one_clear_line(tmp_path: Path, camera: str, said: str) -> None:
    """The message never contains the password."""
    with pytest.raises(ConfigError, match=said) as refused:
        load_config(configured(tmp_path, camera))
    assert "S3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("env:NOT_THERE", "NOT_THERE is not set"),
        ("credential:gone", r"No such file or directory: give the unit LoadCredential=gone:FILE"),
        ("credential:binary", "is not text"),
    ],
)
def test_a_password_that_is_not_there_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, said: str
) -> None:
    """The message says where the password was expected; stages without a camera do not need it."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=said):
        with_password("rtsp://a@b", source)
    line = load_config(configured(tmp_path, f'device = "rtsp://a@b"\npassword = "{source}"')).line
    assert line.cameras["top"].address
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    with pytest.raises(ConfigError, match="no CREDENTIALS_DIRECTORY"):
        with_password("rtsp://a@b", "credential:x")


def test_a_relative_device_lies_beside_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As every other path in it; addresses and device numbers are left alone."""
    monkeypatch.chdir("/")
    for written, opened in (
        ('"strip.mkv"', str(tmp_path / "strip.mkv")),
        ('"/dev/video0"', "/dev/video0"),
        ("0", 0),
        ('"rtsp://cam/x"', "rtsp://cam/x"),
    ):
        line = load_config(configured(tmp_path, f"device = {written}")).line
        assert line.cameras["top"].device == opened
