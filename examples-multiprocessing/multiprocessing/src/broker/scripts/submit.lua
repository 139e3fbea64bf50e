-- A sender submits tasks. It may repeat the submission if it had no answer: it then gets
-- the answer to the first.
--
-- Keys: tasks, client. Arguments: the number of the first task, `again` if this may be a
-- repetition or nothing, the capacity, the milliseconds until the tasks expire or
-- nothing; then for each task the number of its fields and values, after a `k` if its
-- result is to be kept, and the fields and values, `id` first. Answers with the entries
-- that were made, each followed by a space: tasks for which there is no room have none.
-- It is `-` for a task whose result is known, or will be: its key was used before.

local client = KEYS[2]
local first, capacity, expires = ARGV[1], tonumber(ARGV[3]), ARGV[4]
-- Each command in a script takes the broker as long as one that a client sends, so the
-- usual submission does without this.
if ARGV[2] == 'again' and redis.call('HGET', client, 'first') == first then
  return redis.call('HGET', client, 'entries')
end
local room = capacity - redis.call('XLEN', tasks)
local entries = {}
local i = 5
while ARGV[i] and room > 0 do
  local keeps, count = string.match(ARGV[i], '^(k?)(%d+)$')
  local from, last = i + 1, i + count
  -- An empty result shows that the task has not ended, but that it is known.
  if keeps == '' or
      redis.call('SET', prefix .. 'result:' .. ARGV[i + 2], '', 'PX', 7 * day, 'NX') then
    if expires == '' then
      entries[#entries + 1] = redis.call('XADD', tasks, '*', unpack(ARGV, from, last))
    else
      local time = string.format('%d', now() + tonumber(expires))
      entries[#entries + 1] = redis.call('XADD', tasks, '*', 'expires', time,
        unpack(ARGV, from, last))
    end
  else
    entries[#entries + 1] = '-'
  end
  entries[#entries + 1] = ' '
  i = last + 1
  room = room - 1
end
local made = table.concat(entries)
if made ~= '' and
    redis.call('HSET', client, 'first', first, 'entries', made) == 2 then
  add_sender(client)
end
return made
