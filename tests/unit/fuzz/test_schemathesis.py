"""The OpenAPI document, fuzzed: whatever is made from it is answered as it says, and never a 5xx.

What stands in the document is asked for, and what does not: wrong types, missing fields, no key.
"""

import os

import pytest
from hypothesis import Phase, given, settings
from schemathesis import GenerationMode

from tests.support.fuzzing import CHAT, REPEATED, SOUND, WRONG, Fuzzing

ENOUGH = 5000
# Cases of chance, of each operation and each mode.
OFTEN, SELDOM = 80, 40
EDGES = settings(phases=[Phase.explicit], **REPEATED)

OPEN, KEYED, HELD = Fuzzing(), Fuzzing(key="sk-right"), Fuzzing(**SOUND)
CHANCES = [
    pytest.param(fuzzing, operation, mode, id=f"{operation.label} {name} {mode.value}")
    for fuzzing, name in ((OPEN, "open"), (HELD, "held"))
    for operation in fuzzing.operations
    for mode in GenerationMode
    if mode is GenerationMode.POSITIVE or operation.label in WRONG
    if fuzzing is OPEN or operation.label == CHAT
]


@pytest.fixture(scope="module", autouse=True)
def _enough(request):
    """Where all tests of this module have run, see to it that they were enough.

    Of tests that run in several processes each sees a part only.
    """
    yield
    if "PYTEST_XDIST_WORKER" in os.environ:
        return
    ran = [item for item in request.session.items if item.module is request.module]
    if len(ran) == len(OPEN.operations) + len(KEYED.operations) + len(CHANCES):
        assert sum(fuzzing.sent for fuzzing in (OPEN, KEYED, HELD)) >= ENOUGH


@OPEN.source.parametrize()
@EDGES
def test_edges(case):
    """Each word of the document, at its edges and beyond, is answered as the document says."""
    OPEN.check(case)


@HELD.source.include(path_regex="chat").parametrize()
@EDGES
def test_edges_of_parameters(case):
    """The same of each parameter, beside a model and messages that can be answered."""
    HELD.check(case)


@KEYED.source.exclude(path_regex="chat").parametrize()
@EDGES
def test_edges_of_keys(case):
    """The same where a key is needed, and the case has a wrong one, or none."""
    KEYED.check(case)


@pytest.mark.parametrize(("fuzzing", "operation", "mode"), CHANCES)
def test_chance(fuzzing, operation, mode):
    """What chance makes of the document, or against it, is answered as the document says."""

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=OFTEN if operation.label == CHAT else SELDOM, **REPEATED)
    def answered(case):
        fuzzing.check(case)

    answered()
