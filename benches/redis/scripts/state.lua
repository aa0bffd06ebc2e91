-- A call rings or is answered. KEYS: call. ARGV: its new state, a state that comes before it, another one.
local state = redis.call('HGET', KEYS[1], 'state')
if not state then return redis.error_reply('unknown call') end
if state == ARGV[2] or state == ARGV[3] then redis.call('HSET', KEYS[1], 'state', ARGV[1]) end
return redis.status_reply('OK')
