"""What a process's log looks like: a real process, both forms, structlog's lines and other libraries'."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime

import pytest

PROGRAM = """
import logging, sys
import structlog
from freshline.logs import configure

configure(sys.argv[1], "info", ["s3cr3t-passw0rd"])
log = structlog.get_logger("shop")
logging.getLogger("aiokafka.conn").warning("%s: connection refused", "broker-1")
log.info("hello", place="here")
log.debug("not this")
try:
    try:
        local = "a local variable: s3cr3t-in-a-frame"
        raise ValueError("https://u:p@host.test/a.jpg?sig=abc: refused s3cr3t-passw0rd")
    except ValueError as error:
        raise RuntimeError("twice") from error
except RuntimeError:
    log.exception("trouble")
for number in range(12):
    logging.getLogger("other").error("attempt %d failed", number)
raise OSError("Authorization: Bearer abcdef, s3cr3t-passw0rd")
"""


def _said(form: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, form], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert done.stdout == ""
    return done.stderr


@pytest.fixture(scope="module")
def as_json() -> str:
    return _said("json")


def test_each_line_is_one_json_object_with_its_time_level_and_logger(as_json: str) -> None:
    lines = [json.loads(line) for line in as_json.splitlines()]

    assert list(lines[1])[:4] == ["timestamp", "level", "logger", "event"]
    assert [line["event"] for line in lines[:3]] == ["broker-1: connection refused", "hello", "trouble"]
    assert (lines[1]["level"], lines[1]["logger"], lines[1]["place"]) == ("info", "shop", "here")
    for line in lines:
        assert datetime.fromisoformat(line["timestamp"]).utcoffset().total_seconds() == 0  # type: ignore[union-attr]


def test_an_exception_is_structured_with_its_cause(as_json: str) -> None:
    trouble = json.loads(as_json.splitlines()[2])["exception"]

    assert [each["exc_type"] for each in trouble] == ["RuntimeError", "ValueError"]
    assert trouble[0]["frames"][0]["lineno"] > 1
    assert trouble[1]["exc_value"] == "https://***@host.test/a.jpg?***: refused ***"


def test_what_nobody_caught_is_a_line_too(as_json: str) -> None:
    crash = next(line for line in map(json.loads, as_json.splitlines()) if line["level"] == "critical")

    assert crash["event"] == "ended by an error"
    assert crash["exception"][0]["exc_type"] == "OSError"


def test_what_is_said_again_and_again_is_counted_at_the_end(as_json: str) -> None:
    lines = [json.loads(line) for line in as_json.splitlines()]
    failed = [line for line in lines if line["logger"] == "other"]

    assert [line["event"] for line in failed[:-1]] == [f"attempt {number} failed" for number in range(5)]
    assert failed[-1]["event"].startswith("attempt %d failed … and 7 more like this in the last ")
    assert (failed[-1]["more"], failed[-1]["level"]) == (7, "error")


def test_a_person_reads_text(as_json: str) -> None:
    text = _said("console")

    assert "hello" in text
    assert "Traceback (most recent call last)" in text
    assert not any(line.startswith("{") for line in text.splitlines())
    assert len(text.splitlines()) > len(as_json.splitlines())


@pytest.mark.parametrize("form", ["json", "console"])
def test_there_is_no_secret_in_either_form(form: str) -> None:
    said = _said(form)

    for secret in ("s3cr3t", "u:p", "sig=", "abcdef"):
        assert secret not in said
