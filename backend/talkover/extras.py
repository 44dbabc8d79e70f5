"""Which command installs a part of Talkover that is missing, for messages."""

from __future__ import annotations

from pathlib import Path

CHECKOUT = Path(__file__).parent.parent.parent


def install_command(extra: str = "") -> str:
    """For an optional dependency group of pyproject.toml; "": for what is always needed.

    In a checkout the Makefile's, elsewhere pip's. Torch goes first and alone, for the reason in pyproject.toml.
    """
    if (CHECKOUT / "Makefile").is_file():
        command = "make full" if extra else ".ci/setup light"
        return command if Path.cwd() == CHECKOUT else f"cd {CHECKOUT} && {command}"
    if not extra:
        return "pip install talkover"
    torch = "pip install torch==2.13.0 && " if extra == "full" else ""
    return f'{torch}pip install "talkover[{extra}]"'
