"""Passages looked up ahead and on time, and what becomes of them in a response."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fakes import Driver, ScriptedLlm, fake_engines, never, wait_until
from shelf import Shelf, passage
from talkover.engines import DocumentInfo, EngineFailed
from talkover.messages import Prompt, PromptMessage, ResponseRequest, SourcesFound, TextDelta, VoiceSettings
from talkover.pipeline.passages import KEPT_FOR_S, PassageFinder, PassageOptions
from talkover.pipeline.responder import Responder
from talkover.realtime.actions import LookUp

HOURS = passage("Hours", "We are open from nine to six, on Sunday we are closed.")
PRICES = passage("Prices", "An espresso costs 2.50.")


@contextmanager
def finding(shelf: Shelf, **options: float) -> Iterator[PassageFinder]:
    finder = PassageFinder(shelf, PassageOptions(**options), "test")  # type: ignore[arg-type]
    try:
        yield finder
    finally:
        finder.close()
        shelf.open()
        assert finder.join(5)


def test_what_was_looked_up_ahead_is_there_without_a_search() -> None:
    shelf = Shelf({"hours": HOURS})
    with finding(shelf) as finder:
        finder.look_ahead("what are your opening hours")
        assert shelf.searching.acquire(timeout=5)
        assert wait_until(lambda: finder.passages("What are your opening hours, please?", never) == (HOURS,))
        assert shelf.questions == ["what are your opening hours"]


def test_an_answer_waits_for_the_search_under_way_instead_of_starting_another() -> None:
    shelf = Shelf({"hours": HOURS}, is_shut=True)
    with finding(shelf, timeout_s=5) as finder:
        finder.look_ahead("opening hours")
        assert shelf.searching.acquire(timeout=5)
        asked = 0

        def is_stale() -> bool:
            nonlocal asked
            asked += 1
            if asked == 3:
                shelf.open()
            return False

        assert finder.passages("opening hours", is_stale) == (HOURS,)
        assert shelf.questions == ["opening hours"]


def test_a_newer_question_takes_the_place_of_the_older_one() -> None:
    shelf = Shelf({"hours": HOURS, "espresso": PRICES}, is_shut=True)
    with finding(shelf) as finder:
        finder.look_ahead("opening hours")
        assert shelf.searching.acquire(timeout=5)
        finder.look_ahead("price of a cappuccino")
        finder.look_ahead("price of an espresso")
        assert wait_until(lambda: shelf.given_up == ["opening hours"])
        shelf.open()
        assert wait_until(lambda: finder.passages("price of an espresso", never) == (PRICES,))
        assert shelf.questions[0] == "opening hours"
        assert shelf.questions[-1] == "price of an espresso"


def test_a_question_nobody_looked_up_is_searched_when_it_is_asked() -> None:
    shelf = Shelf({"espresso": PRICES})
    with finding(shelf) as finder:
        assert finder.passages("What does an espresso cost?", never) == (PRICES,)
        assert finder.passages("um, well", never) == ()
        assert shelf.questions == ["What does an espresso cost?"]


def test_an_answer_waits_no_longer_than_it_may_and_takes_what_was_found_for_a_part() -> None:
    shelf = Shelf({"hours": HOURS})
    with finding(shelf, timeout_s=0.05) as finder:
        assert finder.passages("opening hours", never) == (HOURS,)
        shelf._opened.clear()  # the retriever is stuck from here on
        assert finder.passages("opening hours on sunday", never) == (HOURS,)
        assert finder.passages("the price of tea", never) == ()


def test_a_search_that_fails_leaves_an_answer_without_passages() -> None:
    shelf = Shelf({"hours": EngineFailed("the database is gone")})
    with finding(shelf) as finder:
        finder.look_ahead("opening hours")
        assert finder.passages("opening hours", never) == ()


def test_what_was_found_long_ago_is_searched_again() -> None:
    shelf = Shelf({"hours": HOURS})
    now_s = [0.0]
    finder = PassageFinder(shelf, PassageOptions(), "test", lambda: now_s[0])
    try:
        finder.passages("opening hours", never)
        finder.passages("opening hours", never)
        assert len(shelf.questions) == 1
        now_s[0] = KEPT_FOR_S + 1
        finder.passages("opening hours", never)
        assert len(shelf.questions) == 2
    finally:
        finder.close()
        assert finder.join(5)


# ------------------------------------------------------------------------------------------------------ a response


def respond(shelf: Shelf, llm: ScriptedLlm, *said: str) -> list[object]:
    prompt = Prompt("Be brief.", tuple(PromptMessage("user", text) for text in said))
    request = ResponseRequest(1, "resp_1", prompt, "audio", VoiceSettings("tone"))
    with finding(shelf) as finder:
        return list(Responder(llm, finder).process(request, never))


def test_the_prompt_of_a_response_holds_the_passages_and_the_answer_names_those_it_used() -> None:
    llm = ScriptedLlm("From nine to six, and on Sunday it is closed.")
    results = respond(Shelf({"open": HOURS, "when": PRICES}), llm, "When do you open?")
    assert llm.prompts[0].passages == (HOURS, PRICES)
    assert llm.prompts[0].only_documents
    assert llm.prompts[0].messages == (PromptMessage("user", "When do you open?"),)
    at = next(index for index, one in enumerate(results) if isinstance(one, SourcesFound))
    found = results[at]
    assert isinstance(found, SourcesFound)
    assert (found.kind, found.query, found.sources) == ("documents", "When do you open?", (HOURS,))
    assert [one for one in results[at:] if isinstance(one, TextDelta)]


def test_a_declined_question_names_no_source_and_the_model_is_told_that_nothing_was_found() -> None:
    llm = ScriptedLlm("I don't find that in the documents.")
    results = respond(Shelf({"open": HOURS}), llm, "Who won the match?")
    assert llm.prompts[0].passages == ()
    assert not [one for one in results if isinstance(one, SourcesFound)]


def test_a_response_to_nothing_searches_nothing() -> None:
    llm, shelf = ScriptedLlm("Welcome!"), Shelf({})
    respond(shelf, llm)
    assert llm.prompts[0].passages is None
    assert shelf.questions == []


def test_without_any_document_a_model_answers_as_it_would() -> None:
    class EmptyShelf(Shelf):
        def documents(self) -> tuple[DocumentInfo, ...]:
            return ()

    llm, shelf = ScriptedLlm("The moon is far."), EmptyShelf({})
    respond(shelf, llm, "How far is the moon?")
    assert llm.prompts[0].passages is None
    assert shelf.questions == []


# ------------------------------------------------------------------------------------------------------- the session


def test_a_session_looks_up_what_is_being_said_and_the_history_never_holds_a_passage() -> None:
    from fakes import ScriptedAsr

    driver = Driver(fake_engines(ScriptedAsr("What are your opening hours?"), ScriptedLlm("From nine.")))
    driver.say()
    looked_up = [action.question for action in driver.actions if isinstance(action, LookUp)]
    assert looked_up == ["What are your opening hours?"]
