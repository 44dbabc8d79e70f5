"""A language model at a desk: it knows the opening hours, and what it must never say is held back before it sounds."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime

from talkover.agent.opening_hours import OpeningHours, state_sentence
from talkover.agent.say_rules import SayFilter, SayRules
from talkover.engines import IsStale, LlmCall, LlmEngine, LlmEvent, LlmFinished, LlmText
from talkover.messages import Prompt

log = logging.getLogger(__name__)


class DeskResponder:
    """Any engine, with the rules of the desk around it. Shared by all sessions; has no state of its own."""

    def __init__(
        self, engine: LlmEngine, rules: SayRules, hours: OpeningHours | None, now: Callable[[], datetime]
    ) -> None:
        """`now` tells the time where the desk is."""
        self.name = engine.name
        self._engine = engine
        self._rules = rules
        self._hours = hours
        self._now = now

    def warmup(self) -> None:
        self._engine.warmup()

    def close(self) -> None:
        self._engine.close()

    def respond(self, prompt: Prompt, is_stale: IsStale) -> Iterator[LlmEvent]:
        """Stream the answer, clause by clause where there are rules. Raises EngineFailed."""
        if prompt.in_background:
            yield from self._engine.respond(prompt, is_stale)
            return
        if self._hours is not None:
            told = " ".join(filter(None, (prompt.circumstances, state_sentence(self._hours, self._now()))))
            prompt = replace(prompt, circumstances=told)
        events = self._engine.respond(prompt, is_stale)
        yield from self._checked(events) if self._rules.patterns else events

    def _checked(self, events: Iterator[LlmEvent]) -> Iterator[LlmEvent]:
        checked = SayFilter(self._rules)
        for event in events:
            match event:
                case LlmText(text):
                    free = checked.feed(text)
                case LlmCall() | LlmFinished():
                    free = checked.flush()
                case _:
                    free = ""
            if free:
                yield LlmText(free)
            if checked.broken is not None:
                log.info("agent: rule %d of what is never said ended an answer", checked.broken + 1)
                yield LlmFinished()
                return
            if not isinstance(event, LlmText):
                yield event
