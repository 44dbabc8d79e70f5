"""The language model's endpoint that misbehaves, and what the engine makes of it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fakes import never
from talkover.chaos.endpoint import ANSWER, ChaosEndpoint, EndpointFault
from talkover.chaos.plan import VICTIM
from talkover.config import load_settings
from talkover.engines import EngineFailed, LlmText
from talkover.llm.openai_api import OpenAiResponder, endpoint_from
from talkover.messages import Prompt, PromptMessage

MINE = Prompt(VICTIM, (PromptMessage("user", "Hello?"),))
SOMEBODY_ELSES = Prompt("Be brief.", (PromptMessage("user", "Hello?"),))


@contextmanager
def asking(fault: EndpointFault, *overrides: str) -> Iterator[OpenAiResponder]:
    with ChaosEndpoint(fault) as endpoint:
        endpoint.turn(True)
        settings = load_settings(None, (f"llm.base_url={endpoint.base_url}", "llm.model=chaos", *overrides), {}).llm
        engine = OpenAiResponder(settings, endpoint_from(settings, {}))
        try:
            yield engine
        finally:
            engine.close()


def text(engine: OpenAiResponder, prompt: Prompt) -> str:
    return "".join(event.text for event in engine.respond(prompt, never) if isinstance(event, LlmText))


def test_a_refusal_that_is_soon_over_costs_the_pause_that_was_asked_for():
    with asking(EndpointFault("too_many_requests", times=1, retry_after_s=0.2)) as engine:
        started_s = time.monotonic()
        assert text(engine, MINE) == "".join(ANSWER)
        assert time.monotonic() - started_s >= 0.2


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (EndpointFault("too_many_requests", retry_after_s=30), "HTTP 429"),
        (EndpointFault("server_error"), "HTTP 500"),
        (EndpointFault("half_stream"), "the connection broke off"),
        (EndpointFault("trickle", every_s=0.05), "took longer than 3 s"),
        (EndpointFault("silent"), "no token within 2 s"),
        (EndpointFault("not_json"), "empty answer"),
        (EndpointFault("huge_line"), "a line of more than 4000000 characters"),
        (EndpointFault("reset"), "cannot be reached"),
    ],
    ids=lambda value: value.deed if isinstance(value, EndpointFault) else "",
)
def test_an_endpoint_out_of_order_is_an_engine_that_failed_in_time_and_others_are_answered(
    fault: EndpointFault, says: str
):
    waits = ("llm.timeout_s=3", "llm.first_token_timeout_s=2") if fault.deed in ("trickle", "silent") else ()
    with asking(fault, *waits, "llm.max_retries=1") as engine:
        with pytest.raises(EngineFailed) as failed:
            text(engine, MINE)
        assert re.search(says, str(failed.value))
        assert text(engine, SOMEBODY_ELSES) == "".join(ANSWER)
