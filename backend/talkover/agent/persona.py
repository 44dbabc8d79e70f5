"""Who the agent is: instructions, greeting and voice in a TOML file of their own, named by `session.persona`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from talkover.config import ConfigError, Settings, toml_tree
from talkover.resources import resource


class Persona(BaseModel):
    """One agent, beside the settings of a server."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    instructions: Annotated[str, Field(min_length=1, max_length=20_000)]
    greeting: Annotated[str, Field(max_length=1000)] = ""
    voice: Annotated[str, Field(max_length=64)] = ""
    """empty: the server's"""


def with_persona(settings: Settings) -> Settings:
    """The settings with what their persona says where they say nothing themselves. Raises ConfigError."""
    if settings.session.persona is None:
        return settings
    persona = load_persona(settings.session.persona)
    session: dict[str, Any] = {"instructions": persona.instructions}
    if persona.voice:
        session["voice"] = persona.voice
    for key in settings.session.model_fields_set:
        session.pop(key, None)
    greets = persona.greeting and "greeting" not in settings.agent.model_fields_set
    agent = {"greeting": persona.greeting} if greets else {}
    return settings.model_copy(
        update={
            "session": settings.session.model_copy(update=session),
            "agent": settings.agent.model_copy(update=agent),
        }
    )


def load_persona(name: str) -> Persona:
    """The persona called `name`, or in the file of that path. Raises ConfigError with every problem of it."""
    folder = resource("configs") / "personas"
    path = Path(name) if name.endswith(".toml") else folder / f"{name}.toml"
    if not path.is_file():
        raise ConfigError([f"session.persona: must be one of {', '.join(_names(folder))} or a TOML file, got {name!r}"])
    try:
        return Persona.model_validate(toml_tree(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        problems = [f"{path}: {'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        raise ConfigError(problems) from error
    except ValueError as error:
        raise ConfigError([f"{path}: is not valid TOML: {error}"]) from error


def _names(folder: Path) -> Sequence[str]:
    return sorted(path.stem for path in folder.glob("*.toml"))
