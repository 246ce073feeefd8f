"""The presenter of OpenAI's older completions API."""

from wrapper.notes import BudgetWarning, Notes
from wrapper.routes.headers import note_headers
from wrapper.services.events import Ended, Ending, Event, Noted, Started, TextDelta
from wrapper.services.fronts.chat import ChatPresenter
from wrapper.services.fronts.completions import CompletionRequest, CompletionsPresenter
from wrapper.services.request import TurnRequest
from wrapper.services.spent import Usage

EVENTS: list[tuple[int, Event]] = [
    (0, Noted(Notes(failed_models=("opus",)))),
    *((0, Started("sonnet")), (1, Started("sonnet"))),
    *((0, TextDelta("a")), (1, TextDelta("b"))),
    (0, Noted(Notes(ended_early="insufficient_quota"))),
    (0, Noted(Notes(budget_warnings=(BudgetWarning("usd_per_day", 100),)))),
    *((number, Ended(Ending.BUDGET, Usage(), 0.0)) for number in (0, 1)),
]


def test_notes():
    """A stream has the same notes in the last chunk of a choice as chat completions have."""
    asked = TurnRequest((), n=2)
    chat, text = (
        [chunk["notes"] for chunk in presenter.chunks(EVENTS) if chunk and "notes" in chunk]
        for presenter in (
            ChatPresenter.of(asked, note_headers),
            CompletionsPresenter(CompletionRequest(asked), note_headers),
        )
    )
    assert text == chat
    assert text == [
        {
            "x-failed-models": "opus",
            "x-ended-early": "insufficient_quota",
            "x-budget-warnings": "usd_per_day=100",
        }
    ]
