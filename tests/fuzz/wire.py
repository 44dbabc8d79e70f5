"""Client events, what they change in a session, and what their audio counts as."""

from __future__ import annotations

from fuzz.harness import Fuzzer
from fuzz.mutation import mutated_json
from talkover.audio import AudioFormat
from talkover.realtime.audio_meter import AudioMeter
from talkover.realtime.errors import ProtocolError
from talkover.realtime.events import (
    AudioAppend,
    ItemCreate,
    ResponseCreate,
    SessionUpdate,
    encode_event,
    parse_client_event,
)
from talkover.realtime.items import MAX_STATE_BYTES, Item
from talkover.realtime.settings import SessionSettings

_VOICES = {"default": "default", "alloy": "en-us", "en-us": "en-us"}


def fuzz_wire_events(data: bytes) -> None:
    """One frame. What is accepted keeps its promises; what is refused can be told to the client."""
    frame = data.decode("utf-8", "surrogateescape")
    try:
        event = parse_client_event(frame)
    except ProtocolError as error:
        encode_event(error.event())
        return
    assert event.event_id is None or len(event.event_id) <= 512
    match event:
        case ItemCreate(item=item):
            assert len(encode_event(item.wire())) <= MAX_STATE_BYTES
            if not any(part.type == "input_image" for part in item.content):  # whose picture is dropped
                assert Item.parse(item.wire(with_audio=True)).type == item.type
        case AudioAppend(audio=audio):
            assert len(audio) <= len(frame)
        case _:
            pass


def fuzz_session_updates(data: bytes) -> None:
    """A conversation of updates and responses, one event per line: settings stay whole and can be told."""
    settings = SessionSettings()
    for line in data.decode("utf-8", "replace").split("\n")[:40]:
        try:
            event = parse_client_event(line)
            match event:
                case SessionUpdate(session=patch):
                    settings = settings.updated(patch, _VOICES.get)
                    _check(settings)
                case ResponseCreate(options=options):
                    plan = options.resolve(settings, _VOICES.get)
                    encode_event(plan.wire())
                    assert plan.voice in _VOICES.values()
                case _:
                    pass
        except ProtocolError as error:
            encode_event(error.event())


def fuzz_metered_audio(data: bytes) -> None:
    """One frame of a client whose audio is limited: all that the session takes of it is counted."""
    spent_s: list[float] = []

    def spend(seconds: float) -> bool:
        spent_s.append(seconds)
        return True

    frame = data.decode("utf-8", "surrogateescape")
    AudioMeter(spend, lambda: None).happened(frame, 0.0)
    try:
        event = parse_client_event(frame)
    except ProtocolError:
        return
    match event:
        case AudioAppend(audio=audio):
            taken = len(audio)
        case ItemCreate(item=item):
            taken = sum(len(part.audio or b"") for part in item.content)
        case _:
            taken = 0
    assert taken / 48_000 <= sum(spent_s) <= (taken + 64) / 48_000


def _check(settings: SessionSettings) -> None:
    wire = settings.wire("sess_1", "talkover", 0)
    assert len(encode_event(wire)) <= MAX_STATE_BYTES + 200
    again = settings.updated({key: wire[key] for key in ("audio", "tools", "instructions")}, _VOICES.get)
    assert again.wire("sess_1", "talkover", 0) == wire, "what the server tells of a session is no update of it"
    assert isinstance(settings.output_format, AudioFormat)
    assert 0.25 <= settings.speed <= 1.5


FUZZERS = (
    Fuzzer("wire_events", fuzz_wire_events, mutate=mutated_json),
    Fuzzer("session_updates", fuzz_session_updates, mutate=mutated_json),
    Fuzzer("metered_audio", fuzz_metered_audio, mutate=mutated_json),
)
