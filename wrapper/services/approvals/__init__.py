"""Approvals: tool uses of running turns that wait until their owner allows or refuses them.

A turn that may ask has `Turn.approver`. The engine calls `await turn.approver.ask(ToolRequest(…))`
and gets a `Decision`, whose `allowed` says whether the tool may run. Meanwhile:

- `ApprovalService` (service.py) keeps the pending approvals in a store, in memory or in Redis, so
  that any worker can decide them; `begin`, `decide`, `end`, `read` and `pending` are its methods.
  `keep`, `kept` and `withdraw` are for calls with which stored responses end: no turn waits.
- `TurnApprover` (services/turns/approver.py) gives the turn's place back, stops the clock of its
  deadline, puts `ApprovalChanged` (services/events.py) among the turn's events when an approval
  begins to wait and when it is decided, and takes a place again before the tool runs.
- `to_json` (presenter.py) is the form that approvals have in all APIs.

Whatever goes wrong is a refusal: a full list, a lost Redis, the end of APPROVAL_TIMEOUT, a client
that leaves, a shutdown.
"""
