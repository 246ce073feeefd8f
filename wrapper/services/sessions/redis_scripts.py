"""The scripts: what Redis does to a session in one step, so that nothing comes between.

KEYS are the session's lock, its hash, and its owner's index, whose scores say in milliseconds of
Redis's own clock when each session ends. ARGV are first the claim's token, its life and that of
the session in milliseconds, and the session's name in the index.
"""

from __future__ import annotations

# An index lasts as long as the last of its sessions, and drops those that have ended whenever one
# of them is used: else it would grow for ever where nobody lists them.
_LIVE = """
local function live()
    local life = tonumber(ARGV[3])
    if redis.call('PEXPIRE', KEYS[2], ARGV[3]) == 0 then return end
    local time = redis.call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)
    redis.call('ZADD', KEYS[3], now + life, ARGV[4])
    if redis.call('PTTL', KEYS[3]) < life then redis.call('PEXPIRE', KEYS[3], ARGV[3]) end
end
"""

# Returns the session's fields, or nil where another has the claim.
CLAIM = f"""{_LIVE}
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return false end
live()
return redis.call('HMGET', KEYS[2], 'head', 'messages', 'used')
"""

# More of ARGV: the uid that the session had, then its fields. A lock that is gone says nothing of
# why it is; but where the session is gone, too, or another one, then it was deleted.
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

# More of ARGV: the time of use.
RELEASE = f"""{_LIVE}
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return end
redis.call('DEL', KEYS[1])
if redis.call('EXISTS', KEYS[2]) == 1 then redis.call('HSET', KEYS[2], 'used', ARGV[5]) end
live()
"""

# Its only ARGV is the session's name in the index. Returns what it was, or nil.
DELETE = """
if redis.call('EXISTS', KEYS[2]) == 0 then return false end
local found = redis.call('HMGET', KEYS[2], 'head', 'used', 'uid')
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('ZREM', KEYS[3], ARGV[1])
return found
"""
