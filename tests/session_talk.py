"""What tests of a session say to it, and what a spoken turn looks like on the wire."""

from __future__ import annotations

from fakes import Driver, ScriptedAsr, ScriptedLlm, ToneTts, fake_engines, session_options

SPOKEN_TURN = [
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
    "conversation.item.input_audio_transcription.completed",
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
]
DELTAS = (
    "response.output_audio.delta",
    "response.output_audio_transcript.delta",
    "conversation.item.input_audio_transcription.delta",
)


def driver(*heard: str | Exception, answers: tuple = (), **options: object) -> Driver:
    engines = fake_engines(ScriptedAsr(*heard), ScriptedLlm(*answers))
    return Driver(engines, session_options(**options))


def error_of(events: list[dict]) -> dict:
    assert [event["type"] for event in events] == ["error"], events
    return events[0]["error"]


def text_turn(session: Driver, text: str = "Hello?") -> list[dict]:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    before = len(session.events)
    session.send("conversation.item.create", item=item)
    session.send("response.create")
    session.run()
    return session.events[before:]


def speaking_session(**engine_options: object) -> Driver:
    """A session in the middle of a long answer."""
    story = "One two three four five six seven eight nine ten. " * 10
    engines = fake_engines(
        ScriptedAsr("Tell me a story", "Stop"), ScriptedLlm(story, "Fine."), ToneTts(**engine_options)
    )
    session = Driver(engines)
    session.say()
    return session
