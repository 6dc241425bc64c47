"""A class in which some copied: what honest students vary, and how a copy is disguised.

Honest answers are the right ones of tests/homework/hwN.py, each in a student's own habits of
writing; a copy is another student's answer under new names, in another order, in other loops.
"""

import ast
import importlib
import inspect
import random
import textwrap
from collections.abc import Callable, Iterator
from typing import NamedTuple

from nbformat import NotebookNode

from course_utils.grading.answers import asked
from course_utils.grading.cells import mark

POOL = [first + last for first in "abcdeghkmnpqrsuvwy" for last in ("", "1", "2", "_new", "_old")]
METHODS = {"abs", "sum", "argmax", "sign", "clamp", "clone", "gather", "mean", "sqrt", "cumsum"}
COMMENTS = ("# first the easy part", "# see the lecture", "# now put it together", "# TODO check")


class Habits(ast.NodeTransformer):
    """Rewrites an answer as one student would: same meaning, other spelling here and there."""

    def __init__(self, dice: random.Random, often: float) -> None:
        self.dice, self.often = dice, often
        self.likes = {kind: dice.random() for kind in ("@", "square", "T", "method", "swap", "dim")}

    def does(self, kind: str) -> bool:
        """A student mostly does the same, and sometimes not."""
        return self.dice.random() < self.often * (1.8 if self.likes[kind] < 0.5 else 0.2)

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        """Rewrite products, squares and sums."""
        self.generic_visit(node)
        a, b = ast.unparse(node.left), ast.unparse(node.right)
        if isinstance(node.op, ast.MatMult) and self.does("@"):
            return expression(self.dice.choice([f"torch.matmul({a}, {b})", f"({a}).matmul({b})"]))
        if isinstance(node.op, ast.Pow) and b == "2" and self.does("square"):
            return expression(self.dice.choice([f"({a}) * ({a})", f"({a}).square()"]))
        if isinstance(node.op, ast.Add | ast.Mult) and self.does("swap"):
            node.left, node.right = node.right, node.left
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        """Turn a comparison round."""
        self.generic_visit(node)
        turned = {ast.Gt: "<", ast.Lt: ">", ast.GtE: "<=", ast.LtE: ">=", ast.NotEq: "!="}
        sign = turned.get(type(node.ops[0]))
        if len(node.ops) == 1 and sign and self.does("swap"):
            a, b = ast.unparse(node.left), ast.unparse(node.comparators[0])
            return expression(f"({b}) {sign} ({a})")
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """Transpose in another way."""
        self.generic_visit(node)
        if node.attr == "T" and isinstance(node.ctx, ast.Load) and self.does("T"):
            kind = self.dice.choice([".t()", ".transpose(0, 1)", ".mT"])
            return expression(f"({ast.unparse(node.value)}){kind}")
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Call a function for a method, name an argument, square otherwise."""
        self.generic_visit(node)
        if not isinstance(node.func, ast.Attribute):
            return node
        name, of = node.func.attr, ast.unparse(node.func.value)
        if name == "square" and self.does("square"):
            return expression(self.dice.choice([f"({of}) ** 2", f"torch.square({of})"]))
        if name in {"sum", "mean", "argmax"} and len(node.args) == 1 and self.does("dim"):
            node.keywords.append(ast.keyword("dim", node.args.pop()))
        if name in METHODS and of not in {"torch", "np"} and self.does("method"):
            torch = ast.Attribute(ast.Name("torch", ast.Load()), name, ast.Load())
            return ast.Call(torch, [node.func.value, *node.args], node.keywords)
        return node

    def visit_Return(self, node: ast.Return) -> object:
        """Name a result, or a part of it, before it is returned."""
        self.generic_visit(node)
        return list(named(node, "result", self.dice, self.often))

    def visit_Assign(self, node: ast.Assign) -> object:
        """Name a part of what is assigned; assign one by one."""
        self.generic_visit(node)
        pairs = [n for n in (node.targets[0], node.value) if isinstance(n, ast.Tuple)]
        if len(pairs) == 2 and len(pairs[0].elts) == len(pairs[1].elts) and self.does("swap"):
            targets = {n.id for n in ast.walk(pairs[0]) if isinstance(n, ast.Name)}
            if not targets & {n.id for n in ast.walk(pairs[1]) if isinstance(n, ast.Name)}:
                both = zip(pairs[0].elts, pairs[1].elts, strict=True)
                return [ast.Assign([left], right) for left, right in both]
        return list(named(node, "part", self.dice, self.often))

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        """Write `a += b` in full."""
        self.generic_visit(node)
        if not self.does("swap"):
            return node
        target = ast.unparse(node.target)
        value = ast.BinOp(expression(target), node.op, node.value)
        return ast.Assign([node.target], value)


def expression(text: str) -> ast.expr:
    """A piece of a tree."""
    return ast.parse(text, mode="eval").body


def named(node: ast.stmt, name: str, dice: random.Random, often: float) -> Iterator[ast.stmt]:
    """A statement, part of whose value may get a name of its own first."""
    value = node.value
    parts = [n for n in ast.walk(value) if isinstance(n, ast.BinOp)] if value else []
    scoped = any(isinstance(n, ast.comprehension | ast.Lambda) for n in ast.walk(value or node))
    if parts and not scoped and dice.random() < often:
        part = dice.choice(parts)
        fresh = f"{name}{dice.randrange(100)}"
        yield ast.Assign([ast.Name(fresh, ast.Store())], expression(ast.unparse(part)))
        node.value = Replaced(part, fresh).visit(value)
    yield node


class Replaced(ast.NodeTransformer):
    """Puts a name in the place of one piece of a tree."""

    def __init__(self, piece: ast.AST, name: str) -> None:
        self.piece, self.name = piece, name

    def visit(self, node: ast.AST) -> ast.AST:
        """Replace that piece."""
        if node is self.piece:
            return ast.Name(self.name, ast.Load())
        return self.generic_visit(node)


class Loops(ast.NodeTransformer):
    """Makes a loop of a comprehension: `x = [f(y) for y in z]`."""

    def visit_Assign(self, node: ast.Assign) -> object:
        """Append, one by one."""
        made = node.value
        plain = isinstance(made, ast.ListComp) and isinstance(node.targets[0], ast.Name)
        if not plain or len(made.generators) != 1 or made.generators[0].ifs:
            return node
        target, over = ast.unparse(made.generators[0].target), ast.unparse(made.generators[0].iter)
        name = node.targets[0].id
        text = f"{name} = []\nfor {target} in {over}:\n    {name}.append({ast.unparse(made.elt)})"
        return ast.parse(text).body


def reordered(body: list[ast.stmt], dice: random.Random) -> list[ast.stmt]:
    """The same statements, neighbours changed over where neither needs the other."""
    body = list(body)
    for i in range(len(body) - 1):
        if dice.random() < 0.7 and apart(body[i], body[i + 1]):
            body[i], body[i + 1] = body[i + 1], body[i]
    return body


def apart(one: ast.stmt, other: ast.stmt) -> bool:
    """Tell if two assignments to plain names can change places."""
    if not all(isinstance(s, ast.Assign) for s in (one, other)):
        return False
    sets = []
    for statement in (one, other):
        names = [n for n in ast.walk(statement) if isinstance(n, ast.Name)]
        whole = all(isinstance(n, ast.Name | ast.Tuple) for n in statement.targets)
        bound = {n.id for n in names if isinstance(n.ctx, ast.Store)}
        sets.append((bound if whole else None, {n.id for n in names}))
    (bound1, all1), (bound2, all2) = sets
    return bound1 is not None and bound2 is not None and not (bound1 & all2 or bound2 & all1)


def renamed(tree: ast.Module, dice: random.Random, share: float) -> ast.Module:
    """The tree with other names for a share of the variables that it binds."""
    arguments = {a.arg for f in tree.body if isinstance(f, ast.FunctionDef) for a in f.args.args}
    bound = {
        n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }
    free = [n for n in POOL if n not in {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}]
    chosen = [name for name in sorted(bound - arguments) if dice.random() < share]
    new = dict(zip(chosen, dice.sample(free, len(chosen)), strict=True))
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            node.id = new.get(node.id, node.id)
    return tree


# Answers


def style(function: Callable, stub: str, name: str) -> str:
    """A right answer as a student's cell holds it: the stub's head, a body, helpers."""
    (tree,) = parsed(function)
    parts = [part for helper in helpers(function) for part in parsed(helper)]
    head = next(
        n for n in ast.parse(stub).body if isinstance(n, ast.FunctionDef) and n.name == name
    )
    same = [a.arg for a in head.args.args] == [a.arg for a in tree.args.args]
    tree.body = [head.body[0], *tree.body]
    tree.name, tree.args, tree.returns = name, head.args if same else tree.args, head.returns
    return ast.unparse(ast.Module([*parts, tree], []))


def parsed(function: Callable) -> list[ast.stmt]:
    """The tree of a function."""
    return ast.parse(textwrap.dedent(inspect.getsource(function))).body


def helpers(function: Callable) -> list[Callable]:
    """The functions of the same module that a function needs."""
    found, waiting = [], [function]
    while waiting:
        needed = inspect.getclosurevars(waiting.pop()).globals.values()
        for helper in needed:
            ours = inspect.isfunction(helper) and helper.__module__ == function.__module__
            if ours and helper not in (function, *found):
                found.append(helper)
                waiting.append(helper)
    return found


def own(source: str, dice: random.Random, often: float = 0.3) -> str:
    """An answer in a student's own habits."""
    tree = Habits(dice, often).visit(ast.parse(source))
    return ast.unparse(ast.fix_missing_locations(renamed(tree, dice, 0.6)))


