"""Is a turn meant for the agent? While it is silent, every voice in the room makes one. Pure.

Loudness alone cannot tell: a user who leans back is as quiet as a neighbour. But a quiet voice whose words are not
understood either is mostly a neighbour or a television, and an answer to it disturbs more than none to the user, who
says it again.
"""

from __future__ import annotations

UNDERSTOOD_FROM = 0.5
"""confidence of the recogniser: what is said to others is also further from the words it expects"""
SAID_AGAIN_WITHIN_S = 6.0


def is_addressed(is_distant: bool, confidence: float | None, since_passed_over_s: float | None) -> bool:
    """Whether to answer. `since_passed_over_s`: from the last turn that was not answered for this to the end of this
    one; None when there was none."""
    if not is_distant or confidence is None or confidence >= UNDERSTOOD_FROM:
        return True
    return since_passed_over_s is not None and since_passed_over_s <= SAID_AGAIN_WITHIN_S
