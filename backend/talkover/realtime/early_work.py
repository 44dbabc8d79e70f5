"""What begins while the user still speaks, so that it is ready when the turn is over. No I/O.

Documents are looked up for stable words, the turn model is asked at a likely end, and the answer is prepared once the
words up to there are known. All of it is lost without a trace when the user goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from talkover.messages import PromptMessage, Transcript, VoiceQuestion
from talkover.realtime.actions import AskSpeakerModel, AskTurnModel, LookUp, Outbox
from talkover.realtime.answers import Answers
from talkover.realtime.conversation import Conversation, prompt_messages
from talkover.realtime.lookahead import Lookahead
from talkover.realtime.session_options import SessionOptions
from talkover.realtime.settings import ResponsePlan
from talkover.realtime.speculation import MAX_TRIES
from talkover.realtime.user_turns import UserTurn, UserTurns, prompt_message
from talkover.vad.lexical import looks_finished

WORTH_PREPARING = 0.3
"""how finished an utterance must look for its answer to be prepared"""
LEARNT_FROM_S = 1.5
"""audio of a turn, pre-roll included, that the caller's voice is learnt from"""
MAX_TURN_MESSAGES = 6
"""of the conversation that a turn model gets to see"""


class EarlyWork:
    """Of one session."""

    def __init__(
        self,
        options: SessionOptions,
        conversation: Conversation,
        turns: UserTurns,
        answers: Answers,
        outbox: Outbox,
        plan: Callable[[], ResponsePlan],
    ) -> None:
        """`plan` tells how the agent answers now."""
        self._options = options
        self._conversation = conversation
        self._turns = turns
        self._answers = answers
        self._outbox = outbox
        self._plan = plan
        self._lookahead = Lookahead()

    def words(self, transcript: Transcript, can_prepare: bool) -> None:
        """More of what the user says is known. `can_prepare`: nothing else is being answered or is due."""
        self._look_up(transcript)
        if transcript.final:
            self._ask_turn_model(reads=True)
            if can_prepare:
                self._prepare_answer(transcript)

    def sound(self) -> None:
        """More of the user's voice has been heard."""
        if self._options.knows_voices and (question := self._turns.voice_question()) is not None:
            self._outbox.act(AskSpeakerModel(question))

    def likely_end(self) -> None:
        """The user may be done."""
        self._ask_turn_model(reads=False)

    def turn_done(self, turn: UserTurn, text: str | None) -> None:
        """A turn of the user was understood: its voice is the caller's."""
        if text and self._options.knows_voices and not turn.over_agent and turn.audio_s >= LEARNT_FROM_S:
            self._outbox.act(AskSpeakerModel(VoiceQuestion(turn.item_id, np.concatenate(turn.audio), is_caller=True)))

    def _look_up(self, transcript: Transcript) -> None:
        """An engine without documents ignores it."""
        if self._conversation.get(transcript.item_id) is None:
            question = self._lookahead.hear(transcript, self._conversation.last_user_text())
            if question is not None:
                self._outbox.act(LookUp(question))

    def _ask_turn_model(self, reads: bool) -> None:
        """At once where it hears, with the words where it `reads`."""
        if self._options.turn_model != ("reads" if reads else "hears"):
            return
        question = self._turns.question()
        if question is not None:
            spoken = (one for one in prompt_messages(self._conversation.entries()) if isinstance(one, PromptMessage))
            messages = (*spoken, *question.messages)[-MAX_TURN_MESSAGES:]
            self._outbox.act(AskTurnModel(replace(question, messages=messages)))

    def _prepare_answer(self, transcript: Transcript) -> None:
        turn = self._turns.open
        if turn is None or not turn.answered_automatically or not self._turns.settings.answers_turns:
            return
        if turn.speculations >= MAX_TRIES or looks_finished(transcript.text) < WORTH_PREPARING or not transcript.text:
            return
        turn.speculations += 1
        self._answers.speculation.prepare(self._plan(), prompt_message(transcript))
