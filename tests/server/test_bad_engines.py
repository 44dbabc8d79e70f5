"""Engines that raise, hang or send garbage: that turn fails with a clear word, the session listens on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from fakes import FakeEngine, ScriptedAsr, ScriptedAsrStream, ScriptedLlm, ToneTts, fake_engines
from live import InProcessServer, eventually
from recordings import silence, tone
from talkover.engines import EngineFailed, Engines, Hypothesis, IsStale, LlmCall, LlmEvent, LlmFinished, LlmText
from talkover.messages import Prompt, Samples
from wire import WireClient

SHORT = ("llm.first_token_timeout_s=0.1", "asr.timeout_s=0.1")
"""the watchdogs add 5 s and 2 s"""
FAIL = "please fail"


class Moody(ScriptedLlm):
    """Does `deed` when asked to fail, and answers everybody else."""

    def __init__(self, deed: list[Any]) -> None:
        super().__init__()
        self.deed = deed

    def respond(self, prompt: Prompt, is_stale: IsStale) -> Iterator[LlmEvent]:
        if FAIL not in prompt.messages[-1].text:
            yield from super().respond(prompt, is_stale)
            return
        for event in self.deed:
            if isinstance(event, BaseException):
                raise event
            yield event


class Stuck:
    """A call that does not return, whatever it is told, until the test is over."""

    def __init__(self) -> None:
        self.calls = 0
        self.release = threading.Event()

    def __call__(self) -> None:
        self.calls += 1
        self.release.wait(60)


@contextmanager
def undisturbed(server: InProcessServer) -> Iterator[None]:
    """Another session talks before, while and after something happens."""
    with WireClient(server.ws_url) as other:
        other.ask("Before?")
        assert other.until("response.done")["response"]["status"] == "completed"
        other.ask("While?")
        yield
        assert other.until("response.done")["response"]["status"] == "completed"
        other.ask("After?")
        assert other.until("response.done")["response"]["status"] == "completed"


def expect_failure(client: WireClient, code: str, timeout_s: float = 10) -> dict[str, Any]:
    """The next response ends as failed, and that is all: no error event, no closed connection."""
    response = client.until("response.done", timeout_s)["response"]
    assert response["status"] == "failed"
    assert response["status_details"]["error"]["code"] == code
    assert not client.of("error")
    return response


def speak(client: WireClient) -> None:
    client.say(tone(0.5))
    client.say(silence(1.2))  # all at once: the turn ends before its words are known, which takes longer


@pytest.mark.parametrize(
    "error", [RuntimeError("secret detail"), EngineFailed("the model refused"), ZeroDivisionError()]
)
def test_llm_that_raises_fails_the_response_and_the_next_one_goes_well(serve, error: Exception):
    server = serve(fake_engines(llm=Moody([error])))
    with undisturbed(server), WireClient(server.ws_url) as client:
        client.ask(FAIL)
        response = expect_failure(client, "llm_error")
        told = response["status_details"]["error"]["message"]
        assert "secret" not in told
        if isinstance(error, EngineFailed):
            assert "the model refused" in told
        client.ask("And now?")
        assert client.until("response.done")["response"]["status"] == "completed"


def test_llm_that_raises_in_the_middle_closes_what_was_open(serve):
    server = serve(fake_engines(llm=Moody([LlmText("The answer to that is. "), EngineFailed("gone")])))
    with WireClient(server.ws_url) as client:
        client.ask(FAIL)
        expect_failure(client, "llm_error")
        opened = client.of("response.output_item.added")
        closed = client.of("response.output_item.done")
        assert [event["item"]["id"] for event in opened] == [event["item"]["id"] for event in closed]
        assert all(event["item"]["status"] == "incomplete" for event in closed)


GARBAGE: dict[str, list[Any]] = {
    "nothing": [],
    "only empty deltas": [LlmText(""), LlmText(""), LlmFinished()],
    "only white space": [LlmText(" \n\t \u200b"), LlmFinished()],
    "only punctuation": [LlmText("... --- !!! ***"), LlmFinished()],
    "control characters": [LlmText("\x00\x01\x1b[31mred\x7f\ufffe"), LlmFinished()],
    "half a surrogate pair": [LlmText("smile \ud83d"), LlmText("\ude00 again"), LlmFinished()],
    "a word without end": [LlmText("a" * 3000), LlmFinished()],
    "no finish": [LlmText("It just ends.")],
    "text after the finish": [LlmText("One."), LlmFinished(), LlmText(" Two."), LlmFinished()],
    "unknown finish reason": [LlmText("Fine."), LlmFinished("because")],
    "a call without a name": [LlmCall(0, "", "{}"), LlmFinished("tool_calls")],
    "a call of a function nobody has": [LlmCall(0, "launch", "{}"), LlmFinished("tool_calls")],
    "a call with broken arguments": [LlmCall(0, "f", '{"a": '), LlmFinished("tool_calls")],
    "calls with gaps": [LlmCall(7, "f", "{}"), LlmCall(3, "g", "{}"), LlmFinished("tool_calls")],
    "something that is no event": [object(), LlmText("Hi."), LlmFinished()],
    "None": [None],
    "text that is no text": [LlmText(5), LlmFinished()],  # pyright: ignore[reportArgumentType]
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
@pytest.mark.parametrize("modality", ["audio", "text"])
def test_llm_that_sends_garbage_ends_its_response_once_and_the_session_goes_on(
    serve, garbage: list[Any], modality: str
):
    server = serve(fake_engines(llm=Moody(garbage), tts=ToneTts(ms_per_char=1)))
    with WireClient(server.ws_url) as client:
        tools = [{"type": "function", "name": name} for name in ("f", "g")]
        client.update(output_modalities=[modality], tools=tools)
        client.ask(FAIL)
        status = client.until("response.done")["response"]["status"]
        assert status in ("completed", "failed", "incomplete")
        client.ask("And now?")
        assert client.until("response.done")["response"]["status"] == "completed"
        assert len(client.of("response.done")) == len(client.of("response.created")) == 2
        assert not client.of("error")


def test_emoji_cut_in_two_by_the_stream_arrives_whole(serve):
    server = serve(fake_engines(llm=ScriptedLlm([LlmText("smile \ud83d"), LlmText("\ude00 \ud83d"), LlmFinished()])))
    with WireClient(server.ws_url) as client:
        client.update(output_modalities=["text"])
        client.ask("Smile.")
        assert client.until("response.output_text.done")["text"] == "smile \U0001f600 \ufffd"


def test_llm_that_hangs_is_given_up_and_the_session_answers_again(serve):
    stuck = Stuck()

    class Hanging(ScriptedLlm):
        def respond(self, prompt: Prompt, is_stale: IsStale) -> Iterator[LlmEvent]:
            if FAIL in prompt.messages[-1].text:
                stuck()
            yield from super().respond(prompt, is_stale)

    server = serve(fake_engines(llm=Hanging()), *SHORT)
    try:
        with undisturbed(server), WireClient(server.ws_url) as client:
            client.ask(FAIL)
            expect_failure(client, "internal_error")
            client.ask("And now?")
            assert client.until("response.done")["response"]["status"] == "completed"
    finally:
        stuck.release.set()
    assert stuck.calls == 1


def test_client_that_leaves_while_an_engine_hangs_gets_its_seat_freed(serve):
    stuck = Stuck()

    class Hanging(ScriptedLlm):
        def respond(self, prompt: Prompt, is_stale: IsStale) -> Iterator[LlmEvent]:
            stuck()
            yield from super().respond(prompt, is_stale)

    server = serve(fake_engines(llm=Hanging()), "server.max_sessions=1")
    try:
        with WireClient(server.ws_url) as client:
            client.ask("Hello?")
            assert eventually(lambda: stuck.calls == 1)
        assert eventually(lambda: server.realtime.active_sessions == 0, 20)
    finally:
        stuck.release.set()


@pytest.mark.parametrize("error", [RuntimeError("broken"), EngineFailed("too noisy")])
def test_asr_that_raises_is_told_apologised_for_and_survived(serve, error: Exception):
    server = serve(fake_engines(ScriptedAsr(error, "What is Talkover?")))
    with WireClient(server.ws_url) as client:
        client.update(audio={"input": {"transcription": {"model": "whisper-1"}}})
        speak(client)
        failed = client.until("conversation.item.input_audio_transcription.failed")
        assert failed["error"]["message"]
        assert "broken" not in failed["error"]["message"]
        done = client.until("response.done")["response"]
        assert done["status"] == "completed"
        assert "could not hear" in client.transcript(done["id"])
        speak(client)
        completed = client.until("conversation.item.input_audio_transcription.completed")
        assert completed["transcript"] == "What is Talkover?"
        assert client.until("response.done")["response"]["status"] in ("completed", "cancelled")
        assert not client.of("error")


def test_asr_that_hangs_is_given_up_and_a_new_one_takes_over(serve):
    stuck = Stuck()

    class HangingStream(ScriptedAsrStream):
        def finish(self, is_stale: IsStale) -> Hypothesis:
            hypothesis = super().finish(is_stale)
            if hypothesis.text == FAIL:
                stuck()
            return hypothesis

    class Hanging(ScriptedAsr):
        def stream(self, language: str | None = None, hint: str = "") -> ScriptedAsrStream:
            self.open_streams += 1
            return HangingStream(self)

    server = serve(fake_engines(Hanging(FAIL, "What is Talkover?")), *SHORT)
    try:
        with WireClient(server.ws_url) as client:
            client.update(audio={"input": {"transcription": {"model": "whisper-1"}}})
            speak(client)
            client.until("conversation.item.input_audio_transcription.failed")
            assert client.until("response.done")["response"]["status"] == "completed"
            speak(client)
            completed = client.until("conversation.item.input_audio_transcription.completed")
            assert completed["transcript"] == "What is Talkover?"
    finally:
        stuck.release.set()


def test_asr_that_hears_nothing_is_not_answered(serve):
    server = serve(fake_engines(ScriptedAsr("", "Hello?")))
    with WireClient(server.ws_url) as client:
        speak(client)
        client.until("input_audio_buffer.committed")
        client.read_for(0.3)
        assert not client.of("response.created")
        speak(client)
        assert client.until("response.done")["response"]["status"] == "completed"


class MoodyTts(ToneTts):
    """Fails for one text."""

    def __init__(self, deed: Any) -> None:
        super().__init__()
        self.deed = deed

    def synthesize(self, text: str, settings: Any, is_stale: IsStale) -> Iterator[Any]:
        if FAIL not in text:
            yield from super().synthesize(text, settings, is_stale)
        elif isinstance(self.deed, Exception):
            raise self.deed
        else:
            self.deed()


@pytest.mark.parametrize("error", [RuntimeError("broken"), EngineFailed("no voice"), ValueError("no such voice")])
def test_tts_that_raises_fails_the_response_and_the_next_one_goes_well(serve, error: Exception):
    llm = ScriptedLlm(f"Well, {FAIL}.", "That went well.")
    server = serve(fake_engines(llm=llm, tts=MoodyTts(error)))
    with WireClient(server.ws_url) as client:
        client.ask("Speak.")
        expect_failure(client, "tts_error")
        client.ask("Again.")
        assert client.until("response.done")["response"]["status"] == "completed"
        assert client.audio()


def test_tts_that_hangs_is_given_up(serve):
    stuck = Stuck()
    llm = ScriptedLlm(f"Well, {FAIL}.", "That went well.")
    server = serve(fake_engines(llm=llm, tts=MoodyTts(stuck)), *SHORT)
    try:
        with WireClient(server.ws_url) as client:
            client.ask("Speak.")
            expect_failure(client, "internal_error")
            client.ask("Again.")
            assert client.until("response.done")["response"]["status"] == "completed"
    finally:
        stuck.release.set()


class BrokenVad(FakeEngine):
    """Breaks at every loud frame, and when it is to begin anew."""

    def stream(self) -> BrokenVad:
        return self

    def speech_probability(self, frame: Samples) -> float:
        if abs(frame).max() > 0.1:
            raise RuntimeError("broken")
        return 0.0

    def reset(self) -> None:
        raise RuntimeError("broken")


def test_voice_detector_that_breaks_gives_way_to_loudness(serve):
    engines = fake_engines(ScriptedAsr("What is Talkover?"))
    server = serve(Engines(BrokenVad(), engines.asr, engines.llm, engines.tts))
    with WireClient(server.ws_url) as client:
        speak(client)
        assert client.until("response.done")["response"]["status"] == "completed"


def test_session_whose_core_breaks_is_closed_with_1011_and_frees_its_seat(serve):
    engines = fake_engines()
    server = serve(Engines(BrokenVad(), engines.asr, engines.llm, engines.tts))
    with undisturbed(server), WireClient(server.ws_url) as client:
        with suppress(ConnectionClosed):
            client.update(audio={"input": {"turn_detection": None}})
            client.update(audio={"input": {"turn_detection": {"type": "server_vad"}}})
        assert client.closed() == (1011, "internal error")
    assert eventually(lambda: server.realtime.active_sessions == 0)
