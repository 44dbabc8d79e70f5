"""What the page shows of tools that the agent uses on the server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fakes import ScriptedLlm, fake_engines
from live import InProcessServer
from talkover.engines import LlmCall, LlmFinished

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ORDERS = '''
import time
from pathlib import Path

from talkover.tools.functions import tool
from talkover.tools.tool import ToolFailed


@tool(read_only=True)
def order_status(order_id: str) -> str:
    """Where an order is."""
    until = time.monotonic() + 20
    while not Path(__file__).with_name("may_answer").exists() and time.monotonic() < until:
        time.sleep(0.02)
    return f"Order {order_id} is on its way."


@tool(read_only=True)
def refund_status(order_id: str) -> str:
    """Where a refund is."""
    raise ToolFailed("The bookkeeping cannot be reached.")
'''


def calls(*names: str) -> list[Any]:
    made = [LlmCall(at, name, '{"order_id": "7"}') for at, name in enumerate(names)]
    return [*made, LlmFinished("tool_calls")]


def rows(page: Any) -> list[list[str]]:
    return page.ask("[...document.querySelectorAll('.tool')].map((row) => [row.dataset.status, row.innerText.trim()])")


def test_tools_are_shown_as_they_run_end_and_fail(visit: Any, serve: Any, tmp_path: Path, screenshots: Path) -> None:
    (tmp_path / "orders.py").write_text(ORDERS)
    llm = ScriptedLlm(calls("order_status", "refund_status"), "It is on its way.")
    server: InProcessServer = serve(fake_engines(llm=llm), f"tools.functions=[{str(tmp_path / 'orders.py')!r}]")
    page = visit(server.http_url)
    page.type("Where is my order, and where is my refund?")
    page.wait("document.querySelectorAll('.tool').length === 2")
    page.wait("document.querySelector('.tool[data-status=\"failed\"]') !== null")
    assert rows(page) == [["running", "Using order status"], ["failed", "Refund status failed"]]
    page.picture(screenshots / "tools.png")
    (tmp_path / "may_answer").touch()
    page.wait("document.querySelector('.tool[data-status=\"done\"]') !== null")
    assert rows(page)[0][1].startswith("Used order status, ")
    page.wait("talkover.history.at(-1).text.trim() === 'It is on its way.'")
    order = page.ask("[...document.querySelector('#captions').children].map((one) => one.className)")
    assert order.index("tool") > order.index("message")
