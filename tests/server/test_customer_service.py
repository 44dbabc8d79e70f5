"""`configs/customer_service.toml` as it ships, with the embedded engines: the conversation of the README, by voice."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest

from live import ROOT, ServerProcess
from recordings import silence, speech
from talkover.audio import OUTPUT_RATE_HZ
from wire import WireClient

ALWAYS_OPEN = (
    "agent.opening_hours={"
    + ", ".join(f'{day} = ["00:00-24:00"]' for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun"))
    + "}"
)
"""what the clock says must not decide the test"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    log = tmp_path_factory.mktemp("desk") / "server.log"
    with ServerProcess(log, ["server.port=0", ALWAYS_OPEN], ROOT / "configs" / "customer_service.toml") as server:
        yield server


@pytest.fixture
def caller(desk: ServerProcess) -> Iterator[Caller]:
    with WireClient(desk.ws_url, check=False) as client:
        yield Caller(client)


class Caller:
    """Somebody on the telephone, who lets the agent finish."""

    def __init__(self, client: WireClient) -> None:
        self.client = client
        self._answers = 0
        client.update(s2s={"version": 1, "events": ["call", "sources"]})

    def hear(self) -> str:
        """The next words of the agent, to their end; a response may also be a call of a tool, without words."""
        while True:
            self._answers += 1
            done = self.client.nth("response.done", self._answers, 60)["response"]
            if self.client.transcript(done["id"]):
                break
        first_s = next(
            at_s
            for event, at_s in zip(self.client.events, self.client.arrived_s, strict=True)
            if event["type"] == "response.output_audio.delta" and event["response_id"] == done["id"]
        )
        duration_s = len(self.client.audio(done["id"])) / 2 / OUTPUT_RATE_HZ
        self.client.read_for(first_s + duration_s + 0.3 - time.monotonic())
        return self.client.transcript(done["id"]).strip()

    def say(self, recording: str) -> str:
        """Speak, and hear the answer."""
        self.client.say(np.concatenate([speech(recording), silence(1.2)]))
        return self.hear()


def test_the_conversation_of_the_readme(caller: Caller) -> None:
    assert caller.hear() == "Good day, this is the telephone desk of Birch and Lamp. How can I help you?"

    assert "within thirty days" in caller.say("desk/send_back_slt")
    sources = caller.client.of("s2s.response.sources")[-1]["sources"]
    assert sources[0]["path"] == "returns.md"

    assert caller.say("desk/person_slt") == "One moment, I'm connecting you with a colleague."
    handover = caller.client.nth("s2s.handover")
    assert [line["role"] for line in handover["said"]] == ["assistant", *["user", "assistant"] * 2]
    assert "within thirty days" in handover["said"][2]["text"]

    assert caller.say("goodbye_kal16") == "Thank you for calling Birch and Lamp. Goodbye."
    assert caller.client.closed() == (1000, "call ended")
    assert caller.client.of("s2s.call.ended")


def test_a_caller_who_asks_for_what_the_documents_do_not_hold_is_told_so(caller: Caller) -> None:
    caller.hear()
    answer = caller.say("football_kal16")
    assert not caller.client.of("s2s.response.sources")
    assert "lamp" not in answer.lower() or "don't" in answer.lower(), answer


def test_a_stock_client_is_served_without_a_foreign_event(desk: ServerProcess) -> None:
    with WireClient(desk.ws_url) as client:
        client.ask("Goodbye.")
        client.closed(20)
        assert not [kind for kind in client.types() if kind.startswith("s2s.")]
        assert client.transcript(client.of("response.done")[-1]["response"]["id"]).strip().startswith("Thank you for")
