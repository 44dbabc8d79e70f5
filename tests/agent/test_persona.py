"""Personas: what they bring, what wins over them, and what is wrong with one is named."""

from pathlib import Path

import pytest

from talkover.agent.persona import load_persona, with_persona
from talkover.config import ConfigError, load_settings
from talkover.resources import resource

SHIPPED = sorted(path.stem for path in (resource("configs") / "personas").glob("*.toml"))


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_personas_are_valid_and_greet(name: str) -> None:
    persona = load_persona(name)
    assert persona.greeting
    assert persona.instructions


def test_a_persona_fills_what_is_not_set() -> None:
    settings = with_persona(load_settings(overrides=["session.persona=companion"], environ={}))
    assert settings.session.instructions == load_persona("companion").instructions
    assert settings.agent.greeting == load_persona("companion").greeting


def test_what_is_set_wins_over_a_persona(tmp_path: Path) -> None:
    (tmp_path / "ada.toml").write_text('instructions = "You are Ada."\ngreeting = "Hi."\nvoice = "en-gb-f1"\n')
    config = tmp_path / "some.toml"
    config.write_text('[session]\npersona = "./ada.toml"\nvoice = "en-us-m1"\n[agent]\ngreeting = ""\n')
    settings = with_persona(load_settings(config, environ={}))
    assert settings.session.instructions == "You are Ada."
    assert settings.session.voice == "en-us-m1"
    assert settings.agent.greeting == ""


@pytest.mark.parametrize(
    ("text", "problem"),
    [("instructions = 3", "instructions"), ("instructions =", "not valid TOML"), ('greetin = "x"', "greetin")],
)
def test_problems_of_a_persona_are_named(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=problem):
        load_persona(str(path))


def test_an_unknown_persona_is_told_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"session\.persona: must be one of .*receptionist.*got 'nobody'"):
        load_persona("nobody")
