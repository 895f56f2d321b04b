"""The parser of a command that takes no config: its help shows commands in the form that the user typed."""

import argparse

from thawline.invocation import typed


def plain_parser(command: str, text: str, *, epilog: str | None = None) -> argparse.ArgumentParser:
    """
    Args:
        text: The help, with `{command}` for what to type.
    """
    to_type = typed(command)
    return argparse.ArgumentParser(
        prog=to_type,
        description=text.format(command=to_type),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=epilog,
    )
