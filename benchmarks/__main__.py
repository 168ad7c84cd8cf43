"""`python -m benchmarks`: every comparison, one after another, then what they found as a table and a picture.

Nothing else should run on the machine meanwhile. Before it, `make data` builds what is trained on and encoded; the
photographs that are taken in come from packages of Debian, by apt-get. The comparison of indexes alone takes up to
three hours, since its peers take so long to build; the others take about an hour together, and an environment for each
peer the first time.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from benchmarks import summary

COMPARISONS = ("limits", "encode", "ingest", "http_search", "service_start", "scaling", "trainer", "index")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which of {', '.join(COMPARISONS)} (all)")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), help="folder of the results (runs/bench)")
    arguments = parser.parse_args()
    if unknown := set(arguments.names).difference(COMPARISONS):
        parser.error(f"there is no comparison {', '.join(sorted(unknown))}; there are {', '.join(COMPARISONS)}")
    failed = []
    for name in arguments.names or COMPARISONS:
        print(f"\n{name}", flush=True)
        command = [sys.executable, "-m", f"benchmarks.{name}", "--out", str(arguments.out / f"{name}.json")]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    print()
    summary.tell(arguments.out)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}; what they said is above")


if __name__ == "__main__":
    main()
