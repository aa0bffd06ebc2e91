-- A call ends. KEYS: session, its variables, call. ARGV: seconds of retention.
if redis.call('DEL', KEYS[3]) == 1 then
    redis.call('HINCRBY', KEYS[1], 'active', -1)
    redis.call('EXPIRE', KEYS[2], ARGV[1])
end
return redis.status_reply('OK')
