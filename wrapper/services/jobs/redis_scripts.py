"""The Lua scripts that change a job in Redis, each in one atomic step.

KEYS are those of RedisJobKeys.all(): the job's hash, the jobs that wait by rank, the jobs that run,
the counts by kind, the ranks of the owners, the workers, the jobs that have ended, the index
of the job's owner, with all jobs of theirs that are kept, the ends that are not reported, and the
index of all jobs. ARGV begins with the job's id.
"""

from __future__ import annotations

from wrapper.services.jobs.store import RESUMING

# The fields of a job's hash that are read with it, in this order.
FIELDS = (
    *("kind", "owner", "ttl", "resumes", "created_at"),
    *("status", "started_at", "ended_at", "cancel_requested", "worker", "error", "waits", "rank"),
)

_COMMON = f"""
local id = ARGV[1]
local function get(name) return redis.call('HGET', KEYS[1], name) end
local function count(state, by)
    redis.call('HINCRBY', KEYS[4], get('kind') .. ' ' .. state, by)
end
local function open() return get('ended_at') == '' end
local function view() return redis.call('HMGET', KEYS[1], {", ".join(map(repr, FIELDS))}) end

-- The field without an owner has the rank of the last job that began.
local function wait()
    local lane, owner = get('resumes') .. ' ', get('owner')
    local last = tonumber(redis.call('HGET', KEYS[5], lane) or 0)
    local rank = math.max(last, tonumber(redis.call('HGET', KEYS[5], lane .. owner) or 0)) + 1
    local place = get('resumes') == '1' and rank + {RESUMING:.0f} or rank
    redis.call('HSET', KEYS[5], lane .. owner, rank)
    redis.call('HSET', KEYS[1], 'rank', rank, 'waits', '1')
    redis.call('ZADD', KEYS[2], string.format('%.0f', place), id)
    redis.call('ZREM', KEYS[3], id)
    count('waiting', 1)
    return rank
end
local function leave()
    redis.call('HSET', KEYS[1], 'waits', '0')
    if redis.call('ZREM', KEYS[2], id) == 1 then count('waiting', -1) end
end
local function stop()
    leave()
    redis.call('ZREM', KEYS[3], id)
    if get('status') == 'in_progress' then count('running', -1) end
end
local function finish(status, error, now)
    stop()
    redis.call('HSET', KEYS[1], 'status', status, 'error', error, 'ended_at', now)
    redis.call('HDEL', KEYS[1], 'request')
    redis.call('EXPIRE', KEYS[1], get('ttl') + 60)
    redis.call('ZADD', KEYS[7], now + get('ttl'), get('owner') .. ' ' .. id)
    redis.call('ZADD', KEYS[9], now, id)
end
"""

# More ARGV: how many jobs of the owner may be kept, how many bytes their contents may have without
# this one's, what the keys of jobs begin with, when this one was made, and all fields with their
# names. Returns the rank, or nil if too many are kept.
ADD = f"""{_COMMON}
if redis.call('ZCARD', KEYS[8]) >= tonumber(ARGV[2]) then return false end
local bytes = 0
for _, other in ipairs(redis.call('ZRANGE', KEYS[8], 0, -1)) do
    local key = ARGV[4] .. other
    bytes = bytes + redis.call('HSTRLEN', key, 'request') + redis.call('HSTRLEN', key, 'summary')
end
if bytes > tonumber(ARGV[3]) then return false end
redis.call('HSET', KEYS[1], unpack(ARGV, 6))
redis.call('ZADD', KEYS[8], ARGV[5], id)
redis.call('ZADD', KEYS[10], ARGV[5], get('owner') .. ' ' .. id)
return wait()
"""

# More ARGV: the worker, the time, and until when the worker lives.
BEGIN = f"""{_COMMON}
if get('waits') ~= '1' then return false end
leave()
if get('status') ~= 'in_progress' then count('running', 1) end
if get('started_at') == '' then redis.call('HSET', KEYS[1], 'started_at', ARGV[3]) end
redis.call('HSET', KEYS[1], 'status', 'in_progress', 'worker', ARGV[2])
redis.call('ZADD', KEYS[3], 0, id)
redis.call('ZADD', KEYS[6], ARGV[4], ARGV[2])
local lane, rank = get('resumes') .. ' ', tonumber(get('rank'))
if rank > tonumber(redis.call('HGET', KEYS[5], lane) or 0) then
    redis.call('HSET', KEYS[5], lane, rank)
end
return redis.call('HMGET', KEYS[1], 'request', 'summary')
"""

# Returns the new rank. A job that does not resume has not begun, if it waits.
PUT_BACK = f"""{_COMMON}
if not open() or get('waits') == '1' then return false end
if get('resumes') == '0' then
    stop()
    redis.call('HSET', KEYS[1], 'status', 'queued', 'started_at', '')
end
return wait()
"""

# More ARGV: the status, the error, and the time.
END = f"""{_COMMON}
if not open() then return false end
finish(ARGV[2], ARGV[3], ARGV[4])
return view()
"""

# More ARGV: the time.
CANCEL = f"""{_COMMON}
if not open() or get('cancel_requested') == '1' then return false end
redis.call('HSET', KEYS[1], 'cancel_requested', '1')
if get('started_at') == '' then finish('cancelled', '', ARGV[2]) end
return view()
"""

# Returns whether there was a job.
DELETE = f"""{_COMMON}
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
if open() then stop() end
redis.call('ZREM', KEYS[7], get('owner') .. ' ' .. id)
redis.call('ZREM', KEYS[8], id)
redis.call('ZREM', KEYS[10], get('owner') .. ' ' .. id)
return redis.call('DEL', KEYS[1])
"""
