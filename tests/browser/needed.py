"""Which cells of a notebook have to run, so that some of them can: found by the names in them."""

import ast
from collections.abc import Collection, Iterator
from symtable import SymbolTable, symtable

EXPORT = "#| export"


def needed(sources: list[str], wanted: Collection[int]) -> list[int]:
    """The numbers, in order, of the wanted cells and of those that bind what these use.

    Cells that are exported always count: they define what functions look up when they are called.
    A name is taken to be bound once (the course's rule), and not to be changed from elsewhere.
    """
    open_names: set[str] = set()
    kept = []
    for number in reversed(range(len(sources))):
        bound, used = names(sources[number])
        if number in wanted or bound & open_names:
            open_names = open_names - bound | used
            kept.append(number)
        elif sources[number].startswith(EXPORT):
            kept.append(number)
    return kept[::-1]


def names(source: str) -> tuple[set[str], set[str]]:
    """The names that a cell binds for cells below it, and those that it takes from above."""
    top = symtable(source, "a cell", "exec")
    bound = {s.get_name() for s in top.get_symbols() if s.is_assigned() or s.is_imported()}
    used = {
        symbol.get_name()
        for table in tables(top)
        for symbol in table.get_symbols()
        if symbol.is_referenced() and (table is top or symbol.is_global())
    }
    inner = inlined(source)
    return bound - inner, used - bound - inner


def inlined(source: str) -> set[str]:
    """The names that only comprehensions bind: Python 3.12 shows them at the top."""
    tree = ast.parse(source)
    targets = [c.target for c in ast.walk(tree) if isinstance(c, ast.comprehension)]
    inside = {id(node) for target in targets for node in ast.walk(target)}
    stores = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    outside = {node.id for node in stores if id(node) not in inside}
    return {node.id for node in stores} - outside


def tables(top: SymbolTable) -> Iterator[SymbolTable]:
    """A table of symbols and those of all functions and classes in it."""
    yield top
    for child in top.get_children():
        yield from tables(child)
