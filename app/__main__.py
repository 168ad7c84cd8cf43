"""The command line: `python -m app serve | add | search | verify | reindex | backup`.

Results go to stdout, everything else to stderr. The exit status is 0, 1 if the command failed, 2 if it was misused.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from pydantic import ValidationError

from app.errors import InvalidRequest
from model.errors import ParallaxError, told

_COMMANDS = {
    "serve": "run the service and its web page",
    "add": "add image files or whole folders; a second run adds only what is new",
    "search": "find pictures by words or by a picture",
    "verify": "check that catalog, originals, vectors and index of a data folder agree",
    "reindex": "make the vector index of a data folder anew from its catalog",
    "backup": "copy a data folder while the service runs; a second run copies only what is new",
}


def main(arguments: Sequence[str] | None = None) -> int:
    given = sys.argv[1:] if arguments is None else list(arguments)
    parser = argparse.ArgumentParser(
        prog="python -m app", description="Parallax: search pictures by words and by pictures."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    try:
        for name, summary in _COMMANDS.items():
            command = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
            if name in given[:1]:  # only the one that runs: `serve` brings much with it
                module = importlib.import_module(f"app.commands.{name}")
                module.configure(command)
                command.set_defaults(run=module.run)
        parsed = parser.parse_args(given)
        return int(parsed.run(parsed))
    except ValidationError as error:
        return _complain("; ".join(fault["msg"].removeprefix("Value error, ") for fault in error.errors()), 2)
    except InvalidRequest as error:
        return _complain(str(error), 2)
    except (ParallaxError, OSError) as error:
        return _complain(told(error), 1)
    except KeyboardInterrupt:
        return _complain("Stopped.", 1)


def _complain(sentence: str, status: int) -> int:
    print(sentence, file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
