"""Server events renamed for clients of the beta protocol, as the last step before the wire."""

from __future__ import annotations

from typing import Any

from talkover.realtime.fields import JsonObject

_STREAMS = {
    "response.output_audio_transcript.": "response.audio_transcript.",
    "response.output_audio.": "response.audio.",
    "response.output_text.": "response.text.",
}
_DROPPED = "conversation.item.done"
_CONTENT_TYPES = {"output_text": "text", "output_audio": "audio"}
_MODALITIES = {"audio": ["text", "audio"], "text": ["text"]}
_FORMATS = {"audio/pcm": "pcm16", "audio/pcmu": "g711_ulaw", "audio/pcma": "g711_alaw"}


def to_beta(event: JsonObject) -> JsonObject | None:
    """The event in beta shape, leaving the given one as it is; None: the beta protocol has no such event."""
    if event["type"] == _DROPPED:
        return None
    renamed = event | {"type": _event_type(event["type"])}
    for key, rename in (("item", _item), ("response", _response), ("session", _session)):
        if key in event:
            renamed[key] = rename(event[key])
    return renamed


def _event_type(name: str) -> str:
    if name == "conversation.item.added":
        return "conversation.item.created"
    for prefix, beta_prefix in _STREAMS.items():
        if name.startswith(prefix):
            return beta_prefix + name.removeprefix(prefix)
    return name


def _item(item: JsonObject) -> JsonObject:
    if "content" not in item:
        return item
    parts: list[JsonObject] = item["content"]
    return item | {"content": [part | {"type": _CONTENT_TYPES.get(part["type"], part["type"])} for part in parts]}


def _response(response: JsonObject) -> JsonObject:
    output: JsonObject = response["audio"]["output"]
    kept = _without(response, "audio", "output_modalities")
    return kept | {
        "output": [_item(item) for item in response["output"]],
        "modalities": _modalities(response),
        "voice": output["voice"],
        "output_audio_format": _FORMATS[output["format"]["type"]],
    }


def _session(session: JsonObject) -> JsonObject:
    source: JsonObject = session["audio"]["input"]
    output: JsonObject = session["audio"]["output"]
    kept = _without(session, "type", "audio", "output_modalities", "max_output_tokens")
    return kept | {
        "modalities": _modalities(session),
        "voice": output["voice"],
        "speed": output["speed"],
        "input_audio_format": _FORMATS[source["format"]["type"]],
        "output_audio_format": _FORMATS[output["format"]["type"]],
        "input_audio_transcription": source["transcription"],
        "input_audio_noise_reduction": source["noise_reduction"],
        "turn_detection": source["turn_detection"],
        "max_response_output_tokens": session["max_output_tokens"],
    }


def _modalities(settings: JsonObject) -> list[str]:
    """The beta protocol counted an audio answer's transcript as text."""
    return _MODALITIES[settings["output_modalities"][0]]


def _without(wire: JsonObject, *keys: str) -> dict[str, Any]:
    return {key: value for key, value in wire.items() if key not in keys}
