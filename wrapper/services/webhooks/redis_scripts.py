"""The Lua scripts that change deliveries in Redis, each in one atomic step."""

from __future__ import annotations

# KEYS: the delivery's hash, the recipient's deliveries that are due, all recipients that have such,
# the recipient's deliveries, and all deliveries, the last two by the time when they were made.
# ARGV: the id, the recipient, that time, the time from which deliveries are kept, how many of a
# recipient are, for how many seconds, then the hash's fields and values. The hash of a
# delivery that is one too many stays, so that it is not added again.
ADD = """
local id, created = ARGV[1], ARGV[3]
if redis.call('EXISTS', KEYS[1]) == 1 then return end
redis.call('HSET', KEYS[1], unpack(ARGV, 7))
redis.call('EXPIRE', KEYS[1], ARGV[6])
redis.call('ZADD', KEYS[2], created, id)
redis.call('SADD', KEYS[3], ARGV[2])
for index = 4, 5 do
    redis.call('ZADD', KEYS[index], created, id)
    redis.call('ZREMRANGEBYSCORE', KEYS[index], '-inf', '(' .. ARGV[4])
end
for _, index in ipairs({2, 4, 5}) do redis.call('EXPIRE', KEYS[index], ARGV[6]) end
for _, extra in ipairs(redis.call('ZRANGE', KEYS[4], 0, -1 - ARGV[5])) do
    for _, index in ipairs({2, 4, 5}) do redis.call('ZREM', KEYS[index], extra) end
end
"""

# KEYS: all recipients that have deliveries that are due. ARGV: the prefix of these deliveries.
# Returns each recipient and the time when the first of them is due.
DUE = """
local due = {}
for _, name in ipairs(redis.call('SMEMBERS', KEYS[1])) do
    local first = redis.call('ZRANGE', ARGV[1] .. name, 0, 0, 'WITHSCORES')
    if #first == 0 then
        redis.call('SREM', KEYS[1], name)
    else
        due[#due + 1] = name
        due[#due + 1] = first[2]
    end
end
return due
"""

# KEYS: the recipient's deliveries that are due. ARGV: the time, until when they are claimed, the
# lease, how many at most, and the prefix of hashes. Returns the content of each hash.
CLAIM = """
local claimed = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[4])) do
    local key = ARGV[5] .. id
    if redis.call('EXISTS', key) == 0 then
        redis.call('ZREM', KEYS[1], id)
    else
        redis.call('ZADD', KEYS[1], ARGV[2], id)
        redis.call('HINCRBY', key, 'attempts', 1)
        redis.call('HSET', key, 'due', ARGV[2], 'lease', ARGV[3])
        claimed[#claimed + 1] = redis.call('HGETALL', key)
    end
end
return claimed
"""

# KEYS: the delivery's hash, and the recipient's deliveries that are due. ARGV: the id, its lease,
# when it is due or "", then the hash's fields and values.
RECORD = """
if redis.call('HGET', KEYS[1], 'lease') ~= ARGV[2] then return end
redis.call('HSET', KEYS[1], unpack(ARGV, 4))
if ARGV[3] == '' then
    redis.call('ZREM', KEYS[2], ARGV[1])
else
    redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
end
"""
