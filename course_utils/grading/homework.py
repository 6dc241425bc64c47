"""Write a class's homework into a lecturer's folder, in nbgrader's form.

It holds source/ (with solutions and hidden tests), release/ (what students get: give them nothing
else), roster.csv, nbgrader's settings and its gradebook. A second run renews what has changed in
the course; grades, and whatever you changed or put there, stay.
"""

import argparse
import sys
from pathlib import Path

from course_utils.grading import roster
from course_utils.grading.each import release_each
from course_utils.grading.release import DEFAULT, renew
from course_utils.tools.files import ending


@ending(OSError, RuntimeError, ValueError)
def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0, or 2 after one sentence about what went wrong."""
    parser = argparse.ArgumentParser(prog="course.py homework", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT, metavar="FOLDER")
    parser.add_argument(
        "--variants", metavar="HOMEWORK", help="a notebook of its own for each on the roster"
    )
    parser.add_argument("--roster", type=Path, metavar="CSV", help="in place of roster.csv")
    wanted = parser.parse_args(arguments)
    course = wanted.folder
    print(*renew(course) or ["nothing new"], sep="\n")
    if wanted.variants:
        people = roster.of_course(course, wanted.roster)
        if not people:
            raise ValueError(f"{course / roster.NAME} names nobody yet: fill it, a line for each.")
        written = release_each(course, wanted.variants, [person.id for person in people])
        place = course / "variants" / wanted.variants
        print(f"Give each student the notebook of their own: {len(written)} lie in {place}.")
        return 0
    print(f"Give students what is in {course / 'release'}; source/ holds the solutions.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
