-- A sender asks for the outcome of a task by its id. It may repeat the request.
--
-- Keys: tasks, client. Arguments: the sender, the task's id.

if redis.call('HSETNX', KEYS[2], 'entries', '') == 1 then
  redis.call('HSET', KEYS[2], 'first', '')
  add_sender(KEYS[2])
end
local outcome = redis.call('GET', prefix .. 'result:' .. ARGV[2])
if not outcome then
  report(ARGV[1], 'id', ARGV[2], 'outcome', '{"error":"Forgotten"}')
elseif outcome ~= '' then
  report(ARGV[1], 'id', ARGV[2], 'outcome', outcome)
else
  local watchers = prefix .. 'watchers:' .. ARGV[2]
  redis.call('SADD', watchers, ARGV[1])
  redis.call('PEXPIRE', watchers, day)
end
return 1
