"""The stage that asks the turn model, beside recognition: nothing waits for it."""

from __future__ import annotations

from collections.abc import Iterator

from talkover.engines import IsStale, TurnModel
from talkover.messages import TurnOpinion, TurnQuestion


class TurnJudge:
    """One session's questions to a model that all sessions share."""

    name = "turn model"

    def __init__(self, model: TurnModel) -> None:
        self._model = model

    def process(self, item: TurnQuestion, is_stale: IsStale) -> Iterator[TurnOpinion]:
        yield TurnOpinion(item.item_id, item.revision, self._model.end_probability(item.samples, item.messages))

    def reset(self) -> None:
        """Nothing is kept between questions."""
