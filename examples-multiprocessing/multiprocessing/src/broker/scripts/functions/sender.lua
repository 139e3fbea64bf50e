-- The stream of the sender that has this hash.
local function done_of(client)
  return prefix .. 'done:' .. string.sub(client, #prefix + #'client:' + 1)
end

-- Records a new sender for a day, or one whose keys had expired. Its stream lives longer
-- than its hash, so that a sender with a hash has a stream.
local function add_sender(client)
  local done = done_of(client)
  redis.call('XADD', done, '*', 'id', '', 'outcome', '')
  redis.call('PEXPIRE', done, 2 * day)
  redis.call('PEXPIRE', client, day)
end
