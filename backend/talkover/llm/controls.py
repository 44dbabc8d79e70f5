"""Steering the conversation: stop, go on, repeat, what did I say. Pure.

An answer is a function of the conversation before it, so going on needs no memory: the interrupted answer is made
again, and what the user heard of it, as the prompt's cut-off message tells, is left out.
"""

from __future__ import annotations

from collections.abc import Callable

from talkover.knowledge.sentences import split_sentences
from talkover.llm.dialogue import Reply, Request
from talkover.llm.knowledge import Library
from talkover.llm.phrases import Phrases
from talkover.llm.reading import continuation
from talkover.llm.resuming import Script

MORE_SENTENCES = 3
MAX_REPEATED_WORDS = 60
MAX_CHAIN = 30
"""interruptions of one text that are followed back to its beginning"""

_STOP = Phrases(
    """
    [please|okay|no|hey|just|now|you can]* (stop|halt|pause|quiet|silence|enough|cancel|shush|shut up) \
        [now|please|it|that|there|stop|for now]*
    [please|okay|no|hey|just|now]* stop (talking|speaking|reading|counting|the story|right there|it there) \
        [now|please|for now]*
    [please|okay|no|hey|just]* be (quiet|silent) [now|please]*
    [okay|no]* (thats|that is) enough [now|please|thank you|thanks]*
    (dont|do not) (answer|read|say) (that|it)
    """
)
_WAIT = Phrases(
    """
    [please|okay|no|hey|just|now]* (wait|hold on|hang on) [please|wait|stop|a|one|just|for|me|second|minute|moment|sec]*
    [please|just|give me]* (a|one) (second|minute|moment|sec) [please]
    let me think ...
    """
)
_GO_ON = Phrases(
    """
    [please|okay|yes|and|you can|just|can you|sorry|no|now]* \
        (go on|go ahead|continue|carry on|resume|proceed|read on) [please|now|then]* \
        [with ...|from there|where you ...|reading|counting|talking|the story|about it|about that]
    [please|okay|yes|just]* keep (going|talking|reading|counting) [please]
    [and] (then what|what then|what next|whats next|then) [please]
    [and] what happened (next|then)
    [no|please]* (dont|do not) stop [please|now|talking|reading|counting]*
    [please|okay|yes]* [tell me|read me|say]* (more|the rest) \
        [please|of it|of that|of the story|about it|about that|about this]*
    go back to (the|that|your) (story|text|document|page|counting)
    finish [it|that|the story|your sentence]
    where were (you|we)
    """
)
_AGAIN = Phrases(
    """
    (start|begin|read|tell|do) [it|that|the story|me|all]* (over|again) [again|from the beginning|from the start]*
    [start|begin|read|tell|go back] [it|that|me|the story|again]* (from|at|to) the (beginning|start|top)
    """
)
_REPEAT = Phrases(
    """
    [please|sorry|can|could|would|you|excuse me]* repeat \
        [please|that|it|this|yourself|the last sentence|the last part|your answer|what you said]* \
        [again|once more|one more time|please|slowly]*
    [please|sorry|can|could|would|you|excuse me]* (say|tell me) (that|it|this) \
        (again|once more|one more time|slowly) [please|slowly]*
    [sorry|pardon] what (did you say|did you just say|did you tell me|was that|were you saying|you said) \
        [again|just now]*
    [sorry] what (do|did) you mean [by that]
    [sorry] [i] (did not|didnt) (hear|catch|get) (that|it|you|what you said)
    [please] (once more|one more time|again|come again|pardon|what) [please]
    """
)
_WHAT_I_SAID = Phrases(
    """
    [tell me|do you know|repeat|remember] what (did i|have i|i have|i) [just] \
        (say|said|ask|asked|tell|told|want|wanted) [you|to you|before|just now|again|me]*
    [tell me|do you know] what (was|is) my [last] question [again]
    repeat my (question|words)
    """
)

STOPPED = ("Okay.", "All right.")
WAITING = ("Of course.", "Take your time.")
NOTHING_LEFT = ("That was all.", "I have nothing to add to that.")
NOTHING_SAID = "I have not said anything yet."

Answer = Callable[[Request], Reply]


def reply(request: Request, library: Library, answer: Answer) -> Reply | None:
    """What a steering word asks for, or None. `answer` makes the reply to an earlier request again."""
    said, core = request.said, request.core
    if _STOP.fits(said):
        return Reply((request.one_of(STOPPED),))
    if _WAIT.fits(said):
        return Reply((request.one_of(WAITING),))
    if _WHAT_I_SAID.fits(core):
        before = request.last("user")
        return Reply((f"You said: {before.text}",) if before else ("You have not said anything before that.",))
    if is_go_on(request):
        return go_on(request, library, answer)
    if _AGAIN.fits(core):
        return _from_the_start(request, answer)
    if _REPEAT.fits(said) or _REPEAT.fits(core):
        return _repeated(request)
    return None


def is_go_on(request: Request) -> bool:
    """Whether the user asked for the rest of something."""
    return _GO_ON.fits(request.said) or _GO_ON.fits(request.core)


def go_on(request: Request, library: Library, answer: Answer) -> Reply:
    """The rest of the newest answer that the user has not heard to its end; else more from the same document."""
    cut = _unfinished(request)
    if cut is not None:
        heard = request.history[cut].text
        script = Script(_pieces_of(request, cut, answer))
        at = script.first_unheard(heard)
        rest = script.pieces[at:] if at is not None else continuation(library, heard, 0)
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
    return _STOP.fits(request.said) or _WAIT.fits(request.said)


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
        steering = is_go_on(earlier) or _is_stop(earlier) or _AGAIN.fits(earlier.core) or not earlier.text
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
