-- A call starts. KEYS: session, its variables, call. ARGV: session, from, to, now, most seconds of a call.
-- Returns the context: first and last contact, revision, active calls, variables.
local known = redis.call('HMGET', KEYS[1], 'first', 'last', 'revision', 'active')
local active = tonumber(known[4] or '0')
local revision = tonumber(known[3] or '0')
if redis.call('EXISTS', KEYS[3]) == 0 then
    if active == 0 then revision = revision + redis.call('DEL', KEYS[2]) end
    active = active + 1
    redis.call('HSET', KEYS[1], 'first', known[1] or ARGV[4], 'last', ARGV[4], 'revision', revision, 'active', active)
    redis.call('HSET', KEYS[3], 'session', ARGV[1], 'state', 'started', 'from', ARGV[2], 'to', ARGV[3], 'at', ARGV[4])
    redis.call('EXPIRE', KEYS[3], ARGV[5])
end
return {known[1], known[2], revision, active, active > 1 and redis.call('HGETALL', KEYS[2]) or {}}
