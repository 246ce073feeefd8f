"""Fuzz the OpenAPI document: every response is one that it describes, and never a 5xx.

The requests follow the document, or break it: wrong types, missing fields, no key.
"""

import os

import pytest
from hypothesis import Phase, given, settings
from schemathesis import GenerationMode

from tests.support.fuzzing import CHAT, REPEATED, SOUND, WRONG, Fuzzing
from wrapper.services import key_data

ENOUGH = 5000
# The number of random cases of each operation and mode.
OFTEN, SELDOM = 80, 40
EDGES = settings(phases=[Phase.explicit], **REPEATED)

OPEN, KEYED, HELD = Fuzzing(), Fuzzing(key="sk-right"), Fuzzing(**SOUND)
RANDOM_CASES = [
    pytest.param(fuzzing, operation, mode, id=f"{operation.label} {name} {mode.value}")
    for fuzzing, name in ((OPEN, "open"), (HELD, "held"))
    for operation in fuzzing.operations
    for mode in GenerationMode
    if mode is GenerationMode.POSITIVE or operation.label in WRONG
    if fuzzing is OPEN or operation.label == CHAT
]


@pytest.fixture(scope="module", autouse=True)
def _at_once():
    """Delete a key's data without a wait for what other workers store, as there are none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(key_data, "QUIET_SECONDS", 0.0)
        yield


@pytest.fixture(scope="module", autouse=True)
def _enough(request):
    """Check that the tests of this module send enough requests, if all of them run.

    With several processes each sees only a part of the tests.
    """
    yield
    if "PYTEST_XDIST_WORKER" in os.environ:
        return
    ran = [item for item in request.session.items if item.module is request.module]
    if len(ran) == len(OPEN.operations) + len(KEYED.operations) + len(RANDOM_CASES):
        assert sum(fuzzing.sent for fuzzing in (OPEN, KEYED, HELD)) >= ENOUGH


@OPEN.source.parametrize()
@EDGES
def test_edges(case):
    """Boundary values of each field are answered as the document says."""
    OPEN.check(case)


@HELD.source.include(path_regex="chat").parametrize()
@EDGES
def test_edges_of_parameters(case):
    """Boundary values of each parameter beside a valid model and messages are, too."""
    HELD.check(case)


@KEYED.source.exclude(path_regex="chat").parametrize()
@EDGES
def test_edges_of_keys(case):
    """Boundary values with a wrong key, or none where one is needed, are, too."""
    KEYED.check(case)


@pytest.mark.parametrize(("fuzzing", "operation", "mode"), RANDOM_CASES)
def test_random_cases(fuzzing, operation, mode):
    """Random requests, valid and invalid, are answered as the document says."""

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=OFTEN if operation.label == CHAT else SELDOM, **REPEATED)
    def answered(case):
        fuzzing.check(case)

    answered()
