"""Helpers of the course on learned sparse coding, and what its notebooks built.

data      what goes in: digits, photographs, patches, synthetic codes, MNIST
training  one loop: minibatches, steps, progress, history
plots     what you look at: filters, curves, patches, each with a sentence that says what it shows
checks    what you believe: claims in the text, checks of exercises
built     the systems of the chapters, exported from their notebooks
"""
