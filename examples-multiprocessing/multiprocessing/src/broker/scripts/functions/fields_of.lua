local function fields_of(entry)
  local map = {}
  for i = 1, #entry, 2 do map[entry[i]] = entry[i + 1] end
  return map
end
