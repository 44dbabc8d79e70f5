"""Command line entry: `talkover` and `python -m talkover`."""


def main() -> None:
    """Run the command line."""
    from talkover.cli import app

    app()


if __name__ == "__main__":
    main()
