"""What runs inside Redis: each is done whole, with nothing of anybody else's in between."""

# KEYS are guarded: each has its field and the value that was read (ARGV). Where one has another by
# now nothing is done, and which of them is told. Then commands, each with its length before it.
APPLY = """
for i, key in ipairs(KEYS) do
  if (redis.call('HGET', key, ARGV[2 * i - 1]) or '') ~= ARGV[2 * i] then
    return i
  end
end
local at = 2 * #KEYS + 1
while at <= #ARGV do
  local count = tonumber(ARGV[at])
  redis.call(unpack(ARGV, at + 1, at + count))
  at = at + count + 1
end
return 0
"""

# Chunks with the documents that they are of, each of these once
_READ = """
local chunks, documents, seen = {}, {}, {}
local function read(key, score)
  local chunk = redis.call('HMGET', key, 'document', 'ordinal', 'text')
  if not chunk[1] then return end
  chunks[#chunks + 1] = {key, score, chunk[1], chunk[2], chunk[3]}
  if not seen[chunk[1]] then
    seen[chunk[1]] = true
    local said = redis.call('HMGET', ARGV[1] .. chunk[1],
      'tenant', 'collection', 'id', 'chunk_count', 'metadata')
    documents[#documents + 1] = {chunk[1], said}
  end
end
"""

# ARGV: what keys of documents begin with, and a search that tells keys with scores
SEARCH = (
    _READ
    + """
local found = redis.call('FT.SEARCH', unpack(ARGV, 2))
for i = 2, #found, 2 do read(found[i], found[i + 1]) end
return {chunks, documents}
"""
)
# The same without what they say
SCORES = "return redis.call('FT.SEARCH', unpack(ARGV))"

# ARGV: an index, a tenant's tag, and tags of fields: how many have each
HOW_MANY = """
local counts = {}
for i = 3, #ARGV do
  local asked = string.format('@tenant_key:{%s} @fields:{%s}', ARGV[2], ARGV[i])
  counts[i - 2] = redis.call(
    'FT.SEARCH', ARGV[1], asked, 'LIMIT', 0, 0, 'TIMEOUT', 0, 'DIALECT', 2)[1]
end
return counts
"""

# ARGV: an index and words: how many chunks it has, and how many hold each word
HOLDING = """
local info = redis.call('FT.INFO', ARGV[1])
local counts = {}
for i = 1, #info, 2 do
  local field = type(info[i]) == 'table' and info[i].ok or info[i]
  if field == 'num_docs' then counts[1] = info[i + 1] end
end
for i = 2, #ARGV do
  local asked = string.format('@words:(%s)', ARGV[i])
  counts[i] = redis.call(
    'FT.SEARCH', ARGV[1], asked, 'LIMIT', 0, 0, 'TIMEOUT', 0, 'DIALECT', 2)[1]
end
return counts
"""

# KEYS: chunks; ARGV: what keys of documents begin with
HITS = (
    _READ
    + """
for _, key in ipairs(KEYS) do read(key, '0') end
return {chunks, documents}
"""
)

# KEYS: an id; ARGV: what keys of documents begin with, and those of chunks
DOCUMENTS = """
local id = redis.call('HGETALL', KEYS[1])
local documents = {}
for i = 1, #id, 2 do
  if string.sub(id[i], 1, 2) == 'd:' then
    local head = redis.call('HGETALL', ARGV[1] .. string.sub(id[i], 3))
    local places, space = '[]', ''
    for j = 1, #head, 2 do
      if head[j] == 'chunks' then places = head[j + 1] end
      if head[j] == 'space' then space = head[j + 1] end
    end
    local chunks = {}
    for _, run in ipairs(cjson.decode(places)) do
      for n = 0, run[3] - 1 do
        local key = string.format('%s%s:%d', ARGV[2], space, run[2] + n)
        chunks[#chunks + 1] = redis.call('HMGET', key,
          'uuid', 'ordinal', 'text', 'start', 'end', 'norm', 'vector')
      end
    end
    documents[#documents + 1] = {head, chunks}
  end
end
return {id, documents}
"""

EVERY = (APPLY, SEARCH, SCORES, HOW_MANY, HOLDING, HITS, DOCUMENTS)