def disguised(source: str, dice: random.Random) -> str:
    """A copy of an answer: new names, comments and layout, another order, other loops."""
    tree = ast.fix_missing_locations(renamed(ast.parse(source), dice, 1.0))
    if dice.random() < 0.5:
        tree = ast.fix_missing_locations(Loops().visit(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.body = reordered(node.body, dice)
    if dice.random() < 0.5:
        tree = ast.fix_missing_locations(Habits(dice, 0.06).visit(tree))
    lines = ast.unparse(tree).splitlines()
    for line in (dice.randrange(1, len(lines) + 1) for _ in range(3)):
        indent = lines[line - 1][: -len(lines[line - 1].lstrip()) or None]
        lines.insert(line - 1, (indent if indent.isspace() else "") + dice.choice(COMMENTS))
    return "\n".join(lines)


class Planted(NamedTuple):
    """A class's answers in code, by task and student, and which pairs of them are copies."""

    answers: dict[str, dict[str, str]]
    copies: set[tuple[str, frozenset[str]]]  # task and two students


def a_class(homework: str, source: NotebookNode, size: int, families: list[int], seed: int):
    """A class of honest students, and of families in which all copied most tasks of the first."""
    dice = random.Random(seed)
    variants = importlib.import_module(f"homework.{homework}").RIGHT
    students = [f"s{number:03d}" for number in range(size)]
    answers: dict[str, dict[str, str]] = {}
    for cell in source.cells:
        if cell.cell_type == "code" and mark(cell).get("solution"):
            functions = [f for f in variants[cell.id] if inspect.isfunction(f)]
            styles = [style(f, cell.source, asked(cell)[-1]) for f in functions]
            styles.append(ast.unparse(ast.parse(cell.source)))
            popular = [1 / (rank + 1) for rank in range(len(styles))]
            answers[cell.id] = {
                name: own(dice.choices(styles, popular)[0], dice, dice.uniform(0.1, 0.5))
                for name in students
            }
    copies, rest = set(), dice.sample(students, sum(families))
    for count in families:
        family, rest = rest[:count], rest[count:]
        for task, given in answers.items():
            took = [family[0], *(name for name in family[1:] if dice.random() < 0.8)]
            given |= {name: disguised(given[family[0]], dice) for name in took[1:]}
            copies |= {(task, frozenset((a, b))) for a in took for b in took if a != b}
    return Planted(answers, copies)
