-- One request against one sliding window, in one step that no other request comes between. The same rules as
-- domain::limit::window, which a test holds beside it.
-- KEYS: the window. ARGV: requests allowed, length in microseconds, into how many runs it is cut.
-- Answers: whether it is within the limit, how many more are, microseconds until all of it is there again, and until one is.
local limit, window, cut = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])

local runs, taken = {}, 0
local kept = redis.call('GET', KEYS[1])
local before = kept and cmsgpack.unpack(kept) or {}
local newest = before[#before]
if newest and newest[2] > now then
  -- The clock was set back. What stands further ahead than any window reaches would never leave.
  if newest[2] > now + window then before = {} else now = newest[2] end
end
for _, run in ipairs(before) do
  if run[2] + window > now then
    runs[#runs + 1] = run
    taken = taken + run[3]
  end
end

if taken >= limit then
  local surplus, retry = taken - limit + 1, window
  for _, run in ipairs(runs) do
    surplus = surplus - run[3]
    if surplus <= 0 then
      retry = run[2] + window - now
      break
    end
  end
  return {0, 0, runs[#runs][2] + window - now, retry}
end

local last = runs[#runs]
if last and limit > cut and now - last[1] < math.floor(window / cut) then
  last[2] = now
  last[3] = last[3] + 1
else
  runs[#runs + 1] = {now, now, 1}
end
redis.call('SET', KEYS[1], cmsgpack.pack(runs), 'PX', math.ceil(window / 1000))
return {1, limit - taken - 1, window, 0}
