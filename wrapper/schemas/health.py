"""The responses of /health and /ready."""

from __future__ import annotations

from marshmallow import fields
from marshmallow.validate import OneOf

from wrapper.schemas.base import BaseSchema, describe, required_count, required_text
from wrapper.schemas.trial import TrialSchema


class PoolSchema(BaseSchema):
    status = required_text(validate=OneOf(("ready", "booting", "failing")))
    ready = required_count()
    booting = required_count()
    error = fields.String(metadata=describe("Why the last process did not start."))


class MachineSchema(BaseSchema):
    status = required_text(validate=OneOf(("ok", "failing")))
    error = fields.String(metadata=describe("The resource that turns lack."))


class KeysSchema(BaseSchema):
    status = required_text(validate=OneOf(("ok", "failing")))
    error = fields.String(metadata=describe("Why the keys read last are still in force."))


class UsageStoreSchema(BaseSchema):
    status = required_text(validate=OneOf(("ok", "failing")))
    unbooked = required_count()
    error = fields.String(metadata=describe("Why usage cannot be recorded."))


class StoreSchema(BaseSchema):
    status = required_text(validate=OneOf(("ok", "failing")))
    error = fields.String(metadata=describe("Why it cannot be read or written."))


class WebhooksSchema(BaseSchema):
    status = required_text(validate=OneOf(("ok", "failing")))
    waiting = required_count(metadata=describe("Events that are not stored yet."))
    error = fields.String(metadata=describe("Why events cannot be stored."))


class TurnsSchema(BaseSchema):
    running = fields.Integer(
        required=True, metadata=describe("Turns that are running, of all callers.")
    )
    waiting = fields.Integer(required=True, metadata=describe("Requests in the queue."))
    approvals = fields.Integer(required=True, metadata=describe("Tools that wait for approval."))
    places = fields.Integer(required=True, metadata=describe("Turns that can run at once."))


class JobsSchema(StoreSchema):
    waiting = fields.Dict(
        required=True,
        values=fields.Integer(),
        metadata=describe("Jobs that wait to run, by kind."),
    )
    running = fields.Dict(
        required=True,
        values=fields.Integer(),
        metadata=describe("Jobs that run, in any process, by kind."),
    )
    lines_waiting = fields.Integer(
        required=True,
        metadata=describe("Lines of all batches that have not begun."),
    )


class LoginSchema(BaseSchema):
    status = required_text(validate=OneOf(("ok", "expiring", "expired", "missing", "refused")))
    error = fields.String(metadata=describe("What is wrong with the login, and what to do."))
    expires_at = fields.DateTime(metadata=describe("When the login ends, where that is known."))


class WarmUpSchema(BaseSchema):
    status = required_text(validate=OneOf(("on", "trying", "off")))
    error = fields.String(metadata=describe("Why they are not."))


class HealthSchema(BaseSchema):
    status = required_text(validate=OneOf(("ok", "starting", "degraded", "failing")))
    login = fields.Nested(
        LoginSchema, metadata=describe("The gateway's own login at the model's provider.")
    )
    pools = fields.Dict(values=fields.Nested(PoolSchema), metadata=describe("By profile."))
    turns = fields.Nested(TurnsSchema, metadata=describe("How busy the gateway is."))
    parked = fields.Integer(
        metadata=describe("Processes that wait for the next turn of a conversation.")
    )
    recycled = fields.Integer(
        metadata=describe("Those of them that wait for any conversation of their key.")
    )
    trials = fields.Dict(
        values=fields.Nested(TrialSchema),
        metadata=describe("By profile, whether Claude Code does what the gateway relies on."),
    )
    warm_up = fields.Dict(
        values=fields.Nested(WarmUpSchema),
        metadata=describe("By profile, whether idle processes are warmed up."),
    )
    ignored_frames = fields.Dict(
        values=fields.Integer(),
        metadata=describe("Counts of Claude Code's messages of kinds unknown to the gateway."),
    )
    machine = fields.Nested(MachineSchema, metadata=describe("What turns need of the machine."))
    keys = fields.Nested(KeysSchema, metadata=describe("The keys file, if there is one."))
    usage = fields.Nested(UsageStoreSchema, metadata=describe("The record of usage."))
    sessions = fields.Nested(StoreSchema, metadata=describe("The session store."))
    responses = fields.Nested(StoreSchema, metadata=describe("The store of responses."))
    webhooks = fields.Nested(
        WebhooksSchema, metadata=describe("The store of webhooks, if anybody gets events.")
    )
    jobs = fields.Nested(JobsSchema, metadata=describe("What runs in the background."))


class ReadySchema(BaseSchema):
    status = required_text(validate=OneOf(("ready", "starting", "failing", "draining")))
