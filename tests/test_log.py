from __future__ import annotations

import io
import json
import logging
import re

import pytest

from raptor_exporter.log import setup_logging

SECRET = "ws://secret:secret@127.0.0.1:9222/devtools/browser/secret?secret#secret"


@pytest.fixture
def lines():
    """Set up logging into a text; gives a function that returns what was written since."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    stream = io.StringIO()

    def start(level="info", fmt="logfmt"):
        root.handlers.clear()  # pytest's own raise on records whose arguments don't fit
        setup_logging(level, fmt, stream)
        return lambda: stream.getvalue().splitlines()

    yield start
    logging.captureWarnings(capture=False)
    root.handlers[:], root.level = before


def test_a_logfmt_line_has_time_level_logger_message_and_the_callers_fields(lines):
    written = lines()
    logging.getLogger("raptor_exporter.agent").info(
        "refreshed %d sessions", 3, extra={"seconds": 0.5, "store": "/a b", "ok": True, "why": None}
    )
    line = re.sub(r"^ts=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ", "ts=NOW ", written()[0])
    assert line == (
        'ts=NOW level=info logger=raptor_exporter.agent msg="refreshed 3 sessions" '
        'seconds=0.5 store="/a b" ok=true why=null'
    )


def test_a_json_line_is_one_object_with_the_same_fields(lines):
    written = lines(fmt="json")
    logging.getLogger("raptor_exporter").warning("odd", extra={"n": 1, "x": float("nan"), "l": [1, "é"]})
    event = json.loads(written()[0])
    assert event.pop("ts").endswith("Z")
    assert event == {
        "level": "warn",
        "logger": "raptor_exporter",
        "msg": "odd",
        "n": 1,
        "x": "nan",
        "l": [1, "é"],
    }


@pytest.mark.parametrize("fmt", ["logfmt", "json"])
@pytest.mark.parametrize(
    "hostile", ["a\nlevel=error msg=forged", "\r\x1b[2J", "\u2028\u202e\x85\ud800", '" x="1', "\\"]
)
def test_no_value_can_forge_a_line_or_a_field(lines, fmt, hostile):
    written = lines(fmt=fmt)
    logging.getLogger("raptor_exporter").error(hostile, extra={"session": hostile, "a b=c\n": 1})
    (line,) = written()
    assert line.isprintable()
    if fmt == "json":
        event = json.loads(line)
        assert event["session"] == hostile
        assert event["a_b_c_"] == 1
    else:
        assert line.startswith("ts=")
        assert line.endswith(" a_b_c_=1")
        # Outside of quotes there are our own fields only.
        bare = re.sub(r'"(?:[^"\\]|\\.)*"', "Q", line)
        assert re.findall(r"(\S+?)=", bare) == ["ts", "level", "logger", "msg", "session", "a_b_c_"]


@pytest.mark.parametrize("fmt", ["logfmt", "json"])
def test_a_traceback_is_one_field_of_its_line_and_shows_no_cdp_url(lines, fmt):
    written = lines(fmt=fmt)
    try:
        raise ConnectionError(f"cannot reach {SECRET}")
    except ConnectionError:
        logging.getLogger("raptor_exporter").exception("failed for %s", SECRET, extra={"url": SECRET})
    (line,) = written()
    assert "ConnectionError" in line
    assert "127.0.0.1:9222" in line
    assert "secret" not in line


def test_a_secret_is_hidden_wherever_a_caller_leaves_it(lines):
    written = lines("debug")
    logging.getLogger("raptor_exporter").debug(
        SECRET, extra={SECRET: 1, "d": {SECRET: [SECRET]}, "e": ValueError(SECRET)}, stack_info=False
    )
    logging.getLogger("raptor_exporter").info("does not fit %d", SECRET)
    assert len(written()) == 2
    assert "secret" not in "\n".join(written())


def test_levels_hold_for_this_package_and_libraries_speak_from_warn_on(lines):
    written = lines("debug")
    logging.getLogger("raptor_exporter.x").debug("own")
    logging.getLogger("websockets.client").debug("GET /secret")
    logging.getLogger("somelibrary").info("chatter")
    logging.getLogger("somelibrary").warning("trouble")
    assert [re.search(r"msg=(\S+)", line)[1] for line in written()] == ["own", "trouble"]


def test_clients_of_the_http_server_cannot_fill_the_log(lines):
    written = lines("info")
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    logging.getLogger("uvicorn.error").error("kept")
    assert len(written()) == 1


def test_setting_up_twice_writes_each_event_once(lines):
    lines()
    written = lines("error", "json")
    logging.getLogger("raptor_exporter").info("dropped")
    logging.getLogger("raptor_exporter").error("kept")
    assert [json.loads(line)["msg"] for line in written()] == ["kept"]


def test_a_closed_standard_error_disturbs_nobody(lines, capsys):
    stream = io.StringIO()
    lines()
    setup_logging(stream=stream)
    stream.close()
    logging.getLogger("raptor_exporter").error("nobody hears this")
    assert capsys.readouterr().err == ""
