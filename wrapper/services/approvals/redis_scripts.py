"""The Lua scripts that change approvals in Redis, each in one atomic step.

KEYS are the approval's hash, the index of all pending approvals, and that of its owner's. The
scores of an index are the times until which a worker waits for the approval, in milliseconds of
Redis's clock. The worker renews them; those of a worker that has died are dropped. Approvals that
no turn waits for have no `waiter`, and nobody renews them. They have two indexes of their own: of
all that are undecided, until they expire, and of their owner's, as long as they are kept.
"""

from __future__ import annotations

_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""

# ARGV: the id, the milliseconds until a renewal is due, the most approvals in all and of a key, the
# approval, and the list that gets its decision. Returns the numbers of those that wait, and whether
# it was added.
ADD = f"""{_NOW}
for index = 2, 3 do redis.call('ZREMRANGEBYSCORE', KEYS[index], '-inf', now) end
local all, own = redis.call('ZCARD', KEYS[2]), redis.call('ZCARD', KEYS[3])
if all >= tonumber(ARGV[3]) or own >= tonumber(ARGV[4]) then return {{all, own, 0}} end
redis.call('HSET', KEYS[1], 'approval', ARGV[5], 'waiter', ARGV[6])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
for index = 2, 3 do
    redis.call('ZADD', KEYS[index], now + ARGV[2], ARGV[1])
    redis.call('PEXPIRE', KEYS[index], ARGV[2])
end
return {{all, own, 1}}
"""

# ARGV: the id, and the milliseconds until the next renewal is due. Returns the decision, 1 if there
# is none yet, and 0 for a lost approval.
RENEW = f"""{_NOW}
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local before = redis.call('HGET', KEYS[1], 'decision')
if before then return before end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
for index = 2, 3 do
    redis.call('ZADD', KEYS[index], now + ARGV[2], ARGV[1])
    redis.call('PEXPIRE', KEYS[index], ARGV[2])
end
return 1
"""

# The fourth of KEYS is the index of all undecided approvals that no turn waits for. ARGV: the id,
# the decision, and the milliseconds for which it is kept. Returns the decision that holds: this one
# or an earlier one; nil for an approval that is gone.
DECIDE = """
if redis.call('EXISTS', KEYS[1]) == 0 then return false end
local before = redis.call('HGET', KEYS[1], 'decision')
if before then return before end
redis.call('HSET', KEYS[1], 'decision', ARGV[2])
local waiter = redis.call('HGET', KEYS[1], 'waiter')
if not waiter then
    redis.call('ZREM', KEYS[4], ARGV[1])
    return ARGV[2]
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
for index = 2, 3 do redis.call('ZREM', KEYS[index], ARGV[1]) end
redis.call('RPUSH', waiter, ARGV[1] .. ' ' .. ARGV[2])
redis.call('PEXPIRE', waiter, ARGV[3])
return ARGV[2]
"""

# ARGV: the id, the approval, and what the keys of approvals begin with; then for each index the
# milliseconds until it drops the approval, and the most that it has. Drops the oldest ones above
# the most; microseconds tell which those are. The owner's index keeps approvals the longest.
KEEP = f"""{_NOW}
redis.call('HSET', KEYS[1], 'approval', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[6])
for index = 2, 3 do
    local life, most = ARGV[2 * index], ARGV[2 * index + 1]
    redis.call('ZREMRANGEBYSCORE', KEYS[index], '-inf', now)
    redis.call('ZADD', KEYS[index], now + life + time[2] % 1000 / 1000, ARGV[1])
    redis.call('PEXPIRE', KEYS[index], life)
    for _, id in ipairs(redis.call('ZRANGE', KEYS[index], 0, -1 - most)) do
        redis.call('DEL', ARGV[3] .. id)
        for each = 2, 3 do redis.call('ZREM', KEYS[each], id) end
    end
end
"""
