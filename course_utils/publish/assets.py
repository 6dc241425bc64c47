"""JavaScript from npm: installed once from package-lock.json, copied beside the pages."""

import shutil
import subprocess
from pathlib import Path

from course_utils.tools.files import BUILD

HERE = Path(__file__).parent
MODULES = BUILD / "npm" / "node_modules"
# What of each package a page needs.
PARTS = {
    "mathjax": ["es5/tex-svg.js", "LICENSE"],
    "minisearch": ["dist/umd/index.js", "LICENSE.txt"],
    "reveal.js": [
        "dist/reveal.js",
        "dist/reveal.css",
        "dist/reset.css",
        "plugin/notes/notes.js",
        "LICENSE",
    ],
}


def installed() -> Path:
    """Return node_modules, installed if the lock has changed; OSError, with the cure, if not."""
    lock, mine = HERE / "package-lock.json", MODULES.parent / "package-lock.json"
    if MODULES.is_dir() and mine.is_file() and mine.read_bytes() == lock.read_bytes():
        return MODULES
    npm = shutil.which("npm")
    if npm is None:
        raise OSError("npm is missing: install Node.js (https://nodejs.org), then run this again.")
    MODULES.parent.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, MODULES.parent)
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    run = subprocess.run(command, cwd=MODULES.parent, check=False, capture_output=True, text=True)
    if run.returncode:
        mine.unlink()
        raise OSError(f"npm could not install what the pages need:\n{run.stderr.strip()[-500:]}")
    return MODULES


def put(package: str, folder: Path) -> None:
    """Copy what pages need of a package into folder/package."""
    modules = installed()
    for part in PARTS[package]:
        place = folder / package / part
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(modules / package / part, place)
