"""The golden pack of CosyVoice2: small random checkpoints with what the released code computes on them.

A selection lies in tests/data; the whole pack is used beside it where it exists (TALKOVER_SHARED, default ../shared).
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).parent.parent
SELECTION = CHECKOUT / "tests" / "data" / "cosyvoice2"
WHOLE = Path(os.environ.get("TALKOVER_SHARED", CHECKOUT.parent / "shared")) / "cosyvoice2" / "golden"

needs_whole_pack = pytest.mark.skipif(not WHOLE.is_dir(), reason=f"the whole golden pack is not at {WHOLE}")
on_every_pack = pytest.mark.parametrize(
    "golden", [pytest.param(SELECTION, id="selection"), pytest.param(WHOLE, id="whole", marks=needs_whole_pack)]
)
"""runs a test with `golden`, a folder of the pack's layout"""


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
