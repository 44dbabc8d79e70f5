"""`talkover chaos`: faults on purpose, in a server of its own or on the way to one, and what came of them.

In each scenario two callers talk to one server: a *victim*, in whose session the fault happens, and a *witness*, whose
conversation must go on as before. What goes wrong is declared (`plan.py`, `scenarios.py`), the verdict is a pure
function (`verdict.py`).
"""
