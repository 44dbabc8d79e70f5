"""Steering the conversation: stop, go on, repeat, what did I say. Pure.

An answer is a function of the conversation before it, so going on needs no memory: the interrupted answer is made
again, and what the user heard of it, as the prompt's cut-off message tells, is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from talkover.llm.dialogue import Reply, Request
from talkover.llm.knowledge import Library
from talkover.llm.reading import continuation
from talkover.llm.resuming import first_unheard
from talkover.llm.sentences import split_sentences

MORE_SENTENCES = 3
MAX_REPEATED_WORDS = 60
MAX_CHAIN = 30
"""interruptions of one text that are followed back to its beginning"""

_STOP = re.compile(
    r"(?:(?:please|okay|no|hey|just|now|you can|dont|do not) )*"
    r"(?:(?:stop|halt|pause|quiet|silence|enough|cancel|shush|shut up|be (?:quiet|silent)|stop (?:it|that|talking|speaking|reading|"
    r"counting|the story|there|right there)|that is enough|thats enough|answer that|read that)(?: |$))+"
    r"(?:now|please|it|that|there|stop|for now)*"
)
_WAIT = re.compile(
    r"(?:(?:please|okay|no|hey|just|now) )*(?:wait|hold on|hang on|(?:give me )?(?:a|one) (?:second|minute|moment|sec)|let me think)"
    r"(?: (?:please|wait|stop|a|one|just|for|me|second|minute|moment|sec))*"
)
_GO_ON = re.compile(
    r"(?:(?:please|okay|yes|and|you can|just|can you|sorry|no|now) )*(?:go on|go ahead|continue|carry on|keep (?:going|talking|reading|counting)|"
    r"resume|proceed|and then|and then what|then what|what then|what next|whats next|what happened (?:next|then)|dont stop|do not stop|"
    r"read on|more|tell me more|tell me the rest|the rest|go back to the story|finish(?: the story| it)?|where were (?:you|we))"
    r"(?: (?:please|on|now|then|with (?:that|it|the .*)|reading|counting|talking|the (?:story|text|document|page|counting)|about (?:it|that|this)|from there|where you .*))*"
)
_AGAIN = re.compile(
    r"(?:start|begin|read|tell|do|from|go back to)(?: it| that| the story| me| all)*(?: over)? ?(?:again|over|(?:from |at )?the (?:beginning|start|top))+"
    r"(?: from the (?:beginning|start|top))?"
)
_REPEAT = re.compile(
    r"(?:(?:please|sorry|can|could|would|you|excuse me) )*(?:repeat|say|tell me)(?: (?:that|it|this|the last (?:sentence|part)|your answer|what you said))*"
    r"(?: (?:again|once more|one more time|please|slowly))*|"
    r"(?:sorry |pardon )?what (?:did you (?:just )?(?:say|tell me)|was that|were you saying|you said)(?: again| just now)?|"
    r"(?:i )?(?:did not|didnt) (?:hear|catch|get) (?:that|it|you|what you said)|once more|one more time|again|come again|pardon|what"
)
_WHAT_I_SAID = re.compile(
    r"(?:(?:tell me|do you know|repeat|remember) )?what (?:did i|have i|i|i have|was i|was my|is my)(?: just| last)? "
    r"(?:say|said|ask|asked|tell you|told you|saying|asking|question|last question|want|wanted)(?: you| before| to you| just now| again)?|"
    r"(?:repeat )?what i (?:said|asked)|repeat my (?:question|words)|what was my (?:last )?question"
)

STOPPED = ("Okay.", "All right.")
WAITING = ("Of course.", "Take your time.")
NOTHING_LEFT = ("That was all.", "I have nothing to add to that.")
NOTHING_SAID = "I have not said anything yet."

Answer = Callable[[Request], Reply]


def reply(request: Request, library: Library, answer: Answer) -> Reply | None:
    """What a steering word asks for, or None. `answer` makes the reply to an earlier request again."""
    said, core = request.said, request.core
    if _STOP.fullmatch(said):
        return Reply((request.one_of(STOPPED),))
    if _WAIT.fullmatch(said):
        return Reply((request.one_of(WAITING),))
    if _WHAT_I_SAID.fullmatch(core):
        before = request.last("user")
        return Reply((f"You said: {before.text}",) if before else ("You have not said anything before that.",))
    if _GO_ON.fullmatch(said) or _GO_ON.fullmatch(core):
        return go_on(request, library, answer)
    if _AGAIN.fullmatch(core):
        return _from_the_start(request, answer)
    if _REPEAT.fullmatch(said) or _REPEAT.fullmatch(core):
        return _repeated(request)
    return None


def is_go_on(request: Request) -> bool:
    """Whether the user asked for the rest of something."""
    return _GO_ON.fullmatch(request.said) is not None or _GO_ON.fullmatch(request.core) is not None


def go_on(request: Request, library: Library, answer: Answer) -> Reply:
    """The rest of the newest answer that the user has not heard to its end; else more from the same document."""
    cut = _unfinished(request)
    if cut is not None:
        heard = request.history[cut].text
        pieces = _pieces_of(request, cut, answer)
        at = first_unheard(pieces, heard)
        rest = pieces[at:] if at is not None else continuation(library, heard, 0)
        if rest:
            return Reply(tuple(rest))
        return Reply((request.one_of(NOTHING_LEFT),))
    before = request.last("assistant")
    if before is None:
        return Reply((NOTHING_SAID,))
    more = continuation(library, before.text, MORE_SENTENCES)
    return Reply(more or (request.one_of(NOTHING_LEFT),))


def _unfinished(request: Request) -> int | None:
    """Index of the newest cut-off answer, unless a later "go on" was answered to the end."""
    for at in range(len(request.history) - 1, -1, -1):
        message = request.history[at]
        if message.role != "assistant":
            continue
        asked = _asked_at(request, at)
        if message.cut_off:
            stopped_at_once = asked is not None and _is_stop(request.at(asked))
            if not stopped_at_once:
                return at
        elif asked is not None and is_go_on(request.at(asked)):
            return None
    return None


def _is_stop(request: Request) -> bool:
    return _STOP.fullmatch(request.said) is not None or _WAIT.fullmatch(request.said) is not None


def _asked_at(request: Request, answer_at: int) -> int | None:
    """Index of the user message that the assistant message `answer_at` answered."""
    return next((at for at in range(answer_at - 1, -1, -1) if request.history[at].role == "user"), None)


def _pieces_of(request: Request, answer_at: int, answer: Answer) -> tuple[str, ...]:
    """The interrupted answer in full, made again from the conversation before it."""
    asked = _asked_at(request, answer_at)
    chain = sum(message.cut_off for message in request.history)
    if asked is None or chain > MAX_CHAIN:
        return ()
    return answer(request.at(asked)).pieces


def _from_the_start(request: Request, answer: Answer) -> Reply:
    """The newest answer that was no mere steering, once more from its beginning."""
    for at in range(len(request.history) - 1, -1, -1):
        if request.history[at].role != "user":
            continue
        earlier = request.at(at)
        steering = is_go_on(earlier) or _is_stop(earlier) or _AGAIN.fullmatch(earlier.core) or not earlier.text
        if not steering:
            return answer(earlier)
    return Reply((NOTHING_SAID,))


def _repeated(request: Request) -> Reply:
    before = request.last("assistant")
    if before is None:
        return Reply((NOTHING_SAID,))
    sentences = split_sentences(before.text)
    if len(before.text.split()) > MAX_REPEATED_WORDS:
        sentences = sentences[-MORE_SENTENCES:]
    return Reply(tuple(sentences))
