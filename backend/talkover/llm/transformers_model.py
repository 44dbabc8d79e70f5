"""A chat model of a local folder through Hugging Face transformers: Qwen, Llama, Gemma and others with a template.

Text is made token by token in our own loop: `generate` can be neither stopped between tokens without a thread nor
shared between conversations. What the model has read of a conversation is kept, so that a turn costs the new words
only. Weights are read from the folder, and no code that lies there is run.

Settings: `llm.model` (a folder, or a hub name), `llm.device`, `llm.precision`, `llm.temperature` (none: the model's own
way of sampling), `llm.timeout_s`, `llm.first_token_timeout_s`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from jinja2 import TemplateError
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    DynamicCache,
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)
from transformers.utils.logging import disable_progress_bar

from talkover.config import Settings
from talkover.engines import EngineFailed, EngineUnavailable, IsStale, LlmEvent, LlmFinished
from talkover.llm.model_turns import ModelTurns
from talkover.llm.prompt import chat_messages, chat_tools
from talkover.llm.token_text import AnswerText, TokenText
from talkover.messages import Prompt, Usage
from talkover.models import find_model
from talkover.sections.engines import LlmSettings

log = logging.getLogger(__name__)

disable_progress_bar()  # a bar for every load, with a thread that never ends

FILES = ("config.json", "tokenizer_config.json")
MAX_NEW_TOKENS = 1024
READ_TOKENS = 64
"""of a prompt in one step on a CPU, about 50 ms for a model of half a billion parameters; a GPU takes eight times as
many"""
KEPT_CONVERSATIONS = 4
"""whose reading is remembered while they wait for their next turn"""
DEFAULT_CONTEXT_TOKENS = 4096
"""where a model does not tell"""
PROBE = "probe-4711"


@dataclass(slots=True)
class _Reading:
    """What the model has read: the tokens, and its memory of them."""

    tokens: list[int]
    cache: DynamicCache


class TransformersResponder:
    """Shared by all sessions; their answers take turns at the model, token by token."""

    name = "transformers"

    def __init__(self, settings: LlmSettings, folder: Path) -> None:
        """Loads tokenizer and weights. Raises EngineUnavailable."""
        self._settings = settings
        self._device = _device(settings.device)
        dtype = _dtype(settings.precision, self._device)
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            model: Any = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype=dtype)
        except (OSError, ValueError, KeyError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise EngineUnavailable(f"llm.model: {str(folder)!r} cannot be loaded: {reason}") from error
        if not getattr(self._tokenizer, "chat_template", None):
            raise EngineUnavailable(f"llm.model: {str(folder)!r} has no chat template; take an instruct or chat model")
        self._model: Any = model.to(self._device).eval()
        self._chunk = READ_TOKENS if self._device.type == "cpu" else 8 * READ_TOKENS
        self._context_tokens = _context_tokens(model.config)
        self._ends = _end_tokens(model.generation_config, self._tokenizer)
        self._controls = tuple(sorted(_control_words(self._tokenizer), key=len, reverse=True))
        self._knows_tools = self._template_shows_tools()
        self._turns = ModelTurns()
        self._kept: list[_Reading] = []
        self._lock = threading.Lock()
        """of `_kept`"""

    def warmup(self) -> None:
        """The first pass through a model is slow: it is made here."""
        prompt = Prompt("Be brief.", (), max_output_tokens=2)
        try:
            for _ in self._answer(prompt, False, AnswerText(can_call=False), lambda: False):
                pass
        except EngineFailed as error:
            raise EngineUnavailable(f"llm engine 'transformers': {error}") from error
        self._kept.clear()

    def close(self) -> None:
        self._kept.clear()

    def respond(self, prompt: Prompt, is_stale: IsStale) -> Iterator[LlmEvent]:
        """Stream the answer; ends silently between two tokens once it is stale. Raises EngineFailed."""
        offered = frozenset(tool.name for tool in prompt.tools)
        for passages_as_call in (True, False) if self._knows_tools else (False,):
            shows_calls = bool(prompt.tools) or (passages_as_call and prompt.passages is not None)
            answer = AnswerText(self._knows_tools and shows_calls, offered)
            finished = yield from self._answer(prompt, passages_as_call, answer, is_stale)
            if finished is None:
                return
            if not (answer.left_out_a_call and passages_as_call and prompt.passages is not None):
                if finished.reason == "stop" and not answer.has_said:
                    raise EngineFailed("the model gave an empty answer")
                yield finished
                return
            log.info("the model asked for a search that was made; it is told so in another form")

    def _answer(
        self, prompt: Prompt, passages_as_call: bool, answer: AnswerText, is_stale: IsStale
    ) -> Generator[LlmEvent, None, LlmFinished | None]:
        """One answer; returns how it ended, None once stale. Raises EngineFailed."""
        tokens = self._prompt_tokens(prompt, passages_as_call)
        room = self._context_tokens - len(tokens)
        if room < 1:
            raise EngineFailed(
                f"the prompt has {len(tokens)} tokens, the model reads {self._context_tokens}; lower llm.history_tokens"
            )
        limit = min(room, prompt.max_output_tokens or MAX_NEW_TOKENS)
        text = TokenText(self._decode)
        reason, n_made = "length", 0
        with nullcontext() if prompt.in_background else self._turns.conversation():
            for token in self._made(tokens, limit, is_stale, prompt.in_background):
                n_made += 1
                if token in self._ends:
                    reason = "stop"
                    break
                yield from answer.feed(text.feed(token))
            else:
                if n_made < limit:
                    return None  # stale
        yield from answer.feed(text.flush())
        yield from answer.flush()
        reason = "tool_calls" if answer.n_calls else reason
        return LlmFinished(reason, Usage(input_tokens=len(tokens), output_tokens=n_made))

    # ------------------------------------------------------------------------------------------------ the model

    def _made(self, tokens: list[int], limit: int, is_stale: IsStale, in_background: bool) -> Iterator[int]:
        """New tokens, at most `limit`; fewer when it went stale. Raises EngineFailed when it takes too long."""
        began_s = time.monotonic()
        first_by_s = began_s + self._settings.first_token_timeout_s
        done_by_s = began_s + self._settings.timeout_s
        reading, pending = self._recalled(tokens)
        sample = self._sampler()
        made = 0
        try:
            while made < limit:
                now_s = time.monotonic()
                if now_s >= (done_by_s if made else min(first_by_s, done_by_s)) and not in_background:
                    raise EngineFailed(f"the model made {made} tokens in {now_s - began_s:.0f} s, then time was up")
                with self._turns.step(is_stale, in_background) as has_model:
                    if not has_model:
                        return
                    logits = self._read(reading, pending[: self._chunk])
                    pending = pending[self._chunk :]
                    if pending:
                        continue
                    token = sample(reading.tokens, logits)
                pending = [token]
                made += 1
                yield token
        finally:
            # a pass that failed half-way, such as for memory, leaves a cache that holds more than was read
            if reading.cache.get_seq_length() == len(reading.tokens):
                self._keep(reading)

    @torch.inference_mode()
    def _read(self, reading: _Reading, tokens: Sequence[int]) -> torch.Tensor:
        """(vocabulary,) logits of what comes after `tokens`, which are added to the reading."""
        start = len(reading.tokens)
        ids = torch.tensor([list(tokens)], device=self._device)  # (1, n)
        positions = torch.arange(start, start + len(tokens), device=self._device)[None]  # (1, n)
        output = self._model(
            input_ids=ids, position_ids=positions, past_key_values=reading.cache, use_cache=True, logits_to_keep=1
        )
        reading.tokens.extend(tokens)
        return output.logits[0, -1].float()

    def _recalled(self, tokens: list[int]) -> tuple[_Reading, list[int]]:
        """The kept reading that shares the longest beginning with `tokens`, cut to it, and the tokens still unread."""
        with self._lock:
            best = max(self._kept, key=lambda kept: _common(kept.tokens, tokens), default=None)
            shared = 0 if best is None else min(_common(best.tokens, tokens), len(tokens) - 1)
            # the beginning of every template is the same: what shares little is another conversation
            if best is None or shared <= len(best.tokens) // 2:
                return _Reading([], DynamicCache(config=self._model.config)), tokens
            self._kept.remove(best)
        surplus = len(best.tokens) - shared
        if surplus:
            try:
                best.cache.crop(-surplus)
            except RuntimeError:  # a sliding window has forgotten what would be needed
                return _Reading([], DynamicCache(config=self._model.config)), tokens
            del best.tokens[shared:]
        return best, tokens[shared:]

    def _keep(self, reading: _Reading) -> None:
        with self._lock:
            self._kept.append(reading)
            del self._kept[:-KEPT_CONVERSATIONS]

    def _sampler(self) -> Any:
        """(tokens so far, logits) -> next token, as `llm.temperature` or the model's own configuration says."""
        own = self._model.generation_config
        temperature = self._settings.temperature
        if temperature is None:
            temperature = (own.temperature or 1.0) if own.do_sample else 0.0
        steps: Any = LogitsProcessorList()
        if own.repetition_penalty not in (None, 1.0):
            steps.append(RepetitionPenaltyLogitsProcessor(own.repetition_penalty))
        if temperature:
            steps.append(TemperatureLogitsWarper(temperature))
            if own.top_k:
                steps.append(TopKLogitsWarper(own.top_k))
            if own.top_p is not None and own.top_p < 1.0:
                steps.append(TopPLogitsWarper(own.top_p))

        def sample(tokens: Sequence[int], logits: torch.Tensor) -> int:
            ids = torch.tensor([list(tokens)], device=logits.device)
            scores = steps(ids, logits[None]) if steps else logits[None]  # (1, vocabulary)
            if not temperature:
                return int(scores.argmax(-1))
            return int(torch.multinomial(scores.softmax(-1), 1))

        return sample

    # ---------------------------------------------------------------------------------------------- the template

    def _prompt_tokens(self, prompt: Prompt, passages_as_call: bool) -> list[int]:
        messages = chat_messages(prompt, passages_as_call)
        tools = (
            chat_tools(prompt.tools) if prompt.tools and self._knows_tools and prompt.tool_choice != "none" else None
        )
        try:
            text = self._templated(self._disarmed(messages), self._disarmed(tools))
        except TemplateError as error:
            raise EngineFailed(f"the model's chat template refuses the conversation: {error}") from error
        return cast("list[int]", self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _templated(self, messages: Any, tools: Any) -> str:
        return cast(
            "str",
            self._tokenizer.apply_chat_template(
                messages, tools=tools, tokenize=False, add_generation_prompt=True, enable_thinking=False
            ),
        )

    def _disarmed(self, value: Any) -> Any:
        """Without the words that steer the model: nobody's text may begin a message of another role."""
        match value:
            case str():
                for word in self._controls:
                    value = value.replace(word, " ")
                return value
            case list():
                return [self._disarmed(part) for part in cast("list[Any]", value)]
            case dict():
                return {key: self._disarmed(part) for key, part in cast("dict[str, Any]", value).items()}
            case _:
                return value

    def _template_shows_tools(self) -> bool:
        """Whether functions, calls and their results reach the model at all: many templates leave them out."""
        function: dict[str, Any] = {"name": "look_up", "arguments": {}}
        call = {"id": "abcdefghi", "type": "function", "function": function}
        messages = [
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "abcdefghi", "name": "look_up", "content": PROBE},
        ]
        tool = {"type": "function", "function": {"name": "look_up", "description": "", "parameters": {}}}
        try:
            text = self._templated(messages, [tool])
        except (TemplateError, TypeError, ValueError):
            return False
        return PROBE in text and "look_up" in text

    def _decode(self, tokens: Sequence[int]) -> str:
        return cast("str", self._tokenizer.decode(list(tokens), skip_special_tokens=True))


