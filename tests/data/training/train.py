"""Train the small models of tests/data/models: Paraformer, its streaming twin, and punctuation.

    pip install torch==2.13.0 && pip install -e ".[full,dev]"
    python tests/data/training/train.py

Everything is made here: sentences from templates, speech by espeak-ng and (if installed) flite, no recording of anyone.
On one core it takes about an hour; `--quick` checks the way in minutes, without a model worth keeping.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

import numpy as np
import paraformer
import punctuation
import torch
from examples import Example, error_rate, examples, normalisation, variations
from sentences import Sentence, all_sentences, split, vocabulary
from voices import UNSEEN_VARIANTS, VARIANTS, augmented, spoken

from talkover.asr.funasr_models import load_model
from talkover.asr.offline_paraformer import OfflineParaformer
from talkover.asr.streaming_paraformer import StreamingParaformer
from talkover.messages import Samples

MODELS = Path(__file__).parent.parent / "models"
RECORDINGS, EXAMPLES = 3600, 7000
OFFLINE_STEPS, STREAMING_STEPS, PUNCTUATION_STEPS = 5000, 4000, 800
HELD_OUT = 100
QUICK = 50
"""how many times less of everything"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=MODELS)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    share = QUICK if options.quick else 1
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # small gradients of quiet features would be ten times slower
    torch.manual_seed(0)
    random.seed(0)
    rng = np.random.default_rng(0)
    known, held = split(all_sentences())
    options.output.mkdir(parents=True, exist_ok=True)
    rows = [{"text": one.text, "spoken": one.spoken, "language": one.language} for one in held]
    text = json.dumps(rows, ensure_ascii=False, indent=1) + "\n"
    (options.output / "held_out.json").write_text(text, encoding="utf-8")
    punctuation.train(known, PUNCTUATION_STEPS // share, options.output / "punctuation", print)
    print(f"speaking {RECORDINGS // share} of {len(known)} sentences")
    made = spoken(known, VARIANTS, RECORDINGS // share, rng)
    ids = {token: index for index, token in enumerate(vocabulary())}
    learned = examples(variations(made, EXAMPLES // share, rng), ids)
    cmvn = normalisation(learned)
    initial = None
    for name, steps in (("paraformer", OFFLINE_STEPS), ("paraformer-streaming", STREAMING_STEPS)):
        initial = train_one(options.output / name, learned, cmvn, steps // share, initial)
    for title, variants in (("voices it knows", VARIANTS), ("voices it does not", UNSEEN_VARIANTS)):
        evaluate(options.output, spoken(held, variants, HELD_OUT, rng), title, rng)


def train_one(
    folder: Path,
    learned: list[Example],
    cmvn: tuple[torch.Tensor, torch.Tensor],
    steps: int,
    initial: dict[str, torch.Tensor] | None,
) -> dict[str, torch.Tensor]:
    """One Paraformer; the streaming one begins with the weights of the offline one, whose shapes are the same."""
    words = vocabulary()
    configured = paraformer.configuration(words, streaming=initial is not None)
    model = paraformer.build(configured)
    if initial is not None:
        model.load_state_dict(initial)
    paraformer.train(model, learned, cmvn, steps, print)
    paraformer.save(folder, model, configured, words, cmvn)
    return model.state_dict()


def evaluate(folder: Path, made: list[tuple[Sentence, Samples]], title: str, rng: np.random.Generator) -> None:
    """Token error rates on sentences never trained on, through the classes the engine decodes with."""
    wanted = [sentence.tokens for sentence, _ in made]
    audio = [augmented(samples, rng) for _, samples in made]
    offline = OfflineParaformer(load_model(folder / "paraformer", "--output", ("Paraformer",), "cpu"), ())
    got = [[token.text for token in tokens] for tokens in offline.recognise(audio)]
    loaded = load_model(folder / "paraformer-streaming", "--output", ("ParaformerStreaming",), "cpu")
    streaming = StreamingParaformer(loaded, 600)
    streamed = [streamed_tokens(streaming, samples) for samples in audio]
    print(f"{title}: offline {error_rate(wanted, got):.1%}, streaming {error_rate(wanted, streamed):.1%} token errors")


def streamed_tokens(model: StreamingParaformer, samples: Samples) -> list[str]:
    cache = model.start()
    size = model.chunk_samples
    begins = range(0, max(1, samples.size), size)
    for begin in begins:
        model.step(cache, samples[begin : begin + size], final=begin == begins[-1])
    return [token.text for token in cache.tokens]


if __name__ == "__main__":
    main()
