"""How a command without a configuration ends: one line and exit code 2 where the user can mend it."""

import sys
from collections.abc import Callable

from thawline.atomic import mended_by, use_of
from thawline.commands.reader_gone import READER_GONE, send_stdout_nowhere
from thawline.errors import BAD_INPUT, UserError
from thawline.printable import printable

EXIT_CTRL_C = 130  # 128 + SIGINT, as shells report it


def exit_code(command: Callable[[], int | None], *, way_out: str = "") -> int:
    """What `command` returns, 0 for nothing; else the code of the line that is printed on stderr.

    Args:
        way_out: What to do about a file that cannot be written, such as `; name another folder with --out DIR`.
    """
    try:
        code = command() or 0
        sys.stdout.flush()  # here a reader that is gone is no error
        return code
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    except BrokenPipeError:  # what stdout is piped into, `head` for one, has read enough
        send_stdout_nowhere()
        return READER_GONE
    except OSError as error:
        place = printable(error.filename or "a file")
        mend = f"; {remedy}" if (remedy := mended_by(error)) else way_out
        print(f"error: cannot {use_of(error)} {place}: {error.strerror or error}{mend}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EXIT_CTRL_C
