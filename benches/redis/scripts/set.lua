-- A variable is set. KEYS: session, its variables, call. ARGV: name, value, seconds of its retention.
if redis.call('EXISTS', KEYS[3]) == 0 then return redis.error_reply('unknown call') end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('EXPIRE', KEYS[2], ARGV[3])
return redis.call('HINCRBY', KEYS[1], 'revision', 1)
