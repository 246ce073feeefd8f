"""The Lua scripts that change a session in Redis, each in one atomic step.

KEYS are the session's lock, its hash, its owner's index, and the index of all owners. The scores of
an index are the times at which sessions expire, in milliseconds of Redis's clock. The index of all
has the hashes' keys. ARGV starts with the claim's token, the time to live of the claim and of the
session in milliseconds, and the session's name in its owner's index.
"""

from __future__ import annotations

# An index lives as long as the last of its sessions. Each use of a session drops the expired ones
# from it, because otherwise it would grow for ever where nobody lists them.
_LIVE = """
local function live()
    local life = tonumber(ARGV[3])
    if redis.call('PEXPIRE', KEYS[2], ARGV[3]) == 0 then return end
    local time = redis.call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    for index, member in pairs({[KEYS[3]] = ARGV[4], [KEYS[4]] = KEYS[2]}) do
        redis.call('ZREMRANGEBYSCORE', index, '-inf', now)
        redis.call('ZADD', index, now + life, member)
        if redis.call('PTTL', index) < life then redis.call('PEXPIRE', index, ARGV[3]) end
    end
end
"""

# Returns the session's fields, or nil where another claim holds the lock.
CLAIM = f"""{_LIVE}
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return false end
live()
return redis.call('HMGET', KEYS[2], 'head', 'messages', 'used')
"""

# More ARGV: the uid that the session had, then its fields. A missing lock does not tell why it is
# missing. But where the session is gone, too, or is another one, it was deleted.
SAVE = f"""{_LIVE}
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
    if ARGV[5] ~= '' and redis.call('HGET', KEYS[2], 'uid') ~= ARGV[5] then return 'deleted' end
    return 'lost'
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call(
    'HSET', KEYS[2], 'uid', ARGV[6], 'head', ARGV[7], 'messages', ARGV[8], 'used', ARGV[9]
)
live()
return 'saved'
"""

# Returns 0 where the claim was lost.
RENEW = f"""{_LIVE}
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
live()
return 1
"""

# More ARGV: the time of use.
RELEASE = f"""{_LIVE}
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return end
redis.call('DEL', KEYS[1])
if redis.call('EXISTS', KEYS[2]) == 1 then redis.call('HSET', KEYS[2], 'used', ARGV[5]) end
live()
"""

# Its only ARGV is the session's name in the index. Returns the deleted session's fields, or nil.
DELETE = """
if redis.call('EXISTS', KEYS[2]) == 0 then return false end
local fields = redis.call('HMGET', KEYS[2], 'head', 'used', 'uid')
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZREM', KEYS[4], KEYS[2])
return fields
"""
