"""Long conversations and callers who come back, over the socket."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from typer.testing import CliRunner

from fakes import ScriptedAsr, ScriptedLlm, ToneTts, fake_engines
from live import eventually
from recordings import silence, tone
from talkover.engines import LlmCall, LlmFinished, LlmText
from talkover.memory.command import app as memory_command
from talkover.messages import Prompt
from wire import WireClient

UTTERANCE = np.concatenate([tone(0.6), silence(1.2)])


def test_a_long_conversation_is_summarised_beside_the_answers(serve) -> None:
    llm = ScriptedLlm(reply=lambda prompt: "They want lamps." if prompt.in_background else "Fine.")
    server = serve(fake_engines(llm=llm), "llm.history_tokens=500")
    with WireClient(server.ws_url) as client:
        client.update(output_modalities=["text"])
        for index in range(12):
            client.ask(f"Question {index}. " + "I would like to know more about your lamps. " * 5)
            client.nth("response.done", index + 1)
        assert eventually(lambda: any(prompt.in_background for prompt in llm.prompts))
        before = len(llm.prompts)
        for index in range(3):
            client.ask(f"And now {index}?")
            client.nth("response.done", 13 + index)
        answered = [prompt for prompt in llm.prompts[before:] if not prompt.in_background]
    assert answered[-1].summary == "They want lamps."
    assert all(len(prompt.messages) < 20 for prompt in answered)
    background = next(prompt for prompt in llm.prompts if prompt.in_background)
    assert "User: Question 0." in str(background.messages)
    assert background.tools == ()


def remembering(prompt: Prompt) -> list[LlmText | LlmCall | LlmFinished]:
    """Calls the tool once, and tells what it is told."""
    if any("keep that in mind" in getattr(message, "output", "") for message in prompt.messages):
        return [LlmText("I will keep that in mind.")]
    return [LlmCall(0, "remember_caller", ""), LlmCall(0, "remember_caller", '{"note": "the name is Ada"}')]


def test_what_a_caller_agrees_to_is_known_at_the_next_call_and_can_be_deleted(serve, tmp_path: Path) -> None:
    database = tmp_path / "memory.sqlite"
    llm = ScriptedLlm(reply=remembering)  # type: ignore[arg-type]
    asr = ScriptedAsr("My name is Ada, remember that.", "Yes, please.", "Hello again.")
    server = serve(fake_engines(asr, llm, ToneTts(ms_per_char=5)), "memory.enabled=true", f"memory.path={database}")
    with WireClient(server.ws_url, check=False) as client:
        client.update(s2s={"version": 1, "events": [], "caller": "+49 30 1234"})
        client.say(UTTERANCE)
        client.until("response.output_audio_transcript.done")
        assert "the name is Ada" in client.of("response.output_audio_transcript.done")[-1]["transcript"]
        assert not run("list", database)
        client.read_for(0.8)
        client.say(UTTERANCE)
        assert eventually(lambda: "the name is Ada" in run("export", database, "+49 30 1234"))
    with WireClient(server.ws_url, check=False) as client:
        client.update(s2s={"version": 1, "events": [], "caller": "+49 30 1234"})
        client.read_for(0.2)
        client.say(UTTERANCE)
        client.until("response.created")
        assert eventually(lambda: llm.prompts[-1].known == ("the name is Ada",))
    assert "is forgotten" in run("delete", database, "+49 30 1234")
    assert not run("list", database)


def test_who_is_not_named_is_not_remembered(serve, tmp_path: Path) -> None:
    llm = ScriptedLlm()
    server = serve(fake_engines(llm=llm), "memory.enabled=true", f"memory.path={tmp_path / 'memory.sqlite'}")
    with WireClient(server.ws_url) as client:
        client.update(output_modalities=["text"])
        client.ask("Remember me.")
        client.until("response.done")
    assert llm.prompts[0].tools == ()


def run(command: str, database: Path, *arguments: str) -> str:
    """What `talkover memory` prints."""
    return CliRunner().invoke(memory_command, [command, *arguments, "--set", f"memory.path={database}"]).output
