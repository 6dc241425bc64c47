"""Verify notebooks as other machines would run them: `python -m course_utils.tools.matrix`.

Each corner runs `pytest --nbval` on the notebooks with its own instruction set (the machine's
best, torch's default, AVX2) and number of threads; the stored outputs must hold in all of them.
`--corner NAME`, given once or more, picks corners; notebooks may be named, all are the default.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from course_utils.tools.files import ELSEWHERE, NOTEBOOKS, notebook_named

CORNERS = ["best-2", "best-1", "default-1", "default-2", "avx2-1", "avx2-2"]
# One notebook after the other, whatever the settings of the tests say: each has all threads.
OPTIONS = ["-o", "addopts=", "-p", "course_utils.tools.nbval_plugin", "--quiet"]
OPTIONS += ["--nbval", "--nbval-current-env", "--nbval-cell-timeout=300"]


def main(arguments: list[str]) -> int:
    """Run the corners asked for and print a table; 1 if a notebook failed, 2 from a package."""
    parser = argparse.ArgumentParser(prog="course.py matrix", description=__doc__)
    parser.add_argument("--corner", action="append", choices=CORNERS, help="default: all")
    parser.add_argument(
        "notebooks", nargs="*", type=notebook_named, default=[NOTEBOOKS], metavar="NOTEBOOK"
    )
    asked = parser.parse_args(arguments)
    if not NOTEBOOKS.is_dir():
        print(ELSEWHERE, file=sys.stderr)
        return 2
    corners = asked.corner or CORNERS
    if any(corner.startswith("avx2") for corner in corners) and not has_avx2():
        print("This processor has no AVX2, so those corners are left out.")
        corners = [corner for corner in corners if not corner.startswith("avx2")]
    print(f"{'corner':<10} {'passed':>6} {'failed':>6} {'seconds':>7}", flush=True)
    went_well = [told(corner, asked.notebooks) for corner in corners]
    return int(not all(went_well))


def environment(corner: str) -> dict[str, str]:
    """The environment of this process with the instruction set and the threads of a corner."""
    capability, threads = corner.split("-")
    plain = {name: value for name, value in os.environ.items() if name != "ATEN_CPU_CAPABILITY"}
    chosen = {} if capability == "best" else {"ATEN_CPU_CAPABILITY": capability}
    return plain | chosen | {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}


def has_avx2() -> bool:
    """Whether torch finds AVX2, or what came after it, on this processor."""
    code = "import torch; print(torch.backends.cpu.get_cpu_capability())"
    found = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        env=environment("best-1"),
        capture_output=True,
        text=True,
    )
    return found.stdout.startswith("AVX")


def told(corner: str, notebooks: list[Path]) -> bool:
    """Verify notebooks in one corner and print its line; whether all cells of them passed."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        run = subprocess.run(
            [sys.executable, "-m", "pytest", *OPTIONS, f"--junitxml={report}", *notebooks],
            check=False,
            env=environment(corner),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
        )
        suite = ElementTree.parse(report).find("testsuite") if report.exists() else {}
    total, failed = int(suite.get("tests", 0)), int(suite.get("failures", 0))
    failed += int(suite.get("errors", 0))
    seconds = float(suite.get("time", 0))
    print(f"{corner:<10} {total - failed:>6} {failed:>6} {seconds:>7.0f}", flush=True)
    if run.returncode:
        print(run.stdout[-4000:] + run.stderr[-2000:])
    return run.returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
