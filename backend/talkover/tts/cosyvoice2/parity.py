"""Compare every part with recorded outputs of the released code: `python -m talkover.tts.cosyvoice2.parity FOLDER`.

The folder holds a small checkpoint (`config.json`, `llm`, `flow` and `hift.safetensors`, `model_dir/`) and, in files
`*_cases`, inputs with what the released code made of them; sizes and seeds are those of the folder. Prints the largest
difference of each quantity beside what is allowed. Exit code 0 only if all hold, 1 if one does not or could not be
compared, 2 for wrong arguments. Rows that say `incremental`, `seamless` or `in pieces` are this package's own ways,
compared with the recorded result of the whole.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from talkover.engines import EngineUnavailable
from talkover.tts.cosyvoice2 import parity_sound, parity_text, parity_voice
from talkover.tts.cosyvoice2.parity_check import Check, Pack

PARTS: dict[str, Callable[[Pack], Iterator[Check]]] = {
    "lm": parity_text.language_model,
    "bistream": parity_text.bistream,
    "sampling": parity_text.sampling,
    "encoder": parity_sound.encoder,
    "decoder": parity_sound.decoder,
    "solver": parity_sound.solver,
    "token-to-mel": parity_sound.token_to_mel,
    "vocoder": parity_sound.vocoder,
    "streaming": parity_sound.streaming,
    "features": parity_voice.features,
    "voices": parity_voice.models,
    "text": parity_text.text,
    "end-to-end": parity_voice.end_to_end,
}


def compare(folder: Path, parts: Sequence[str]) -> dict[str, list[Check]]:
    """The checks of each part; a part that cannot be compared has one failed check that says why."""
    pack = Pack(folder)
    found: dict[str, list[Check]] = {}
    for name in parts:
        checks: list[Check] = []
        try:
            checks.extend(PARTS[name](pack))
        except (EngineUnavailable, OSError, KeyError, RuntimeError, ValueError) as error:
            checks.append(Check.failed(f"{type(error).__name__}: {error}"))
        found[name] = checks or [Check.failed("nothing to compare")]
    return found


def table_of(found: dict[str, list[Check]]) -> Table:
    """One row per quantity of a part: how many comparisons, the largest difference, what is allowed."""
    table = Table("part", "quantity", header_style="dim")
    for column in ("compared", "largest difference", "allowed", ""):
        table.add_column(column, justify="right", no_wrap=True)
    for part, checks in found.items():
        for quantity in dict.fromkeys(check.quantity for check in checks):
            same = [check for check in checks if check.quantity == quantity]
            holds = all(check.holds for check in same)
            table.add_row(
                part,
                quantity,
                str(len(same)),
                f"{max(check.difference for check in same):.1e}",
                f"{same[0].tolerance:.0e}" if same[0].tolerance else "equal",
                "[green]✓[/]" if holds else "[red]✗[/]",
            )
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m talkover.tts.cosyvoice2.parity", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--only", action="append", choices=PARTS, metavar="PART", help=", ".join(PARTS))
    given = parser.parse_args(arguments)
    if not given.folder.is_dir():
        parser.error(f"FOLDER must be a folder of recorded outputs, {given.folder} is none")
    with torch.inference_mode():
        found = compare(given.folder, given.only or list(PARTS))
    console = Console(width=None if sys.stdout.isatty() else 130)
    console.print(table_of(found))
    bad = sum(not check.holds for checks in found.values() for check in checks)
    total = sum(len(checks) for checks in found.values())
    console.print(f"{total - bad} of {total} comparisons hold." if bad else f"All {total} comparisons hold.")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
