-- A sender reports that it lives, and asks which of its tasks the broker still has.
--
-- Keys: tasks, client. Arguments: entries. Answers with 1 for each task that the broker
-- has, 0 for each other.

redis.call('PEXPIRE', KEYS[2], day)
redis.call('PEXPIRE', done_of(KEYS[2]), 2 * day)
local there = {}
for i = 1, #ARGV do
  there[i] = #redis.call('XRANGE', tasks, ARGV[i], ARGV[i])
end
return there
