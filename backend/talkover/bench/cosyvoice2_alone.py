"""The part `cosyvoice2` of the benchmark by itself: `python -m talkover.bench.cosyvoice2_alone`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from talkover.bench import report
from talkover.bench.cosyvoice2 import measured

_PIPED_WIDTH = 150


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m talkover.bench.cosyvoice2_alone", description=__doc__)
    parser.add_argument("--long", action="store_true", help="20 s of speech in both ways, chunks up to 40 s")
    parser.add_argument("--device", default="", metavar="cpu|cuda", help="else CUDA when there is one")
    parser.add_argument("--dtype", default="", choices=("", "float32", "bfloat16", "float16"))
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument("--wall", action="store_true", help="wall time of all cores instead of processor time of one")
    given = parser.parse_args()
    screen = Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH)
    with screen.status("") as status:
        result = measured(
            lambda what, _share: status.update(what),
            device=given.device,
            dtype=given.dtype,
            long=given.long,
            wall=given.wall,
        )
    report.show([result], screen)
    if given.output is not None:
        report.write(given.output, {}, [result], {})


if __name__ == "__main__":
    main()
