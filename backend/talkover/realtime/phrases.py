"""What the agent says though it has no answer to give, by language."""

from __future__ import annotations

from typing import Literal

Kind = Literal["filler", "reprompt", "goodbye", "backchannel"]

PHRASES: dict[str, dict[Kind, tuple[str, ...]]] = {
    "en": {
        "filler": ("Let me see.", "One moment.", "Let me think.", "Just a second."),
        "reprompt": ("Are you still there?", "Can you hear me? Take your time."),
        "goodbye": ("I can't hear you any more, so I'll say goodbye for now.",),
        "backchannel": ("Mm-hm.", "I see.", "Uh-huh.", "Right."),
    },
    "zh": {
        "filler": ("我看看。", "稍等一下。", "我想一想。", "请稍等。"),
        "reprompt": ("您还在吗？", "您听得到我说话吗？不着急。"),
        "goodbye": ("我听不到您的声音了，那就先再见了。",),
        "backchannel": ("嗯。", "嗯嗯。", "好的。", "是的。"),
    },
    "de": {
        "filler": ("Einen Moment.", "Mal sehen.", "Ich schaue kurz nach.", "Augenblick."),
        "reprompt": ("Sind Sie noch da?", "Hören Sie mich? Lassen Sie sich Zeit."),
        "goodbye": ("Ich höre Sie leider nicht mehr. Auf Wiederhören.",),
        "backchannel": ("Mhm.", "Ja.", "Verstehe.", "Aha."),
    },
    "es": {
        "filler": ("A ver.", "Un momento.", "Déjame pensar.", "Un segundo."),
        "reprompt": ("¿Sigue ahí?", "¿Me oye? Tómese su tiempo."),
        "goodbye": ("Ya no le oigo, así que me despido. Adiós.",),
        "backchannel": ("Ajá.", "Ya veo.", "Sí.", "Claro."),
    },
    "fr": {
        "filler": ("Voyons.", "Un instant.", "Laissez-moi réfléchir.", "Une seconde."),
        "reprompt": ("Vous êtes toujours là ?", "Vous m'entendez ? Prenez votre temps."),
        "goodbye": ("Je ne vous entends plus, alors je vous dis au revoir.",),
        "backchannel": ("Mm-hm.", "Je vois.", "Oui.", "D'accord."),
    },
}


def phrases(kind: Kind, language: str) -> tuple[str, ...]:
    """At least one; English for a language that has none here."""
    return PHRASES.get(language, PHRASES["en"])[kind]
