"""Documents in a conversation over the real socket: what the model, the client and the history get to see of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fakes import ScriptedAsr, ScriptedLlm, fake_engines
from live import InProcessServer
from recordings import silence, tone
from shelf import Shelf, passage
from talkover.engines import Engines, Hypothesis
from talkover.messages import PromptMessage, Source
from wire import WireClient

HOURS = Source("h", "Opening hours", "hours.md", "We are open ...", 1.0, "We are open from nine to six.", "Weekdays")
PRICES = passage("Prices", "An espresso costs 2.50.")
Serve = Callable[..., InProcessServer]


def engines_with(shelf: Shelf, llm: ScriptedLlm, asr: ScriptedAsr | None = None) -> Engines:
    return replace(fake_engines(asr, llm), retriever=shelf)


@pytest.fixture
def llm() -> ScriptedLlm:
    return ScriptedLlm("From nine to six.", "It costs 2.50.")


def test_each_question_has_its_own_passages_and_the_history_has_none(serve: Serve, llm: ScriptedLlm) -> None:
    server = serve(engines_with(Shelf({"open": HOURS, "espresso": PRICES}), llm), "knowledge.only=true")
    with WireClient(server.ws_url) as client:
        client.update(output_modalities=["text"])
        for question in ("When are you open?", "What does an espresso cost?"):
            client.ask(question)
            client.until("response.done")
        first, second = llm.prompts
        assert (first.passages, second.passages) == ((HOURS,), (PRICES,))
        assert first.only_documents
        assert second.messages == (
            PromptMessage("user", "When are you open?"),
            PromptMessage("assistant", "From nine to six."),
            PromptMessage("user", "What does an espresso cost?"),
        )
        items = [event["item"] for event in client.of("conversation.item.done")]
        assert not any("We are open from" in str(item) for item in items)
        assert not [kind for kind in client.types() if kind.startswith("s2s.")]


def test_the_page_is_told_which_passages_an_answer_drew_on(serve: Serve, llm: ScriptedLlm) -> None:
    server = serve(engines_with(Shelf({"open": HOURS, "are": PRICES}), llm))
    with WireClient(server.ws_url, check=False) as client:
        client.update(s2s={"version": 1, "events": ["sources"]}, output_modalities=["text"])
        client.ask("When are you open?")
        found = client.until("s2s.response.sources")
        assert found["sources"] == [
            {
                "id": "h",
                "title": "Opening hours",
                "path": "hours.md",
                "snippet": "We are open ...",
                "score": 1.0,
                "heading": "Weekdays",
                "text": "We are open from nine to six.",
            }
        ]
        assert client.of("s2s.response.search_started")[0]["query"] == "When are you open?"


class PartialAsr(ScriptedAsr):
    """Hears stable words while they are spoken."""

    def stream(self, language: str | None = None, hint: str = "") -> Any:
        stream = super().stream(language, hint)
        text = str(self.texts[0]) if self.texts else ""
        stream.feed = lambda samples: Hypothesis(text, text.rfind(" "))
        return stream


def test_what_is_asked_is_searched_for_while_it_is_asked(serve: Serve, llm: ScriptedLlm) -> None:
    shelf = Shelf({"opening": HOURS})
    asr = PartialAsr("What are your opening hours on Sunday?")
    server = serve(engines_with(shelf, llm, asr))
    with WireClient(server.ws_url) as client:
        client.say(tone(1.0))
        assert shelf.searching.acquire(timeout=5)  # nothing was committed yet
        assert not client.of("input_audio_buffer.committed")
        assert shelf.questions == ["What are your opening hours on"]
        client.say(silence(1.2))
        client.until("response.done")
        assert shelf.questions == ["What are your opening hours on", "What are your opening hours on Sunday?"]
        assert llm.prompts[-1].passages == (HOURS,)


def test_a_retriever_that_hangs_holds_an_answer_up_for_no_longer_than_it_may(serve: Serve, llm: ScriptedLlm) -> None:
    shelf = Shelf({"open": HOURS}, is_shut=True)
    server = serve(engines_with(shelf, llm), "knowledge.timeout_ms=50")
    with WireClient(server.ws_url) as client:
        client.update(output_modalities=["text"])
        client.ask("When are you open?")
        assert client.until("response.done")["response"]["status"] == "completed"
        assert llm.prompts[0].passages == ()
