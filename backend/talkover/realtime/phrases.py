"""What the agent says of itself, none of it the LLM's words, by language.

Each such phrase is an *interjection*: the user hears it, the history the LLM sees never holds it.
"""

from __future__ import annotations

from typing import Literal

Kind = Literal["filler", "bridge", "reprompt", "goodbye", "backchannel", "closing"]
"""a filler bridges the wait for a late answer, a bridge the wait for a tool; a re-prompt asks a silent user, a
backchannel tells one who speaks for long that they are heard, and closing is what is said when the server stops"""
Remark = Literal["gave_up", "left_undone", "not_understood", "broke_down", "not_recorded"]
"""what the agent owes the user when there is no answer; they belong to the conversation"""

METADATA_KEY = "s2s"
"""names the kind in the metadata of a response whose words are not the LLM's"""

PHRASES: dict[str, dict[Kind, tuple[str, ...]]] = {
    "en": {
        "filler": ("Let me see.", "One moment.", "Let me think.", "Just a second."),
        "bridge": (
            "One moment, I'm looking that up for you.",
            "This is taking a little longer, I'm still on it.",
            "Thank you for waiting, I should have it shortly.",
            "I'm still waiting for the answer, please bear with me.",
        ),
        "reprompt": ("Are you still there?", "Can you hear me? Take your time."),
        "goodbye": ("I can't hear you any more, so I'll say goodbye for now.",),
        "backchannel": ("Mm-hm.", "I see.", "Uh-huh.", "Right."),
        "closing": ("I'm sorry, I have to stop here. Please call again in a moment. Goodbye.",),
    },
    "zh": {
        "filler": ("我看看。", "稍等一下。", "我想一想。", "请稍等。"),
        "bridge": (
            "请稍等，我正在帮您查询。",
            "查询还需要一点时间，请再等一下。",
            "感谢您的耐心等待，马上就好。",
            "我还在等结果，请稍候。",
        ),
        "reprompt": ("您还在吗？", "您听得到我说话吗？不着急。"),
        "goodbye": ("我听不到您的声音了，那就先再见了。",),
        "backchannel": ("嗯。", "嗯嗯。", "好的。", "是的。"),
        "closing": ("抱歉，我得先挂断了，请您稍后再打来。再见。",),
    },
    "de": {
        "filler": ("Einen Moment.", "Mal sehen.", "Ich schaue kurz nach.", "Augenblick."),
        "bridge": (
            "Einen Moment, ich schaue für Sie nach.",
            "Das dauert noch ein wenig, ich bin dabei.",
            "Danke für Ihre Geduld, gleich habe ich es.",
            "Ich warte noch auf die Antwort, einen Augenblick bitte.",
        ),
        "reprompt": ("Sind Sie noch da?", "Hören Sie mich? Lassen Sie sich Zeit."),
        "goodbye": ("Ich höre Sie leider nicht mehr. Auf Wiederhören.",),
        "backchannel": ("Mhm.", "Ja.", "Verstehe.", "Aha."),
        "closing": ("Ich muss hier leider aufhören. Bitte rufen Sie gleich noch einmal an. Auf Wiederhören.",),
    },
    "es": {
        "filler": ("A ver.", "Un momento.", "Déjame pensar.", "Un segundo."),
        "bridge": (
            "Un momento, lo estoy consultando.",
            "Está tardando un poco más, sigo en ello.",
            "Gracias por esperar, enseguida lo tengo.",
            "Todavía espero la respuesta, un momento por favor.",
        ),
        "reprompt": ("¿Sigue ahí?", "¿Me oye? Tómese su tiempo."),
        "goodbye": ("Ya no le oigo, así que me despido. Adiós.",),
        "backchannel": ("Ajá.", "Ya veo.", "Sí.", "Claro."),
        "closing": ("Lo siento, tengo que terminar aquí. Vuelva a llamar en un momento. Adiós.",),
    },
    "fr": {
        "filler": ("Voyons.", "Un instant.", "Laissez-moi réfléchir.", "Une seconde."),
        "bridge": (
            "Un instant, je regarde cela pour vous.",
            "Cela prend un peu plus de temps, je m'en occupe.",
            "Merci de patienter, j'y suis presque.",
            "J'attends encore la réponse, merci de patienter.",
        ),
        "reprompt": ("Vous êtes toujours là ?", "Vous m'entendez ? Prenez votre temps."),
        "goodbye": ("Je ne vous entends plus, alors je vous dis au revoir.",),
        "backchannel": ("Mm-hm.", "Je vois.", "Oui.", "D'accord."),
        "closing": ("Je suis désolé, je dois m'arrêter ici. Rappelez dans un instant. Au revoir.",),
    },
}
"""of the bridges the first is said first, and only then"""

REMARKS: dict[str, dict[Remark, str]] = {
    "en": {
        "gave_up": "I'm sorry, I could not get that done.",
        "left_undone": "All right, I will leave it.",
        "not_understood": "Sorry, I could not hear that properly. Could you say it again?",
        "not_recorded": "All right, this call is not recorded.",
        "broke_down": "Sorry, something went wrong just now. Please try again.",
    },
    "zh": {
        "gave_up": "抱歉，我没能完成这件事。",
        "left_undone": "好的，那就不做了。",
        "not_understood": "抱歉，我没有听清楚，您能再说一遍吗？",
        "not_recorded": "好的，这次通话不会录音。",
        "broke_down": "抱歉，刚才出了点问题，请再说一遍。",
    },
    "de": {
        "gave_up": "Das ist mir leider nicht gelungen.",
        "left_undone": "Gut, dann lasse ich es.",
        "not_understood": "Entschuldigung, das habe ich nicht verstanden. Sagen Sie es bitte noch einmal?",
        "not_recorded": "In Ordnung, dieses Gespräch wird nicht aufgezeichnet.",
        "broke_down": "Entschuldigung, da ist etwas schiefgegangen. Versuchen Sie es bitte noch einmal.",
    },
    "es": {
        "gave_up": "Lo siento, no he podido hacerlo.",
        "left_undone": "De acuerdo, lo dejo.",
        "not_understood": "Perdone, no le he oído bien. ¿Puede repetirlo?",
        "not_recorded": "De acuerdo, esta llamada no se graba.",
        "broke_down": "Perdone, algo ha fallado. Inténtelo otra vez, por favor.",
    },
    "fr": {
        "gave_up": "Je suis désolé, je n'y suis pas arrivé.",
        "left_undone": "D'accord, je n'y touche pas.",
        "not_understood": "Pardon, je n'ai pas bien entendu. Pouvez-vous répéter ?",
        "not_recorded": "D'accord, cet appel n'est pas enregistré.",
        "broke_down": "Pardon, quelque chose n'a pas marché. Réessayez, s'il vous plaît.",
    },
}


def phrases(kind: Kind, language: str) -> tuple[str, ...]:
    """At least one; English for a language that has none here."""
    return PHRASES.get(language, PHRASES["en"])[kind]


def bridge(language: str, count: int) -> str:
    """What to say while a tool works, `count` phrases having filled the same wait before."""
    first, *others = phrases("bridge", language)
    return others[(count - 1) % len(others)] if count else first


def remark(kind: Remark, language: str) -> str:
    """English for a language that has none here."""
    return REMARKS.get(language, REMARKS["en"])[kind]
