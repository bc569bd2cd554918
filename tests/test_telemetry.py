import json
import logging
import subprocess
import sys

import pytest

from agent.telemetry import JsonLines


def written(**given):
    fields = {
        "name": "wellread",
        "level": logging.WARNING,
        "pathname": "a.py",
        "lineno": 1,
        "msg": "a %s",
        "args": ("b\nc",),
    }
    record = logging.LogRecord(**fields, exc_info=given.pop("exc_info", None))
    record.__dict__.update(given)
    return JsonLines().format(record)


def test_an_event_is_one_line_of_json_with_its_request():
    line = written(request_id="req-1")
    assert "\n" not in line
    told = json.loads(line)
    assert (told["level"], told["logger"], told["request_id"], told["message"]) == (
        "warning",
        "wellread",
        "req-1",
        "a b\nc",
    )
    assert told["time"].endswith("+00:00")


def test_an_error_keeps_its_traceback_in_the_same_line():
    try:
        raise ValueError("wrong")
    except ValueError:
        line = written(exc_info=sys.exc_info())
    assert "\n" not in line
    assert "ValueError: wrong" in json.loads(line)["error"]


@pytest.mark.parametrize(("form", "as_json"), [("json", True), ("text", False), ("auto", True)])
def test_lines_are_json_where_nobody_looks(tmp_path, form, as_json):
    script = (
        "from agent.telemetry import log_to_stderr; import logging; log_to_stderr('INFO', '%s'); logging.info('hello')"
    )
    done = subprocess.run([sys.executable, "-c", script % form], capture_output=True, text=True, check=True)
    assert done.stderr.startswith("{") == as_json
    assert "hello" in done.stderr


def test_libraries_that_set_their_own_level_on_import_are_not_heard():
    script = (
        "import logging; from agent.telemetry import log_to_stderr; log_to_stderr('INFO'); import bm25s\n"
        "bm25s.BM25().index([['a'], ['b']], show_progress=False); logging.getLogger('httpx2').warning('heard')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert [line for line in done.stderr.splitlines() if "heard" not in line] == []
    assert "heard" in done.stderr