def create(settings: Settings) -> TransformersResponder:
    """The engine for `settings.llm`. Raises EngineUnavailable, naming what is missing."""
    if settings.llm.model is None:
        raise EngineUnavailable("llm engine 'transformers' needs a model: set llm.model to a folder or a hub name")
    return TransformersResponder(settings.llm, find_model(settings.llm.model, settings.models, FILES))


def _common(left: Sequence[int], right: Sequence[int]) -> int:
    """How many tokens two sequences share at their beginning."""
    shared = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        shared += 1
    return shared


def _device(name: str) -> torch.device:
    if name != "auto":
        return torch.device(name)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _dtype(precision: str, device: torch.device) -> Any:
    if precision == "auto":
        return torch.float32 if device.type == "cpu" else "auto"
    return getattr(torch, precision)


def _context_tokens(config: Any) -> int:
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    return int(getattr(text, "max_position_embeddings", None) or DEFAULT_CONTEXT_TOKENS)


def _end_tokens(generation: Any, tokenizer: Any) -> frozenset[int]:
    """Any of them ends an answer: models list several, tokenizers one."""
    own = generation.eos_token_id
    listed: list[int] = own if isinstance(own, list) else [own]
    return frozenset(token for token in (*listed, tokenizer.eos_token_id) if token is not None)


def _control_words(tokenizer: Any) -> frozenset[str]:
    added: Mapping[int, Any] = getattr(tokenizer, "added_tokens_decoder", {})
    words = {str(token) for token in added.values()} | set(tokenizer.all_special_tokens)
    return frozenset(word for word in words if word.strip())
