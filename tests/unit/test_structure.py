"""The size of the code: whoever opens a module or a function sees all of it at once."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODULES = [path for folder in ("wrapper", "bench") for path in (ROOT / folder).rglob("*.py")]
# One long table is easier to read than its pieces.
TABLES = {"wrapper/settings/table.py"}
# It builds and connects everything else.
LONG = TABLES | {"wrapper/gateway.py"}


def test_modules_are_short():
    """No module has more than 300 lines, except a table and what connects everything."""
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in MODULES}
    assert {name for name, lines in lengths.items() if lines > 300} <= LONG


def test_functions_are_short():
    """No function has more than 40 lines."""
    functions = (
        (path, node)
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    assert not [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path, node in functions
        if (node.end_lineno or 0) - node.lineno + 1 > 40
    ]
