"""The embedded responder in conversation: what the user heard decides what comes next."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

import pytest

from talkover.config import Settings
from talkover.engines import LlmCall, LlmEvent, LlmFinished, LlmSources, LlmText
from talkover.knowledge.documents import parse_document
from talkover.llm.embedded import EmbeddedResponder, create, exact_words
from talkover.llm.knowledge import Library, load_library
from talkover.llm.resuming import Script
from talkover.messages import FunctionTool, Prompt, PromptCall, PromptCallOutput, PromptMessage
from talkover.resources import knowledge_folder
from talkover.sections.agent import KnowledgeSettings

NOW = datetime(2026, 11, 21, 15, 42)
INSTRUCTIONS = "You are Ada, a friendly voice agent."
Message = PromptMessage | PromptCall | PromptCallOutput


class Conversation:
    """Talks to the engine the way a session does: only what was heard enters the history."""

    def __init__(self, library: Library) -> None:
        self.engine = EmbeddedResponder(library, lambda: NOW)
        self.messages: list[Message] = []
        self.events: list[LlmEvent] = []

    def ask(self, text: str, heard_words: int | None = None, uncertain: bool = False) -> str:
        """The whole answer; the user interrupts it after `heard_words`."""
        self.messages.append(PromptMessage("user", text, uncertain=uncertain))
        self.events = list(self.engine.respond(Prompt(INSTRUCTIONS, tuple(self.messages)), lambda: False))
        assert isinstance(self.events[-1], LlmFinished)
        answer = "".join(event.text for event in self.events if isinstance(event, LlmText)).strip()
        heard = answer if heard_words is None else " ".join(answer.split()[:heard_words])
        self.messages.append(PromptMessage("assistant", heard, cut_off=heard_words is not None))
        return answer

    @property
    def sources(self) -> list[str]:
        return [
            source.heading or source.title
            for event in self.events
            if isinstance(event, LlmSources)
            for source in event.sources
        ]


@pytest.fixture(scope="module")
def library() -> Library:
    return load_library(knowledge_folder(None))


@pytest.fixture
def talk(library: Library) -> Conversation:
    return Conversation(library)


def texts_of(engine: EmbeddedResponder, prompt: Prompt) -> list[str]:
    return [event.text for event in engine.respond(prompt, lambda: False) if isinstance(event, LlmText)]


# ------------------------------------------------------------------------------------------------- questions


def test_an_answer_comes_word_for_word_from_a_document_and_names_it(talk: Conversation, library: Library) -> None:
    answer = talk.ask("what is the herd ledger")
    assert answer.startswith("The heard ledger is the record of the words that you really heard.")
    assert talk.sources == ["What is the heard ledger?"]
    assert isinstance(talk.events[0], LlmSources)
    known = {sentence.text for passage in library.passages for sentence in passage.sentences}
    assert {event.text.strip() for event in talk.events if isinstance(event, LlmText)} <= known


def test_what_it_does_not_know_it_says_in_changing_words(talk: Conversation) -> None:
    answers = [talk.ask(question) for question in ("who painted the mona lisa", "why do cats purr", "who built rome")]
    assert all("document" in answer and answer.endswith("?") for answer in answers)
    assert len(set(answers)) == 3
    assert talk.sources == []


def test_yes_to_an_offer_gets_what_was_offered(talk: Conversation) -> None:
    offer = talk.ask("who painted the mona lisa")
    assert "tell" in offer
    topic = offer.rstrip("?").split("about ")[-1]
    answer = talk.ask("yes please")
    assert "I don't" not in answer
    assert talk.sources, topic


def test_no_to_an_offer_is_accepted(talk: Conversation) -> None:
    talk.ask("who painted the mona lisa")
    assert talk.ask("no thanks") in (
        "All right. What else would you like to know?",
        "Okay. Just ask me something else.",
    )


def test_a_near_miss_is_asked_back_and_yes_answers_it(talk: Conversation) -> None:
    answer = talk.ask("the server is fool", uncertain=True)
    assert answer.endswith("Did you mean: The server is full?")
    assert talk.ask("yes").startswith("When the server is full, all places are taken.")


def test_a_follow_up_takes_its_subject_from_before(talk: Conversation) -> None:
    talk.ask("which voices are there")
    assert talk.ask("and how do i change it").startswith("To change the voice, choose another one on the page.")


def test_tell_me_more_goes_on_in_the_document(talk: Conversation) -> None:
    talk.ask("what is barge in")
    more = talk.ask("tell me more")
    assert more.startswith("Does a cough interrupt the agent? No, a cough")
    assert talk.ask("more please").startswith("What is the heard ledger?")


# --------------------------------------------------------------------------------------------- reading, resuming


def test_a_story_is_read_sentence_by_sentence(talk: Conversation) -> None:
    story = talk.ask("tell me a story")
    pieces = [event.text for event in talk.events if isinstance(event, LlmText)]
    assert len(pieces) > 20
    assert all(piece.endswith(" ") for piece in pieces)
    assert 500 <= len(story.split()) <= 800


def test_another_story_is_another_one(talk: Conversation) -> None:
    first, second = talk.ask("tell me a story"), talk.ask("tell me another story")
    assert first != second
    assert talk.ask("tell me the story about the lighthouse").startswith("The lighthouse that listened.")


def test_go_on_starts_with_the_sentence_of_the_first_unheard_word(talk: Conversation) -> None:
    story = talk.ask("tell me a story", heard_words=12)
    heard = story.split()[:12]
    rest = talk.ask("go on", heard_words=20)
    assert story.endswith(rest)
    skipped = story.removesuffix(rest).split()
    assert len(skipped) <= 12
    assert heard[: len(skipped)] == skipped
    assert skipped[-1].endswith(".")


def test_interrupted_again_and_again_it_finds_its_place(talk: Conversation) -> None:
    story = talk.ask("tell me a story", heard_words=40)
    position = story
    for words in (30, 1, 50, 9):
        rest = talk.ask("go on", heard_words=words)
        assert position.endswith(rest)
        position = rest
    assert len(position) < len(story)
    assert story.endswith(talk.ask("please continue"))


def test_other_questions_between_do_not_lose_the_place(talk: Conversation) -> None:
    story = talk.ask("tell me a story", heard_words=40)
    assert talk.ask("stop") in ("Okay.", "All right.")
    talk.ask("what time is it")
    talk.ask("how do i change the voice")
    assert story.endswith(talk.ask("okay go on with the story"))


def test_when_all_was_heard_nothing_is_left(talk: Conversation) -> None:
    answer = talk.ask("count to three", heard_words=3)
    assert answer == "One, two, three."
    assert talk.ask("go on") in ("That was all.", "I have nothing to add to that.")


def test_when_nothing_was_heard_it_starts_at_the_beginning(talk: Conversation) -> None:
    story = talk.ask("tell me a story", heard_words=0)
    assert talk.ask("go on") == story


def test_counting_goes_on_too(talk: Conversation) -> None:
    talk.ask("count to twelve", heard_words=7)
    assert talk.ask("continue") == "Six, seven, eight, nine, ten. Eleven, twelve."


def test_going_on_in_a_text_of_which_the_request_is_gone(talk: Conversation) -> None:
    story = talk.ask("tell me a story", heard_words=30)
    del talk.messages[0]
    assert story.endswith(talk.ask("go on"))


def test_from_the_beginning(talk: Conversation) -> None:
    story = talk.ask("tell me a story", heard_words=40)
    talk.ask("go on", heard_words=10)
    assert talk.ask("start again") == story


@pytest.mark.parametrize(
    ("said", "title"),
    [
        ("read me the guide", "Getting started."),
        ("read the page about voices", "Voices."),
        ("please read the document about privacy to me", "Privacy and safety."),
        ("can you read me the page about the nowledge folder", "The knowledge folder."),
    ],
)
def test_reading_a_document(talk: Conversation, said: str, title: str) -> None:
    assert talk.ask(said).startswith(title)


def test_an_offered_story_is_told(talk: Conversation) -> None:
    assert talk.ask("i'm so bored").endswith("Shall I tell you a story?")
    assert talk.ask("yes please") == talk.ask("tell me the story about the clock")


def test_which_stories_there_are(talk: Conversation) -> None:
    expected = "I know these stories: The clock that was always late and The lighthouse that listened."
    assert talk.ask("do you know any stories") == expected


def test_a_document_that_is_not_there(talk: Conversation) -> None:
    assert talk.ask("read me the page about dinosaurs").startswith("I have no document like that.")


@pytest.mark.parametrize(
    ("heard", "place"),
    [
        ("", 0),
        ("One", 0),
        ("One two three.", 1),
        ("One two three. Four", 1),
        ("One two three. Four five si", 1),
        ("one, TWO three four five six", 2),
        ("One two three. Four five six. One two seven.", 3),
        ("nothing of this was said", None),
    ],
)
def test_first_unheard(heard: str, place: int | None) -> None:
    assert Script(["One two three.", "Four five six.", "One two seven."]).first_unheard(heard) == place


def test_first_unheard_in_chinese() -> None:
    assert Script(["你好，我是小明。", "今天天气很好。"]).first_unheard("你好，我是小明。今天") == 1


# ------------------------------------------------------------------------------------------------- conversation


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("hello", "Hello! What would you like to know?"),
        ("how are you", "I am fine, thank you. What would you like to know?"),
        ("can you hear me", "Yes, I hear you."),
        ("thank you very much", "You are welcome."),
        ("goodbye", "Goodbye!"),
        ("stop", "Okay."),
        ("okay stop talking please", "Okay."),
        ("be quiet", "Okay."),
        ("wait a moment please", "Of course."),
        ("uh huh", "Yes?"),
        ("what time is it", "It is three forty-two in the afternoon."),
        ("what is two plus two", "Two plus two is four."),
        ("repeat that", "I have not said anything yet."),
        ("what did i just say", "You have not said anything before that."),
        ("go on", "I have not said anything yet."),
        ("no i meant something else", "No problem. What would you like to know?"),
    ],
)
def test_short_answers(talk: Conversation, said: str, answer: str) -> None:
    assert talk.ask(said) == answer


def test_who_it_is_and_what_it_can_do(talk: Conversation) -> None:
    assert talk.ask("who are you").startswith("I am Ada, a voice agent. I can answer questions about")
    assert "tell you the time" in talk.ask("what can you do")


def test_a_greeting_before_a_question_does_not_hide_it(talk: Conversation) -> None:
    assert talk.ask("hello what is talkover").startswith("Talkover is a voice agent")


def test_repeating(talk: Conversation) -> None:
    answer = talk.ask("how do i change the voice")
    assert talk.ask("could you repeat that") == answer
    assert talk.ask("what did you say") == answer
    assert talk.ask("what did i just say") == "You said: what did you say"


def test_only_what_was_heard_is_repeated(talk: Conversation) -> None:
    talk.ask("how do i change the voice", heard_words=5)
    assert talk.ask("what did you say") == "To change the voice, choose"


def test_it_opens_the_conversation_and_asks_into_the_silence(library: Library) -> None:
    engine = EmbeddedResponder(library, lambda: NOW)
    assert "".join(texts_of(engine, Prompt(INSTRUCTIONS, ()))).startswith("Hello! I am Ada, a voice agent.")
    silence = (PromptMessage("assistant", "Hello!"), PromptMessage("user", ""))
    assert texts_of(engine, Prompt("", silence)) == ["Are you still there? "]
    again = (*silence, PromptMessage("assistant", "Are you still there?"), PromptMessage("user", ""))
    assert texts_of(engine, Prompt("", again)) == ["I am still listening, whenever you like. "]


@pytest.mark.parametrize(
    ("instructions", "expected"),
    [
        ("Say exactly: Welcome to the museum!", "Welcome to the museum!"),
        ('Repeat: "One two."', "One two."),
        ("You are Ada. Greet the user with “Good day”.", "Good day"),
        ("Be friendly. Never repeat yourself.", None),
        ("Say something nice about the user.", None),
        ("", None),
    ],
)
def test_exact_words(instructions: str, expected: str | None) -> None:
    assert exact_words(instructions) == expected


def test_exact_words_do_not_replace_an_answer(library: Library) -> None:
    engine = EmbeddedResponder(library, lambda: NOW)
    asked = (PromptMessage("user", "what is talkover"),)
    greeting = 'You are Ada. Greet the user with "Good day!"'
    assert texts_of(engine, Prompt(greeting, ())) == ["Good day! "]
    assert "".join(texts_of(engine, Prompt(greeting, asked))).startswith("Talkover is")
    assert texts_of(engine, Prompt("Say exactly: One moment.", asked)) == ["One moment. "]


@pytest.mark.parametrize(
    ("said", "answer"),
    [("你好", "你好！有什么想问的吗？"), ("现在几点", "现在是下午3点42分。"), ("谢谢", "不客气。")],
)
def test_chinese_courtesies(talk: Conversation, said: str, answer: str) -> None:
    assert talk.ask(said) == answer


def test_chinese_questions_are_declined_politely_in_chinese(talk: Conversation) -> None:
    assert talk.ask("什么是语音识别？").startswith("抱歉，我的资料都是英文的")


def test_chinese_documents_are_answered_from() -> None:
    talk = Conversation(
        Library((parse_document("a.md", "# 营业时间\n## 几点开门\n我们早上八点开门，晚上九点关门。\n"),))
    )
    assert talk.ask("请问你们几点开门？") == "我们早上八点开门，晚上九点关门。"


# ------------------------------------------------------------------------------------------------- contract


def test_client_tools_are_called_and_their_results_read(library: Library) -> None:
    engine = EmbeddedResponder(library, lambda: NOW)
    weather = FunctionTool(
        "get_weather", "", {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    )
    asked = PromptMessage("user", "what is the weather in Rome")
    events = list(engine.respond(Prompt("", (asked,), (weather,)), lambda: False))
    assert events == [
        LlmCall(0, "get_weather", ""),
        LlmCall(0, "get_weather", '{"city": "Rome"}'),
        LlmFinished("tool_calls"),
    ]
    answered = (asked, PromptCall("c", "get_weather", '{"city": "Rome"}'), PromptCallOutput("c", '{"sky": "clear"}'))
    assert texts_of(engine, Prompt("", answered, (weather,), "required")) == ["The sky is clear. "]


def test_a_limit_on_the_answer_is_kept(library: Library) -> None:
    engine = EmbeddedResponder(library, lambda: NOW)
    prompt = Prompt("", (PromptMessage("user", "tell me a story"),), max_output_tokens=9)
    *texts, finished = engine.respond(prompt, lambda: False)
    assert len("".join(text.text for text in texts if isinstance(text, LlmText)).split()) == 9
    assert isinstance(finished, LlmFinished)
    assert (finished.reason, finished.usage.output_tokens) == ("length", 9)


def test_it_stops_when_stale(library: Library) -> None:
    engine = EmbeddedResponder(library, lambda: NOW)
    asked: list[bool] = []

    def is_stale() -> bool:
        asked.append(True)
        return len(asked) > 3

    prompt = Prompt("", (PromptMessage("user", "tell me a story"),))
    assert len([event for event in engine.respond(prompt, is_stale) if isinstance(event, LlmText)]) == 3


def test_the_first_words_come_at_once(library: Library) -> None:
    engine = EmbeddedResponder(library, lambda: NOW)
    engine.warmup()
    history = (PromptMessage("user", "tell me a story"), PromptMessage("assistant", "The clock that was", cut_off=True))
    for said in ("how do i connect a language model", "go on", "who painted the mona lisa"):
        spent: list[float] = []
        for _ in range(5):
            start = time.process_time()
            events = engine.respond(Prompt("", (*history, PromptMessage("user", said))), lambda: False)
            next(event for event in events if isinstance(event, LlmText))
            spent.append(time.process_time() - start)
        assert min(spent) < 0.02, said  # 1 to 3 ms on one core; the rest is for slow machines


def test_the_engine_is_made_from_settings(tmp_path: Path) -> None:
    (tmp_path / "menu.md").write_text("# Menu\n## Coffee\nCoffee costs two euros.\n", encoding="utf-8")
    engine = create(Settings(knowledge=KnowledgeSettings(path=tmp_path)))
    engine.warmup()
    prompt = Prompt("", (PromptMessage("user", "how much is the coffee"),))
    assert texts_of(engine, prompt) == ["Coffee costs two euros. "]
    engine.close()


def test_an_empty_folder_is_no_reason_to_fail(tmp_path: Path) -> None:
    talk = Conversation(load_library(tmp_path))
    assert talk.ask("what is talkover").startswith("I have no documents to answer from.")
    assert talk.ask("tell me a story").startswith("I have no stories here.")
    assert talk.ask("who are you").endswith("I have no documents yet, so I cannot answer questions.")
    assert talk.ask("read me something")


def test_the_shipped_stories_are_long_enough_to_talk_over(library: Library) -> None:
    assert len(library.stories) >= 2
    for story in library.stories:
        assert 500 <= len(" ".join(story.spoken()).split()) <= 750
