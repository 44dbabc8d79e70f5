"""What is measured of a running server, from the outside; `talkover bench`."""

from talkover.bench.run import command

__all__ = ["command"]
