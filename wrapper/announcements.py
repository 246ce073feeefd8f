"""The announcements: what the gateway posts to webhooks, from the parts that report it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from wrapper.services.approvals.approval import Approval
from wrapper.services.approvals.presenter import to_event
from wrapper.services.background.lifecycle import Announce
from wrapper.services.jobs.job import JobView
from wrapper.services.telemetry.metrics import Metrics
from wrapper.services.usage.budget_watch import ThresholdReached
from wrapper.services.webhooks.event import OPERATOR
from wrapper.services.webhooks.service import Webhooks


class Announcements:
    """Announces events by *webhooks*. Thresholds of budgets also count in *metrics*."""

    def __init__(self, webhooks: Webhooks, metrics: Metrics):
        self._announce = webhooks.announce
        self._metrics = metrics

    def for_operator(self) -> Announce:
        """Return what announces an event to the operator."""
        return partial(self._announce, OPERATOR)

    def approval_waits(self, approval: Approval) -> None:
        occurrence = f"approval:{approval.id}"
        self._announce(approval.asker.owner, "approval.waiting", to_event(approval), occurrence)

    def threshold_reached(self, reached: ThresholdReached) -> None:
        self._metrics.budget_reached(reached.budget.name, reached.percent)
        type_ = "budget.threshold_reached"
        self._announce(reached.key, type_, reached.facts(), reached.occurrence)

    def batch_ended(self, owner: str, type_: str, id_: str, stored: Callable[[], None]) -> None:
        self._announce(owner, type_, {"id": id_}, id_, stored)

    def response_ended(self, view: JobView, stored: Callable[[], None]) -> None:
        """Announce that a response in the background has ended."""
        job = view.job
        type_ = f"response.{view.state.status}"
        self._announce(job.owner, type_, {"id": job.id}, job.id, stored)
