"""Helpers of the course on learned sparse coding, what its notebooks built, and its tools.

At the door, for every notebook:

    data       what goes in: digits, photographs, patches, synthetic codes, MNIST, stored results
    training   one loop and one step: minibatches, progress, history
    plots      what you look at: filters, curves, sliders, each with a sentence that says what it is
    checks     what you believe: claims in the text, checks of exercises

One floor up, on these:

    built      the systems of the chapters, exported from their notebooks, cell by cell
    tools      what people run: execute, matrix, doctor, student; what commands share

And on those, each for itself:

    exercises  the checks of the exercises, a module a chapter
    reproduce  the full-size runs behind data/results, a module a chapter; live runs; speed
    grading    a whole class: collect, sandbox, judge, feedback
    publish    slides, book, launch, the page of results

Who imports whom is a rule in pyproject.toml, which `lint-imports` holds.
"""
