"""The final pass: whole utterances through an offline Paraformer, several at once.

Takes the steps of FunASR's `inference` one by one, for three reasons: that one returns no probabilities, fails when
nothing was said, and lets neighbours in a batch change each other's last word. Contextual and SeACo models hear with
a list of words to expect.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from talkover.asr.funasr_models import FunasrModel
from talkover.asr.tokens import Token
from talkover.messages import Samples

MODELS = ("Paraformer", "BiCifParaformer", "ContextualParaformer", "SeacoParaformer")
MIN_SAMPLES = 960
"""one frame of 60 ms; less holds no word"""
_WITH_HOTWORDS = ("ContextualParaformer", "SeacoParaformer")
_LENGTH_RATIO = 2.0
"""longest to shortest of one batch: beyond, the padding costs more than the batch saves"""

_log = logging.getLogger(__name__)


class OfflineParaformer:
    """Decodes whole utterances; used by one thread."""

    def __init__(self, loaded: FunasrModel, hotwords: Sequence[str]) -> None:
        self._loaded = loaded
        self._model: Any = loaded.model
        self._takes_hotwords = loaded.name in _WITH_HOTWORDS
        self._seg_dict = _seg_dict(loaded)
        self._hotwords = self._hotword_ids(hotwords)
        if hotwords and not self._takes_hotwords:
            _log.warning("asr.hotwords: %s takes none; a contextual or SeACo model would", loaded.name)
        elif unknown := [word for word in hotwords if not self._hotword_ids([word])]:
            _log.warning("asr.hotwords: the vocabulary of the model cannot write %s", ", ".join(map(repr, unknown)))

    def recognise(self, utterances: Sequence[Samples], hint: Sequence[str] = ()) -> list[list[Token]]:
        """Tokens of each of (n,) float32 at 16 kHz; none where nothing was said. `hint`: more words to expect."""
        found: list[list[Token]] = [[] for _ in utterances]
        audible = [index for index, samples in enumerate(utterances) if samples.size >= MIN_SAMPLES]
        hotwords = self._hotwords + self._hotword_ids(hint) if self._takes_hotwords else []
        for group in _of_similar_length(audible, utterances):
            with torch.inference_mode():
                decoded = self._decode([utterances[index] for index in group], hotwords)
            for index, tokens in zip(group, decoded, strict=True):
                found[index] = tokens
        return found

    def _decode(self, utterances: Sequence[Samples], hotwords: Sequence[Sequence[int]]) -> list[list[Token]]:
        encoded, lengths = self._model.encode(*self._loaded.features(utterances))  # (B, T, D), (B,)
        if isinstance(encoded, tuple):
            encoded = encoded[0]
        # FunASR fires tokens for a whole batch at once, where padding reaches into the last frame of the shorter
        # ones, and fails when the last one fires none; this part costs next to nothing
        fired = [self._fire(encoded[row : row + 1, : int(length)]) for row, length in enumerate(lengths)]
        counts = torch.tensor([len(embeddings) for embeddings in fired], device=encoded.device)
        if int(counts.max()) == 0:
            return [[] for _ in utterances]
        embeddings = pad_sequence(fired, batch_first=True)  # (B, U, D)
        log_probabilities = self._score(encoded, lengths, embeddings, counts, hotwords)  # (B, U, V)
        return [self._tokens(log_probabilities[row, : int(count)]) for row, count in enumerate(counts)]

    def _fire(self, encoded: torch.Tensor) -> torch.Tensor:
        """Acoustic embeddings of one utterance, (U, D), from (1, T, D)."""
        length = torch.tensor([encoded.size(1)], device=encoded.device)
        embeddings, count, *_ = self._model.calc_predictor(encoded, length)
        return embeddings[0, : max(0, int(count.round()))]

    def _score(
        self,
        encoded: torch.Tensor,
        lengths: torch.Tensor,
        embeddings: torch.Tensor,
        counts: torch.Tensor,
        hotwords: Sequence[Sequence[int]],
    ) -> torch.Tensor:
        words = [*hotwords, [self._model.sos]] if hotwords else None  # the last one stands for none of them
        if self._loaded.name == "SeacoParaformer":
            scores: torch.Tensor = self._model._seaco_decode_with_ASF(
                encoded, lengths, embeddings, counts, hw_list=words
            )
            return scores
        extra = {"hw_list": words} if self._takes_hotwords else {}
        scores, _ = self._model.cal_decoder_with_predictor(encoded, lengths, embeddings, counts, **extra)
        return scores

    def _tokens(self, log_probabilities: torch.Tensor) -> list[Token]:
        return best_tokens(self._loaded, log_probabilities)

    def _hotword_ids(self, words: Sequence[str]) -> list[list[int]]:
        """Each word as token ids; words with a piece the vocabulary does not have are left out."""
        if not self._takes_hotwords:
            return []
        known = {token: index for index, token in enumerate(self._loaded.tokenizer.token_list)}
        found: list[list[int]] = []
        for word in words:
            parts: list[str] = re.findall(r"[a-z0-9']+|[^\W\d_]", word.lower())
            pieces = [piece for part in parts for piece in self._seg_dict.get(part, part).split()]
            ids = [known[piece] for piece in pieces if piece in known]
            if ids and len(ids) == len(pieces):
                found.append(ids)
        return found


def best_tokens(loaded: FunasrModel, log_probabilities: torch.Tensor) -> list[Token]:
    """The likeliest token of each of (U, V) log probabilities, without blanks and marks of begin and end."""
    highest, ids = log_probabilities.max(dim=-1)
    model = loaded.model
    skipped = {model.blank_id, model.sos, model.eos}
    kept = [(index, value) for index, value in zip(ids.tolist(), highest.tolist(), strict=True) if index not in skipped]
    texts: list[str] = loaded.tokenizer.ids2tokens([index for index, _ in kept])
    return [
        Token(text, min(1.0, float(torch.tensor(value).exp()))) for text, (_, value) in zip(texts, kept, strict=True)
    ]


def hint_words(hint: str, limit: int = 50) -> list[str]:
    """The words of a transcription prompt such as `Talkover, CosyVoice`, where it is a list; none of running text."""
    words = [word.strip() for word in re.split(r"[,;，；、\n]+", hint)]
    return [word for word in words if word and len(word) <= 30 and word.count(" ") <= 3][:limit]


def _seg_dict(loaded: FunasrModel) -> dict[str, str]:
    """Word -> its pieces, of models whose English is cut into pieces; empty for others."""
    path = loaded.folder / "seg_dict"
    if not path.is_file():
        return {}
    rows = (line.split(maxsplit=1) for line in path.read_text(encoding="utf-8").splitlines())
    return {row[0]: row[1] for row in rows if len(row) == 2}


def _of_similar_length(indices: Sequence[int], utterances: Sequence[Samples]) -> list[list[int]]:
    groups: list[list[int]] = []
    for index in sorted(indices, key=lambda index: utterances[index].size):
        if groups and utterances[index].size <= _LENGTH_RATIO * utterances[groups[-1][0]].size:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups
