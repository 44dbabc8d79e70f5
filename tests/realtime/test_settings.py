"""The session object: merging, checking and echo; and what a response overrides."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types.realtime import (
    RealtimeResponse,
    RealtimeSessionCreateRequest,
    SessionCreatedEvent,
)

from talkover.audio import AudioFormat
from talkover.messages import FunctionTool
from talkover.realtime.errors import ProtocolError
from talkover.realtime.events import encode_event
from talkover.realtime.items import ItemReference
from talkover.realtime.settings import ResponseOptions, S2s, SessionSettings, TurnDetection

VOICES = {"default": "en", "alloy": "en", "other": "zh"}
TOOL = {"type": "function", "name": "weather", "description": "Tells it.", "parameters": {"type": "object"}}


def updated(patch: dict[str, Any], before: SessionSettings | None = None) -> SessionSettings:
    return (before or SessionSettings()).updated(patch, VOICES.get)


def refusal(patch: dict[str, Any], before: SessionSettings | None = None) -> ProtocolError:
    with pytest.raises(ProtocolError) as caught:
        updated(patch, before)
    return caught.value


def audio_input(**fields: Any) -> dict[str, Any]:
    return {"audio": {"input": fields}}


def audio_output(**fields: Any) -> dict[str, Any]:
    return {"audio": {"output": fields}}


def turn_detection(**fields: Any) -> dict[str, Any]:
    return audio_input(turn_detection=fields)


# ------------------------------------------------------------------------------------------------------- the echo


def test_default_session_is_the_object_of_the_protocol():
    assert SessionSettings(instructions="Be kind.").wire("sess_1", "gpt-realtime", 1790000000) == {
        "type": "realtime",
        "object": "realtime.session",
        "id": "sess_1",
        "model": "gpt-realtime",
        "output_modalities": ["audio"],
        "instructions": "Be kind.",
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "tracing": None,
        "truncation": "auto",
        "prompt": None,
        "expires_at": 1790000000,
        "include": None,
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "transcription": None,
                "noise_reduction": None,
                "turn_detection": {
                    "type": "server_vad",
                    "threshold": 0.5,
                    "prefix_padding_ms": 300,
                    "silence_duration_ms": 500,
                    "idle_timeout_ms": None,
                    "create_response": True,
                    "interrupt_response": True,
                },
            },
            "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "default", "speed": 1.0},
        },
    }


FULL = {
    "type": "realtime",
    "output_modalities": ["text"],
    "instructions": "Be brief.",
    "tools": [TOOL],
    "tool_choice": {"type": "function", "name": "weather"},
    "max_output_tokens": 100,
    "tracing": {"workflow_name": "w"},
    "truncation": {"type": "retention_ratio", "retention_ratio": 0.8},
    "prompt": {"id": "pmpt_1"},
    "include": ["item.input_audio_transcription.logprobs"],
    "reasoning": {"effort": "low"},
    "parallel_tool_calls": False,
    "audio": {
        "input": {
            "format": {"type": "audio/pcmu"},
            "transcription": {"model": "whisper-1", "language": "en", "prompt": "Talkover"},
            "noise_reduction": {"type": "far_field"},
            "turn_detection": {
                "type": "semantic_vad",
                "eagerness": "low",
                "create_response": True,
                "interrupt_response": False,
            },
        },
        "output": {"format": {"type": "audio/pcma"}, "voice": "alloy", "speed": 1.25},
    },
    "s2s": {"version": 1, "events": ["input_transcript", "metrics"]},
}


def test_everything_a_client_sets_is_echoed():
    wire = updated(FULL).wire("sess_1", "m", 1)
    assert wire == {**FULL, "object": "realtime.session", "id": "sess_1", "model": "m", "expires_at": 1}


@pytest.mark.parametrize("patch", [{}, FULL], ids=["default", "full"])
def test_session_validates_as_the_stock_type(patch: dict[str, Any]):
    wire = updated(patch).wire("sess_1", "gpt-realtime", 1790000000)
    model = RealtimeSessionCreateRequest.model_validate_json(encode_event(wire), strict=True)
    assert model.to_dict(mode="json") == wire
    event = {"type": "session.created", "event_id": "event_1", "session": wire}
    SessionCreatedEvent.model_validate_json(encode_event(event), strict=True)


def test_the_echo_is_accepted_as_an_update_and_changes_nothing():
    before = updated(FULL)
    assert updated(before.wire("sess_1", "m", 1), before) == before


# ------------------------------------------------------------------------------------------------------- merging


def test_keys_left_out_keep_their_value():
    before = updated(FULL)
    after = updated(audio_output(speed=0.5), before)
    assert (after.speed, after.voice, after.output_format) == (0.5, "alloy", AudioFormat("pcma", 8000))
    assert updated({}, before) == before
    assert updated({"audio": None}, before) == before
    assert updated({"audio": {"input": {}, "output": None}}, before) == before


def test_update_is_atomic():
    before = updated(FULL)
    copy = updated(FULL)
    error = refusal({"instructions": "new", **audio_output(speed=9), "tools": []}, before)
    assert error.param == "session.audio.output.speed"
    assert before == copy


def test_patch_is_not_changed():
    patch = {"audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 0.1}}}, "tools": [TOOL]}
    copy = {"audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 0.1}}}, "tools": [dict(TOOL)]}
    updated(patch)
    assert patch == copy


def test_null_clears_turn_detection():
    assert updated(audio_input(turn_detection=None)).turn_detection is None


def test_null_clears_transcription_and_noise_reduction():
    cleared = updated(audio_input(transcription=None, noise_reduction=None), updated(FULL))
    assert (cleared.transcription, cleared.noise_reduction) == (None, None)


def test_null_clears_what_is_only_stored():
    names = ("tracing", "prompt", "include", "reasoning", "parallel_tool_calls")
    cleared = updated(dict.fromkeys(names), updated(FULL))
    assert [getattr(cleared, name) for name in names] == [None] * 5


def test_null_restores_defaults_of_what_cannot_be_null():
    names = ("output_modalities", "tools", "tool_choice", "max_output_tokens", "truncation")
    patch = dict.fromkeys(names) | {"audio": {"input": {"format": None}, "output": {"format": None, "speed": None}}}
    restored, defaults = updated(patch, updated(FULL)), SessionSettings()
    for name in ("output_modality", "tools", "tool_choice", "max_output_tokens", "truncation", "speed"):
        assert getattr(restored, name) == getattr(defaults, name)
    assert restored.input_format == restored.output_format == AudioFormat()


def test_null_keeps_the_voice():
    assert updated(audio_output(voice=None), updated(FULL)).voice == "alloy"


def test_empty_string_clears_instructions():
    assert updated({"instructions": ""}, updated(FULL)).instructions == ""


def test_lists_are_replaced_whole():
    other = {"type": "function", "name": "other"}
    assert updated({"tools": [other]}, updated(FULL)).tools == (FunctionTool("other"),)


def test_model_is_ignored():
    assert updated({"model": "gpt-4o-realtime-preview"}) == SessionSettings()


def test_unknown_keys_are_ignored():
    assert updated({"foo": 1, "temperature": 0.7, "audio": {"bar": 2}}) == SessionSettings()


# ------------------------------------------------------------------------------------------------- turn detection


def test_semantic_vad_echoes_only_its_own_keys():
    wire = updated(turn_detection(type="semantic_vad")).wire("s", "m", 1)
    assert wire["audio"]["input"]["turn_detection"] == {
        "type": "semantic_vad",
        "eagerness": "auto",
        "create_response": True,
        "interrupt_response": True,
    }


def test_turn_detection_is_merged_deeply():
    before = updated(turn_detection(type="server_vad", threshold=0.7, create_response=False))
    after = updated(turn_detection(silence_duration_ms=900), before)
    assert after.turn_detection == TurnDetection(threshold=0.7, silence_duration_ms=900, create_response=False)


def test_switching_the_type_keeps_the_answers():
    before = updated(turn_detection(type="server_vad", interrupt_response=False))
    after = updated(turn_detection(type="semantic_vad", eagerness="high"), before)
    assert after.turn_detection == TurnDetection("semantic_vad", eagerness="high", interrupt_response=False)


def test_null_of_one_turn_detection_field_is_its_default():
    before = updated(turn_detection(threshold=0.9, idle_timeout_ms=6000))
    assert updated(turn_detection(threshold=None, idle_timeout_ms=None), before) == SessionSettings()


def test_switched_off_turn_detection_needs_a_type_again():
    off = updated(audio_input(turn_detection=None))
    assert refusal(turn_detection(threshold=0.4), off).code == "missing_required_parameter"
    assert updated(turn_detection(type="server_vad"), off) == SessionSettings()


# --------------------------------------------------------------------------------------------------- audio formats


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"type": "audio/pcm"}, AudioFormat("pcm", 24000)),
        ({"type": "audio/pcm", "rate": None}, AudioFormat("pcm", 24000)),
        ({"type": "audio/pcm", "rate": 8000}, AudioFormat("pcm", 8000)),
        ({"type": "audio/pcm", "rate": 16000}, AudioFormat("pcm", 16000)),
        ({"type": "audio/pcm", "rate": 48000.0}, AudioFormat("pcm", 48000)),
        ({"type": "audio/pcmu"}, AudioFormat("pcmu", 8000)),
        ({"type": "audio/pcma", "rate": 8000}, AudioFormat("pcma", 8000)),
        ({"rate": 16000}, AudioFormat("pcm", 16000)),
        ("pcm16", AudioFormat("pcm", 24000)),
        ("g711_ulaw", AudioFormat("pcmu", 8000)),
        ("g711_alaw", AudioFormat("pcma", 8000)),
        ("audio/pcmu", AudioFormat("pcmu", 8000)),
    ],
)
def test_formats(given: Any, expected: AudioFormat):
    after = updated(audio_input(format=given))
    assert after.input_format == expected
    assert after.output_format == AudioFormat()
    assert updated(audio_output(format=given)).output_format == expected


# ------------------------------------------------------------------------------------------------ transcription


def test_transcription_echoes_exactly_three_keys():
    after = updated(audio_input(transcription={"model": "anything", "delay": "low"}))
    assert after.transcription == {"model": "anything", "language": None, "prompt": None}
    assert after.language is None


def test_transcription_is_merged_deeply():
    before = updated(audio_input(transcription={"model": "m", "language": "en"}))
    after = updated(audio_input(transcription={"language": "zh"}), before)
    assert after.transcription == {"model": "m", "language": "zh", "prompt": None}
    assert (before.language, after.language) == ("en", "zh")


# -------------------------------------------------------------------------------------------------------- voices


def test_voice_is_echoed_as_the_client_named_it():
    assert updated(audio_output(voice="alloy")).voice == "alloy"
    assert updated(audio_output(voice={"id": "other"})).voice == "other"


def test_unknown_voice_is_invalid_value():
    error = refusal(audio_output(voice="nobody"))
    assert (error.code, error.param) == ("invalid_value", "session.audio.output.voice")
    assert '"nobody"' in error.message


# -------------------------------------------------------------------------------------------------------- s2s


def test_s2s_is_echoed_only_after_opt_in():
    assert "s2s" not in SessionSettings().wire("s", "m", 1)
    after = updated({"s2s": {"version": 1, "events": ["metrics", "nonsense", "words", "metrics"]}})
    assert after.wire("s", "m", 1)["s2s"] == {"version": 1, "events": ["metrics", "words"]}


def test_s2s_null_switches_it_off():
    after = updated({"s2s": None}, updated(FULL))
    assert after.s2s is None
    assert "s2s" not in after.wire("s", "m", 1)


def test_s2s_keeps_its_events_when_only_the_version_comes():
    assert updated({"s2s": {"version": 1}}, updated(FULL)).s2s == S2s(1, ("input_transcript", "metrics"))


# --------------------------------------------------------------------------------------------------------- beta


def test_beta_keys_are_accepted():
    after = updated(
        {
            "modalities": ["text", "audio"],
            "voice": "alloy",
            "input_audio_format": "g711_ulaw",
            "output_audio_format": "pcm16",
            "input_audio_transcription": {"model": "whisper-1"},
            "input_audio_noise_reduction": {"type": "near_field"},
            "turn_detection": None,
            "max_response_output_tokens": 77,
            "temperature": 0.8,
            "speed": 1.1,
        }
    )
    assert after == SessionSettings(
        voice="alloy",
        input_format=AudioFormat("pcmu", 8000),
        transcription={"model": "whisper-1", "language": None, "prompt": None},
        noise_reduction={"type": "near_field"},
        turn_detection=None,
        max_output_tokens=77,
        speed=1.1,
    )


def test_ga_key_wins_over_the_beta_key():
    after = updated(
        {"modalities": ["audio"], "output_modalities": ["text"], "voice": "x", **audio_output(voice="alloy")}
    )
    assert (after.output_modality, after.voice) == ("text", "alloy")
    assert (
        updated({"turn_detection": {"type": "server_vad"}, **audio_input(turn_detection=None)}).turn_detection is None
    )


def test_errors_name_the_key_the_client_used():
    assert refusal({"voice": "nobody"}).param == "session.voice"
    assert refusal({"input_audio_format": "mp3"}).param == "session.input_audio_format"


# ------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("patch", "code", "param"),
    [
        ({"type": "transcription"}, "invalid_value", "type"),
        ({"type": 5}, "invalid_type", "type"),
        ({"output_modalities": ["video"]}, "invalid_value", "output_modalities[0]"),
        ({"output_modalities": []}, "invalid_value", "output_modalities"),
        ({"output_modalities": "audio"}, "invalid_type", "output_modalities"),
        ({"instructions": 5}, "invalid_type", "instructions"),
        ({"instructions": "é" * 450_000}, "invalid_value", ""),
        ({"tools": [{"type": "mcp", "server_label": "x"}]}, "invalid_value", "tools[0].type"),
        ({"tools": [TOOL, {"type": "function"}]}, "missing_required_parameter", "tools[1].name"),
        ({"tools": [{**TOOL, "parameters": "x"}]}, "invalid_type", "tools[0].parameters"),
        ({"tools": {}}, "invalid_type", "tools"),
        ({"tool_choice": "any"}, "invalid_value", "tool_choice"),
        ({"tool_choice": {"type": "mcp", "server_label": "x"}}, "invalid_value", "tool_choice.type"),
        ({"tool_choice": {"type": "function"}}, "missing_required_parameter", "tool_choice.name"),
        ({"max_output_tokens": 0}, "invalid_value", "max_output_tokens"),
        ({"max_output_tokens": 4097}, "invalid_value", "max_output_tokens"),
        ({"max_output_tokens": "many"}, "invalid_value", "max_output_tokens"),
        ({"max_output_tokens": True}, "invalid_type", "max_output_tokens"),
        ({"max_output_tokens": 1.5}, "invalid_type", "max_output_tokens"),
        ({"audio": []}, "invalid_type", "audio"),
        ({"audio": {"input": "x"}}, "invalid_type", "audio.input"),
        (audio_input(format={"type": "audio/pcm", "rate": 11025}), "invalid_value", "audio.input.format.rate"),
        (audio_input(format={"type": "audio/pcm", "rate": "24000"}), "invalid_type", "audio.input.format.rate"),
        (audio_input(format={"type": "audio/opus"}), "invalid_value", "audio.input.format.type"),
        (audio_input(format=5), "invalid_type", "audio.input.format"),
        (audio_input(transcription={}), "missing_required_parameter", "audio.input.transcription.model"),
        (audio_input(transcription={"model": 5}), "invalid_type", "audio.input.transcription.model"),
        (audio_input(noise_reduction={"type": "x"}), "invalid_value", "audio.input.noise_reduction.type"),
        (audio_input(noise_reduction={}), "missing_required_parameter", "audio.input.noise_reduction.type"),
        (turn_detection(type="none"), "invalid_value", "audio.input.turn_detection.type"),
        (turn_detection(threshold=1.1), "invalid_value", "audio.input.turn_detection.threshold"),
        (turn_detection(threshold="0.5"), "invalid_type", "audio.input.turn_detection.threshold"),
        (turn_detection(prefix_padding_ms=-1), "invalid_value", "audio.input.turn_detection.prefix_padding_ms"),
        (turn_detection(silence_duration_ms=1e9), "invalid_value", "audio.input.turn_detection.silence_duration_ms"),
        (turn_detection(idle_timeout_ms=4999), "invalid_value", "audio.input.turn_detection.idle_timeout_ms"),
        (turn_detection(eagerness="max"), "invalid_value", "audio.input.turn_detection.eagerness"),
        (turn_detection(create_response="yes"), "invalid_type", "audio.input.turn_detection.create_response"),
        (audio_output(voice=5), "invalid_type", "audio.output.voice"),
        (audio_output(voice={}), "missing_required_parameter", "audio.output.voice.id"),
        (audio_output(speed=0.2), "invalid_value", "audio.output.speed"),
        (audio_output(speed=1.6), "invalid_value", "audio.output.speed"),
        ({"tracing": "on"}, "invalid_value", "tracing"),
        ({"truncation": 5}, "invalid_type", "truncation"),
        ({"include": "x"}, "invalid_type", "include"),
        ({"parallel_tool_calls": 1}, "invalid_type", "parallel_tool_calls"),
        ({"s2s": True}, "invalid_type", "s2s"),
        ({"s2s": {"events": []}}, "missing_required_parameter", "s2s.version"),
        ({"s2s": {"version": 2}}, "invalid_value", "s2s.version"),
        ({"s2s": {"version": 1, "events": [5]}}, "invalid_type", "s2s.events[0]"),
    ],
)
def test_refused(patch: dict[str, Any], code: str, param: str):
    error = refusal(patch)
    assert (error.code, error.param) == (code, f"session.{param}".rstrip("."))


def test_message_names_key_value_and_what_is_allowed():
    message = refusal(audio_input(format={"type": "audio/pcm", "rate": 11025})).message
    assert message == "session.audio.input.format.rate must be 24000, 8000, 16000 or 48000, got 11025"
    message = refusal({"max_output_tokens": 5000}).message
    assert message == 'session.max_output_tokens must be 1 to 4096 or "inf", got 5000'


# ------------------------------------------------------------------------------------------------------ responses


def plan(raw: dict[str, Any] | None, session: SessionSettings | None = None):
    return ResponseOptions.parse(raw).resolve(session or SessionSettings(), VOICES.get)


def response_refusal(raw: Any, session: SessionSettings | None = None) -> ProtocolError:
    with pytest.raises(ProtocolError) as caught:
        plan(raw, session)
    return caught.value


def test_response_without_options_is_the_session():
    session = updated(FULL)
    for raw in (None, {}, {"instructions": None, "audio": None, "tools": None, "conversation": None}):
        made = plan(raw, session)
        assert (made.instructions, made.modality, made.max_output_tokens) == ("Be brief.", "text", 100)
        assert (made.voice, made.voice_name, made.speed) == ("en", "alloy", 1.25)
        assert (made.tools, made.tool_choice) == (session.tools, "weather")
        assert made.output_format == AudioFormat("pcma", 8000)
        assert (made.metadata, made.out_of_band, made.input) == (None, False, None)


def test_response_overrides():
    made = plan(
        {
            "instructions": "",
            "output_modalities": ["audio"],
            "audio": {"output": {"voice": "other", "format": {"type": "audio/pcm", "rate": 24000}, "speed": 0.5}},
            "tools": [{"type": "function", "name": "f"}],
            "tool_choice": {"type": "function", "name": "f"},
            "max_output_tokens": "inf",
            "metadata": {"a": "b"},
            "conversation": "none",
            "input": [],
        },
        updated(FULL),
    )
    assert (made.instructions, made.modality, made.max_output_tokens) == ("", "audio", None)
    assert (made.voice, made.voice_name, made.speed, made.output_format) == ("zh", "other", 0.5, AudioFormat())
    assert (made.tools, made.tool_choice) == ((FunctionTool("f"),), "f")
    assert (made.metadata, made.out_of_band, made.input) == ({"a": "b"}, True, ())


def test_response_beta_keys():
    raw = {
        "modalities": ["text"],
        "voice": "other",
        "output_audio_format": "g711_ulaw",
        "max_response_output_tokens": 5,
    }
    made = plan({**raw, "temperature": 0.8})
    assert (made.modality, made.voice, made.output_format.encoding, made.max_output_tokens) == ("text", "zh", "pcmu", 5)


def test_response_input_mixes_items_and_references():
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
    made = plan({"input": [item, {"type": "item_reference", "id": "item_1"}]})
    assert made.input is not None
    assert made.input[1] == ItemReference("item_1")


def test_a_session_choice_of_a_tool_the_response_lacks_falls_back_to_auto():
    assert plan({"tools": []}, updated(FULL)).tool_choice == "auto"


def test_response_wire_validates_as_the_stock_type():
    wire = plan({"metadata": {"client_event_id": "1"}}).wire()
    assert wire == {
        "output_modalities": ["audio"],
        "max_output_tokens": "inf",
        "audio": {"output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "default"}},
        "metadata": {"client_event_id": "1"},
    }
    RealtimeResponse.model_validate_json(encode_event(wire), strict=True)


@pytest.mark.parametrize(
    ("raw", "code", "param"),
    [
        ({"audio": {"output": {"voice": "nobody"}}}, "invalid_value", "audio.output.voice"),
        ({"audio": {"output": {"format": "mp3"}}}, "invalid_value", "audio.output.format"),
        ({"output_modalities": []}, "invalid_value", "output_modalities"),
        ({"conversation": "other"}, "invalid_value", "conversation"),
        ({"metadata": {str(i): "x" for i in range(17)}}, "invalid_value", "metadata"),
        ({"metadata": {"x" * 65: "x"}}, "invalid_value", "metadata"),
        ({"metadata": {"a": "x" * 513}}, "invalid_value", "metadata.a"),
        ({"metadata": {"a": 5}}, "invalid_type", "metadata.a"),
        ({"metadata": []}, "invalid_type", "metadata"),
        ({"tool_choice": {"type": "function", "name": "f"}}, "invalid_value", "tool_choice.name"),
        ({"max_output_tokens": 0}, "invalid_value", "max_output_tokens"),
        ({"input": {}}, "invalid_type", "input"),
        ({"input": [{"type": "item_reference"}]}, "missing_required_parameter", "input[0].id"),
        ({"input": [{"type": "message", "role": "x", "content": []}]}, "invalid_value", "input[0].role"),
    ],
)
def test_response_refused(raw: dict[str, Any], code: str, param: str):
    error = response_refusal(raw)
    assert (error.code, error.param) == (code, f"response.{param}")
