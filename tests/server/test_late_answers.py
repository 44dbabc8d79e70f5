"""An answer that is late, over the socket: the wait is bridged on time, and the answer follows what bridged it."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator

import numpy as np

from fakes import ScriptedAsr, ScriptedLlm, ToneTts, fake_engines
from recordings import silence, tone
from talkover.engines import IsStale, LlmEvent, LlmFinished, LlmText
from talkover.messages import Prompt
from wire import WireClient, check_order

FILLER = "Let me see."
ANSWER = "It is four."
MS_PER_CHAR = 40.0


class LateLlm(ScriptedLlm):
    """Answers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = threading.Event()

    def respond(self, prompt: Prompt, is_stale: IsStale) -> Iterator[LlmEvent]:
        assert self.may_answer.wait(10)
        if not is_stale():
            yield LlmText(ANSWER)
            yield LlmFinished()


def test_a_filler_is_heard_when_the_answer_is_late_and_the_answer_follows_it(serve):
    llm = LateLlm()
    engines = fake_engines(ScriptedAsr("what is two and two"), llm, ToneTts(ms_per_char=MS_PER_CHAR))
    with WireClient(serve(engines, "manners.filler_after_ms=700").ws_url) as client:
        client.say_live(np.concatenate([silence(0.3), tone(0.6), silence(0.7)]))
        client.nth("input_audio_buffer.committed")
        client.nth("response.output_audio.delta")
        llm.may_answer.set()
        done = client.until("response.done")["response"]
        late_s = arrival_s(client, "response.output_audio.delta") - arrival_s(client, "input_audio_buffer.committed")
    assert 0.65 < late_s < 1.3
    assert done["status"] == "completed"
    assert [item["content"][0]["transcript"] for item in done["output"]] == [f"{FILLER} {ANSWER}"]
    # one stream, one after the other: as long as both together, and no sample of either is missing
    deltas = [base64.b64decode(event["delta"]) for event in client.of("response.output_audio.delta")]
    duration_ms = sum(map(len, deltas)) / 48
    assert abs(duration_ms - (len(FILLER) + len(ANSWER)) * MS_PER_CHAR) < 5
    transcripts = [event["delta"].strip() for event in client.of("response.output_audio_transcript.delta")]
    assert transcripts == [FILLER, ANSWER]
    check_order(client.events)


def arrival_s(client: WireClient, event_type: str) -> float:
    """When the first event of a type was read."""
    return client.arrived_s[client.types().index(event_type)]
