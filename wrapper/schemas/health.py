"""The health: what is told of each of the gateway's parts."""

from __future__ import annotations

from functools import partial

from marshmallow import fields
from marshmallow.validate import OneOf, Range

from wrapper.schemas.base import BaseSchema, means

_count = partial(fields.Integer, required=True, validate=Range(min=0))


class PoolSchema(BaseSchema):
    status = fields.String(required=True, validate=OneOf(("ready", "booting", "failing")))
    ready = _count()
    booting = _count()
    error = fields.String(metadata=means("Why the last process did not start."))


class MachineSchema(BaseSchema):
    status = fields.String(required=True, validate=OneOf(("ok", "failing")))
    error = fields.String(metadata=means("What there is too little of for turns."))


class KeysSchema(BaseSchema):
    status = fields.String(required=True, validate=OneOf(("ok", "failing")))
    error = fields.String(metadata=means("Why the keys from before are in force."))


class BooksSchema(BaseSchema):
    status = fields.String(required=True, validate=OneOf(("ok", "failing")))
    unbooked = _count()
    error = fields.String(metadata=means("Why spending cannot be kept."))


class StoreSchema(BaseSchema):
    status = fields.String(required=True, validate=OneOf(("ok", "failing")))
    error = fields.String(metadata=means("Why sessions cannot be had."))


class TurnsSchema(BaseSchema):
    running = fields.Integer(required=True, metadata=means("Turns that run, of all callers."))
    waiting = fields.Integer(required=True, metadata=means("Requests that wait for a place."))
    places = fields.Integer(required=True, metadata=means("Turns that may run at once."))


class HealthSchema(BaseSchema):
    status = fields.String(required=True, validate=OneOf(("ok", "starting", "degraded", "failing")))
    pools = fields.Dict(values=fields.Nested(PoolSchema), metadata=means("By profile."))
    turns = fields.Nested(TurnsSchema, metadata=means("How busy it is."))
    parked = fields.Integer(
        metadata=means("Processes that wait for a further turn of a conversation.")
    )
    ignored_frames = fields.Dict(
        values=fields.Integer(),
        metadata=means("What Claude Code said that the gateway knows nothing of."),
    )
    machine = fields.Nested(MachineSchema, metadata=means("What turns need of the machine."))
    keys = fields.Nested(KeysSchema, metadata=means("The file of keys, if there is one."))
    usage = fields.Nested(BooksSchema, metadata=means("The books of what was spent."))
    sessions = fields.Nested(StoreSchema, metadata=means("Where sessions are kept."))


class ReadySchema(BaseSchema):
    status = fields.String(
        required=True, validate=OneOf(("ready", "starting", "failing", "draining"))
    )
