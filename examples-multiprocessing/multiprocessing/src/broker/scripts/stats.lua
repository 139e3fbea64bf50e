-- The state of the queue. Answers with the number of its tasks, the number that workers
-- own, the number of dead tasks, the counts, the time, the reports of the workers, the
-- first thousand tasks that they own, and the number of tasks that it has ever had.

local running = {}
local held = 0
local groups = redis.pcall('XPENDING', tasks, group)
if not groups.err then
  held = groups[1]
  for _, task in ipairs(redis.call('XPENDING', tasks, group, '-', '+', 1000)) do
    local found = redis.call('XRANGE', tasks, task[1], task[1])[1]
    local map = fields_of(found and found[2] or {})
    running[#running + 1] = {task[1], task[2], task[4], map.id or '', map.task or ''}
  end
end
local stream = redis.pcall('XINFO', 'STREAM', tasks)
local ever = stream.err and 0 or fields_of(stream)['entries-added']
return {redis.call('XLEN', tasks), held, redis.call('XLEN', prefix .. 'dead'),
  redis.call('HGETALL', prefix .. 'counts'), string.format('%d', now()),
  redis.call('HGETALL', prefix .. 'agents'), running, ever}
