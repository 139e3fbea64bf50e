-- The beginning of every script.

local tasks = KEYS[1]
local prefix = string.sub(tasks, 1, -6)
local group = 'workers'
local day = 86400000
