"""Greetings, thanks, goodbyes and questions about the agent itself. Pure."""

from __future__ import annotations

import re

from talkover.llm.dialogue import Reply, Request, enumeration
from talkover.llm.knowledge import Library

_NAME = re.compile(r"\bYou are (?:called |named )?([A-Z][\w'-]{1,30})")
_HELLO = r"(?:hello|hi|hey|good (?:morning|afternoon|evening|day)|greetings|welcome back|nice to (?:meet|see|hear) you)"

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

_TABLE: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = tuple(
    (re.compile(pattern), options)
    for pattern, options in (
        (
            rf"(?:{_HELLO} )?(?:there )?(?:how are you(?: doing)?(?: today)?|how is it going|hows it going|how do you do|"
            r"whats up|how do you feel)",
            ("I am fine, thank you. What would you like to know?", "Very well, thank you. How can I help?"),
        ),
        (rf"{_HELLO}(?: {_HELLO}| there| again| everybody| everyone| talkover| talk over| agent)*", GREETINGS),
        (
            r"(?:(?:can|do) you hear me(?: well| all right)?|are you (?:there|listening|still there|awake|ready|working)|"
            r"is (?:anybody|anyone) there|(?:this is a |mic |microphone )?test(?:ing)?(?: testing| one two three)*|one two three)",
            ("Yes, I hear you.", "Yes, I am listening."),
        ),
        (
            r"(?:no |great |okay |perfect |good |yes )*(?:thank you|thanks|thank you very much|many thanks)"
            r"(?: (?:very much|so much|a lot|for .*|again|that was .*))*|cheers",
            ("You are welcome.", "My pleasure.", "Any time."),
        ),
        (
            r"(?:(?:okay|and|good) )*(?:goodbye|good bye|bye|bye bye|good night|see you|talk to you later|have a (?:nice|good) \w+|"
            r"thats all|that is all|that was all|take care)(?: (?:bye|for now|for today|soon|later|tomorrow|then|agent))*",
            ("Goodbye!", "Bye, see you soon!"),
        ),
        (
            r"(?:that (?:is|was|sounds)|thats|you are|youre|very|how|really|oh|wow|this is|its|it is|well)? ?"
            r"(?:great|good|nice|cool|interesting|perfect|wonderful|amazing|awesome|excellent|fantastic|funny|beautiful|lovely|"
            r"i see|got it|i understand|makes sense|good job|well done|smart|right|correct|true|enough)",
            ("Good. Is there anything else?", "I am glad. What else would you like to know?"),
        ),
        (
            r"(?:uh huh|mm hmm|mhm|hm|hmm|uh|um|oh|ah|okay|ok|alright|all right|well|so|sure|right|really)",
            ("Yes?", "Go ahead."),
        ),
        (
            r"(?:i am|im) sorry|sorry|excuse me|pardon(?: me)?|never ?mind|forget (?:it|about it|that)|sorry to interrupt(?: you)?",
            ("No problem. What would you like to know?", "That is all right. Go ahead."),
        ),
        (
            r"(?:(?:i|id|i would) (?:have|had|like to ask)|one more|another|(?:can|could|may) i (?:ask|interrupt|stop|tell))"
            r"(?: you)?(?: a| another| one more| a quick| something| for| moment)*(?: question)?(?: for you| about that)?|let me (?:think|see|ask .*|ask)",
            ("Yes, please.", "Go ahead."),
        ),
        (
            r"(?:are you|is this|am i talking to)(?: a| an| the)? (?:human|real|real person|person|robot|machine|computer|ai|bot|program|"
            r"alive|real human|artificial intelligence)",
            ("I am a computer program. I look for answers in my documents and read them to you.",),
        ),
        (
            r"(?:speak|talk|be)(?: a bit| a little)? (?:louder|up|quieter|more quietly)|louder|quieter|(?:too loud|too quiet)",
            ("I cannot change my volume. Please use the volume of your computer.",),
        ),
        (
            r"(?:tell me |do you know )?(?:a |another )?(?:\w+ )?(?:joke|riddle)s?|make me laugh|sing(?: me)?(?: a)?(?: song)?",
            ("I know no jokes and no songs, but I can tell you a story.",),
        ),
    )
)
_WHO = re.compile(
    r"(?:who|what) (?:are|r) you|whats your name|what is your name|(?:tell me|say something) about yourself|introduce yourself|"
    r"who am i (?:talking|speaking) (?:to|with)|do you have a name|describe yourself|who is (?:this|that|there|speaking)"
)
_ABILITIES = re.compile(
    r"what (?:can|do|could) (?:you|i|we) (?:do|ask|say|know|talk about|tell me)(?: you| to you| about| with you| here)?|help(?: me)?|"
    r"how can you help me|i need(?: some)? help|what (?:questions )?can i ask(?: you)?|what are you (?:good )?for|"
    r"what (?:topics|subjects|documents) do you (?:know|have)(?: about)?|what do you know(?: about)?|what else(?: can you do)?|"
    r"what are your (?:topics|documents|abilities)|(?:tell|ask) me something|say something"
)


def reply(request: Request, library: Library) -> Reply | None:
    """A short answer to small talk, or None."""
    for core in dict.fromkeys((request.said, request.core)):
        for pattern, options in _TABLE:
            if pattern.fullmatch(core):
                return Reply((request.one_of(options),))
        if _WHO.fullmatch(core):
            return Reply((introduction(request), abilities(library)))
        if _ABILITIES.fullmatch(core):
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
    title = title.removeprefix("About ").rstrip(".!?")
    first, _, rest = title.partition(" ")
    is_plain = first[1:].islower() and rest and not any(word[:1].isupper() for word in rest.split())
    return f"{first.lower()} {rest}" if is_plain else title
