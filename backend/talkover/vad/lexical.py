"""Do the words so far look like a finished turn? Pure rules for English and Mandarin."""

from __future__ import annotations

BACKCHANNELS = frozenset(
    ("uh-huh", "mm", "mhm", "hmm", "yeah", "yes", "ok", "okay", "right", "sure", "嗯", "对", "好的")
)


def looks_finished(text: str) -> float:
    """Probability in [0, 1] that nothing follows; 0.5 for no text."""
    return 0.9 if text.rstrip().endswith(("?", "？")) else 0.5


def is_backchannel(text: str) -> bool:
    """Whether the text only says "I am listening"."""
    words = text.lower().replace(",", " ").replace(".", " ").split()
    return bool(words) and all(word in BACKCHANNELS for word in words)
