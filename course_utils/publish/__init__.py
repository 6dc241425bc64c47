"""The notebooks as slides and as a book: static pages that need no network."""
