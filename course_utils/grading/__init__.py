"""A whole class of homework: release, collect, sandbox, judge, grade, return.

release    what students get, and nbgrader's folder for the course
collect    what was handed in, and the student's answers in it
sandbox    a kernel in bubblewrap: no network, nothing to write to, limits on everything
proxy      functions that live in the sandboxed kernel, called from outside it
judge      one submission: answers run in the sandbox, tests outside of it
cluster    many submissions: here, or on the workers of a Dask cluster
gradebook  results into nbgrader's database, grades out of it
pages      feedback for students, report for lecturers
"""
