"""A language model at a desk: it knows the opening hours, and what it must never say is held back before it sounds."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from talkover.agent.opening_hours import OpeningHours, opening_hours, state_sentence
from talkover.agent.say_rules import SayFilter, SayRules, say_rules
from talkover.config import ConfigError
from talkover.engines import IsStale, LlmCall, LlmEngine, LlmEvent, LlmFinished, LlmText, answers_from_documents
from talkover.messages import Prompt
from talkover.sections.agent import AgentSettings

log = logging.getLogger(__name__)


class DeskResponder:
    """Any engine, with the rules of the desk around it. Shared by all sessions; has no state of its own."""

    def __init__(
        self, engine: LlmEngine, rules: SayRules, hours: OpeningHours | None, now: Callable[[], datetime]
    ) -> None:
        """`now` tells the time where the desk is."""
        self.name = engine.name
        self.answers_from_documents = answers_from_documents(engine)
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


def at_desk(engine: LlmEngine, agent: AgentSettings) -> LlmEngine:
    """`engine` with the rules and hours of the configuration; itself where there are none. Raises ConfigError."""
    rules = say_rules(agent.never_say, agent.never_match, agent.instead)
    hours = configured_hours(agent)
    if not rules.patterns and hours is None:
        return engine
    return DeskResponder(engine, rules, hours, desk_clock(agent))


def configured_hours(agent: AgentSettings) -> OpeningHours | None:
    """None where no hours are configured. Raises ConfigError."""
    if not agent.opening_hours:
        return None
    try:
        return opening_hours({str(day): spans for day, spans in agent.opening_hours.items()}, agent.closed_on)
    except ValueError as error:
        raise ConfigError([f"agent.opening_hours.{error}"]) from error


def desk_clock(agent: AgentSettings) -> Callable[[], datetime]:
    """Tells the time where the desk is."""
    zone = None if agent.timezone is None else ZoneInfo(agent.timezone)
    return lambda: datetime.now(zone) if zone is not None else datetime.now().astimezone()
