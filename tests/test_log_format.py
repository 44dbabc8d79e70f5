"""Log lines as JSON, read back."""

from __future__ import annotations

import json
import logging

from talkover.log_format import JsonFormatter


def formatted(level: int, message: str, *arguments: object, **fields: object) -> dict:
    record = logging.LogRecord("talkover.x", level, __file__, 1, message, arguments, None)
    record.__dict__.update(fields)
    return json.loads(JsonFormatter().format(record))


def test_a_line_is_an_object_with_time_level_and_message() -> None:
    line = formatted(logging.WARNING, "queue %s is full\nfor now", "asr", created=0.25)
    assert line == {
        "time": "1970-01-01T00:00:00.250+00:00",
        "level": "warning",
        "logger": "talkover.x",
        "message": "queue asr is full\nfor now",
    }


def test_a_turn_has_its_numbers_as_fields() -> None:
    turn = {"response_id": "resp_1", "voice_to_voice_ms": 612, "marks_ms": {"turn_end": 520}}
    line = formatted(logging.INFO, "response completed", session="sess_1", turn=turn)
    assert (line["session"], line["turn"]) == ("sess_1", turn)


def test_an_exception_is_in_the_same_line() -> None:
    try:
        raise ValueError("odd")
    except ValueError as error:
        line = formatted(logging.ERROR, "failed", exc_info=(type(error), error, error.__traceback__))
    assert line["exception"].endswith("ValueError: odd")
