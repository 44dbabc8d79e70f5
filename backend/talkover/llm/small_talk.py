"""Greetings, thanks, goodbyes and questions about the agent itself. Pure."""

from __future__ import annotations

import re

from talkover.llm.dialogue import Reply, Request, enumeration
from talkover.llm.knowledge import Library
from talkover.llm.phrases import Phrases
from talkover.llm.reading import OFFER as STORY_OFFER

_NAME = re.compile(r"\bYou are (?:called |named )?([A-Z][\w'-]{1,30})")

GREETINGS = (
    "Hello! What would you like to know?",
    "Hi there! Ask me something.",
    "Hello again! What can I do for you?",
)
STILL_THERE = (
    "Are you still there?",
    "I am still listening, whenever you like.",
    "Take your time. I am here.",
)

_TABLE: tuple[tuple[Phrases, tuple[str, ...]], ...] = tuple(
    (Phrases(patterns), options)
    for patterns, options in (
        (
            """
            [hello|hi|hey|good morning|there]* how are you [doing] [today]
            [hello|hi|hey]* (how is it going|hows it going|how do you do|whats up|how do you feel)
            """,
            ("I am fine, thank you. What would you like to know?", "Very well, thank you. How can I help?"),
        ),
        (
            """
            (hello|hi|hey|greetings|welcome back|good morning|good afternoon|good evening|good day) \
                [hello|hi|there|again|everybody|everyone|talkover|talk over|agent]*
            nice to (meet|see|hear) you
            """,
            GREETINGS,
        ),
        (
            """
            [hello|hi|hey] (can|do) you hear me [now|well|all right]
            [hello|hi|hey] are you (there|listening|still there|awake|ready|working)
            [hello|hi|hey] is (anybody|anyone) there
            [this is a|mic|microphone] (test|testing) [testing|one two three]*
            """,
            ("Yes, I hear you.", "Yes, I am listening."),
        ),
        (
            """
            [no|great|okay|perfect|good|yes|fine|alright]* [many] (thank you|thanks|cheers) \
                [very much|so much|a lot|again]* [for ...|that was ...]
            """,
            ("You are welcome.", "My pleasure.", "Any time."),
        ),
        (
            """
            [okay|and|good|well|thank you|thanks]* \
                (goodbye|good bye|bye|good night|see you|talk to you later|take care) \
                [bye|for now|for today|and thank you|and thanks|soon|later|tomorrow|then]*
            have a (nice|good) (day|evening|weekend)
            [okay] (thats all|that is all|that was all) [for now|for today|thank you|thanks]*
            """,
            ("Goodbye!", "Bye, see you soon!"),
        ),
        (
            """
            [that is|that was|that sounds|thats|you are|youre|this is|its|it is|well|very|really|how|oh|wow]* \
                (great|good|nice|cool|interesting|perfect|wonderful|amazing|awesome|excellent|fantastic|funny|\
                beautiful|lovely|right|correct|true|smart)
            [okay|oh|ah]* (i see|got it|i understand|makes sense|good job|well done|wow)
            i (like|love) (it|that|this|you|your voice)
            """,
            ("Good. Is there anything else?", "I am glad. What else would you like to know?"),
        ),
        (
            """
            (uh huh|mm hmm|mhm|hm|hmm|uh|um|oh|ah|okay|ok|alright|all right|well|so|sure|really|yes|yeah|yep|\
                of course|maybe|please) [okay|yes|right|really|well]*
            """,
            ("Yes?", "Go ahead."),
        ),
        (
            """
            (no|nope|not really|not now|nothing) [no|not now|nothing]*
            [no] (it isnt|it is not|i dont|i do not|i dont think so|i do not think so)
            """,
            ("All right.", "Okay."),
        ),
        (
            "[okay|please|now]* (next|skip|change) [that|this|it|one|question|please|the topic|the subject]*",
            ("Okay. What would you like to know?", "All right. What is next?"),
        ),
        (
            """
            (that is|thats|you are|youre|it is|its) (wrong|not right|not true|not correct|incorrect|bad|terrible|stupid)
            (you|that) [do not|dont|does not|doesnt] (understand|make sense) [me]
            """,
            ("I am sorry. I only know what my documents say. Please ask me in other words.",),
        ),
        (
            "(i am|im) [so|very|really|a bit]* (bored|tired|sad|alone|lonely|sick|hungry)",
            (f"I am sorry to hear that. {STORY_OFFER}",),
        ),
        (
            """
            [no|sorry|actually]* (i meant|i mean|i wanted|i asked for) (something|another) (else|different|thing)
            [no|that is|thats]* not what i (meant|asked|asked for|said|wanted)
            [i am|im|oh|no]* (sorry|excuse me|pardon me|never mind|nevermind|forget it|forget that|forget about it|\
                sorry to interrupt) [you]
            """,
            ("No problem. What would you like to know?", "That is all right. Go ahead."),
        ),
        (
            """
            (i have|i had|id like to ask|i would like to ask|one more|another) \
                [you|a|another|one more|quick|something]* [question] [for you|about that|about this]
            [sorry|excuse me] (can|could|may) i (ask|tell|interrupt|stop) you \
                [something|a question|for a moment|there|now]*
            let me (see|ask|ask you|ask something|ask you something|say something|finish|try)
            """,
            ("Yes, please.", "Go ahead."),
        ),
        (
            """
            (are you|is this|am i talking to) [a|an|the] [real|true]* \
                (human|person|robot|machine|computer|bot|program|alive|real|ai|artificial intelligence|human being)
            (how old are you|where do you live|where are you from|where were you born|are you married|are you alive)
            do you (eat|sleep|dream|think|feel|love|like|believe) ...
            """,
            ("I am a computer program. I look for answers in my documents and read them to you.",),
        ),
        (
            "[speak|talk|be|you are|youre] [a bit|a little|too|more]* (louder|loud|up|quieter|quiet|quietly)",
            ("I cannot change my volume. Please use the volume of your computer.",),
        ),
        (
            """
            [tell me|do you know|i want to hear]* [a|another|any|some|your|short|funny|good]* \
                (joke|jokes|riddle|riddles|poem|song)
            make me laugh
            sing [me|us|a|song|something|please]*
            """,
            ("I know no jokes and no songs, but I can tell you a story.",),
        ),
    )
)
_MY_NAME = Phrases("my name is <name>")
_WHO = Phrases(
    """
    (who|what) are you [please|exactly]
    (whats|what is) your name
    [please] (tell me|say|talk) [something|more|everything|a bit|a little]* about (you|yourself)
    (introduce|describe|explain) yourself
    who am i (talking|speaking) (to|with)
    do you have a name
    who is (this|there|speaking)
    """
)
_ABILITIES = Phrases(
    """
    what (can|could) (you|i|we) (do|ask|say|know|talk about|tell me|ask about) [you|to you|about|with you|here|for me]*
    what do you know [about]
    [please] help [me] [please]
    how can you help [me]
    i need [some] help
    what (questions|kind of questions) can i ask [you]
    what are you (for|good for)
    what (topics|subjects|documents) do you (know|have) [about]
    what else [can you do|do you know|is there]
    what are your (topics|documents|abilities|skills)
    [please] (tell|teach|ask|show) me (something|anything|something interesting)
    say something
    what should i (say|ask) [you|first]*
    """
)


def reply(request: Request, library: Library) -> Reply | None:
    """A short answer to small talk, or None."""
    for core in dict.fromkeys((request.said, request.core)):
        for phrases, options in _TABLE:
            if phrases.fits(core):
                return Reply((request.one_of(options),))
        introduced = _MY_NAME.match(core)
        if introduced is not None and len(introduced["name"].split()) <= 2:
            return Reply((f"Nice to meet you, {introduced['name'].title()}.", "What would you like to know?"))
        if _WHO.fits(core):
            return Reply((introduction(request), abilities(library)))
        if _ABILITIES.fits(core):
            return Reply((abilities(library), "I can also tell you the time, count, or read to you."))
    return None


def introduction(request: Request) -> str:
    """Who it is: the name that the instructions give ("You are Ada"), if any."""
    named = _NAME.search(request.instructions)
    return f"I am {named[1]}, a voice agent." if named else "I am a voice agent."


def abilities(library: Library) -> str:
    """What it can talk about."""
    titles = [spoken_title(document.title) for document in library.topics[:3]]
    if not titles:
        return "I have no documents yet, so I cannot answer questions."
    return f"I can answer questions about {enumeration(titles)}."


def greeting(request: Request, library: Library) -> Reply:
    """The first words of a conversation that the agent opens."""
    return Reply(("Hello!", introduction(request), abilities(library)))


def spoken_title(title: str) -> str:
    """A title in the middle of a sentence: "Language models" is "language models", names keep their capitals."""
    title = title.rstrip(".!?")
    first, _, rest = title.partition(" ")
    is_name = title.startswith("About ") or any(word[:1].isupper() for word in rest.split())
    if is_name or not first[1:].islower():
        return title.removeprefix("About ")
    return f"{first.lower()} {rest}".strip()
