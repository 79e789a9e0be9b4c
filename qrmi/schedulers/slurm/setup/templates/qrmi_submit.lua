-- @MARK@.
--
-- Turns every way in which a job asks for QPUs into licenses, which Slurm counts:
--   #QRMI --qpu=a,b            in the script (also #SBATCH --qpu=, with the SPANK option)
--   --qpu=a,b                  with the SPANK option; `qrmi sbatch --qpu=a,b` needs neither
--   --comment=qpu=a,b
--   QRMI_QPU=a,b sbatch ...
--   --gres=qpu:a:2, --gres=qpu:1
--   -L qpu_a:2, -L qpu:1
-- a,b is NAME or NAME:SLOTS; `auto` or `auto:2` takes QPUs that are free when the job begins.
-- Names that do not exist are refused here, with a message that lists what there is.
--
-- It runs inside slurmctld, which waits for it: it reads one small file, and speaks to nobody.

local qrmi = {files = {"@LIVE@", "@NAMES@"}, prefix = "qpu_", pool = "qpu", most_bytes = 65536}

-- No node offers the GRES qpu: licenses alone count, and --gres=qpu is one more way to ask for them.
qrmi.strip_gres = @STRIP@

local AWAY = {offline = true, paused = true, drained = true}

-- What there is ----------------------------------------------------------------------------------

-- Slots and state by name, and the names in order; of the first file that lists any.
function qrmi.known()
   for _, path in ipairs(qrmi.files) do
      local file = io.open(path, "r")
      if file then
         local content = file:read(qrmi.most_bytes) or ""
         file:close()
         local found, names = qrmi.read(content)
         if #names > 0 then return found, names end
      end
   end
   return {}, {}
end

function qrmi.read(content)
   local found, names = {}, {}
   for line in content:gmatch("[^\n]+") do
      local name, state, slots = line:match("^([^%s#]%S*)%s+(%S+)%s+(%d+)")
      if name then
         found[name] = {state = state, slots = tonumber(slots)}
         names[#names + 1] = name
      end
   end
   return found, names
end

-- What is asked for ------------------------------------------------------------------------------

-- A request: slots by name, in the order of `names`, and how many more, whichever are free.
local function nothing()
   return {slots = {}, names = {}, any = 0}
end

local function add(request, name, count)
   if not request.slots[name] then
      request.names[#request.names + 1] = name
      request.slots[name] = 0
   end
   request.slots[name] = request.slots[name] + count
end

-- Two ways of asking for the same are one request: the larger count holds.
local function join(request, other)
   for _, name in ipairs(other.names) do
      if not request.slots[name] then add(request, name, 0) end
      request.slots[name] = math.max(request.slots[name], other.slots[name])
   end
   request.any = math.max(request.any, other.any)
end

-- `a,b:2,auto`; nil and what is wrong when it is not that.
function qrmi.parse(text)
   local request = nothing()
   for item in text:gmatch("[^,;+%s]+") do
      local name, count = item:match("^([^:]+):(%d+)$")
      if not name then name, count = item, "1" end
      count = tonumber(count)
      if name:find(":", 1, true) or count < 1 or count > 1000000 then
         return nil, "'" .. item .. "' is no NAME or NAME:SLOTS"
      end
      if name == "auto" or name == "any" then
         request.any = request.any + count
      else
         add(request, name, count)
      end
   end
   if #request.names == 0 and request.any == 0 then return nil, "it names no QPU" end
   return request
end

-- Of the job's licenses: the request, and all others as they are.
function qrmi.split_licenses(licenses)
   local request, others, pool, named = nothing(), {}, 0, 0
   for item in (licenses or ""):gmatch("[^,;]+") do
      item = item:match("^%s*(.-)%s*$")
      local name, count = item:match("^([^:]+):(%d+)$")
      if not name then name, count = item, "1" end
      if name == qrmi.pool then
         pool = pool + tonumber(count)
      elseif name:sub(1, #qrmi.prefix) == qrmi.prefix then
         add(request, name:sub(#qrmi.prefix + 1), tonumber(count))
         named = named + tonumber(count)
      elseif item ~= "" then
         others[#others + 1] = item
      end
   end
   request.any = math.max(pool - named, 0)
   return request, others
end

-- `gres:qpu:emu:2`, `gres/qpu:1`, `qpu`: of GRES, in any of its spellings.
function qrmi.parse_gres(gres)
   local request = nothing()
   for item in (gres or ""):gmatch("[^,]+") do
      local rest = item:match("^%s*(.-)%s*$"):gsub("^gres[:/]", "")
      rest = rest:gsub("=", ":")
      if rest == "qpu" or rest:sub(1, 4) == "qpu:" then
         local first, second = rest:match("^qpu:([^:]+):?(.*)$")
         if not first then
            request.any = request.any + 1
         elseif first:match("^%d+$") then
            request.any = request.any + tonumber(first)
         else
            add(request, first, tonumber(second) or 1)
         end
      end
   end
   return request
end

-- The same without QPUs.
function qrmi.without_qpus(gres)
   local items = {}
   for item in gres:gmatch("[^,]+") do
      local rest = item:match("^%s*(.-)%s*$"):gsub("^gres[:/]", "")
      if not (rest == "qpu" or rest:sub(1, 4) == "qpu:" or rest:sub(1, 4) == "qpu=") then
         items[#items + 1] = item
      end
   end
   return table.concat(items, ",")
end

-- What follows --qpu in the script's head: before its first command.
function qrmi.of_script(script)
   local found = {}
   for line in (script or ""):gmatch("[^\n]+") do
      local directive = line:match("^#QRMI%s+(.*)") or line:match("^#SBATCH%s+(.*)")
      if directive then
         for value in (" " .. directive):gmatch("%s%-%-qpu[=%s]%s*([^%s#]+)") do
            found[#found + 1] = value
         end
      elseif not line:match("^%s*#") and line:match("%S") then
         break
      end
   end
   if #found > 0 then return table.concat(found, ",") end
   return nil
end

local function field(job, name)
   local ok, value = pcall(function() return job[name] end)
   if ok then return value end
   return nil
end

-- What the SPANK option said; Slurm hands it over as a list of KEY=VALUE.
local function of_spank(job)
   local found = nil
   pcall(function()
      for _, line in pairs(field(job, "spank_job_env")) do
         found = line:match("^SPANK_QRMI_QPU=(.+)$") or line:match("^QRMI_QPU=(.+)$") or found
      end
   end)
   return found
end

local function of_environment(job)
   local environment = field(job, "environment")
   local ok, value = pcall(function() return environment["QRMI_QPU"] end)
   if ok and type(value) == "string" and value ~= "" then return value end
   return nil
end

-- The first of these that says something is what the user means.
local function told(job)
   local comment = field(job, "comment")
   comment = type(comment) == "string" and comment:match("^qpu=([^%s]+)") or nil
   return of_spank(job) or comment or qrmi.of_script(field(job, "script")) or of_environment(job)
end

-- The answer -------------------------------------------------------------------------------------

local function say(text)
   slurm.log_user("qrmi: %s", text)
end

local function listed(found, names)
   if #names == 0 then return "this site lists none" end
   local words = {}
   for _, name in ipairs(names) do
      local away = AWAY[found[name].state] and (" (" .. found[name].state .. ")") or ""
      words[#words + 1] = name .. away
   end
   return "there is: " .. table.concat(words, ", ")
end

-- Why the request can never be met; nil when it can.
function qrmi.complaint(request, found, names)
   local total = 0
   for _, name in ipairs(names) do total = total + found[name].slots end
   for _, name in ipairs(request.names) do
      if not found[name] then
         return "no QPU is called '" .. name .. "'; " .. listed(found, names)
      end
      if request.slots[name] > found[name].slots then
         return string.format("%s has %d slot(s), %d are asked for", name, found[name].slots,
            request.slots[name])
      end
   end
   if #request.names + request.any > #names then
      return string.format("%d different QPUs are asked for, %s",
         #request.names + request.any, listed(found, names))
   end
   return nil
end

function qrmi.licenses(request, others)
   local items, pool = {}, request.any
   for _, item in ipairs(others) do items[#items + 1] = item end
   for _, name in ipairs(request.names) do
      items[#items + 1] = qrmi.prefix .. name .. ":" .. request.slots[name]
      pool = pool + request.slots[name]
   end
   items[#items + 1] = qrmi.pool .. ":" .. pool
   return table.concat(items, ",")
end

local function warn_of_absence(request, found)
   for _, name in ipairs(request.names) do
      if AWAY[found[name].state] then
         say(name .. " is " .. found[name].state .. ": the job waits until it is back"
            .. " (`qrmi resources` tells why)")
      end
   end
end

local function refusal()
   return slurm.ESLURM_INVALID_LICENSES or slurm.ERROR
end

local GRES = {"tres_per_node", "tres_per_job", "tres_per_socket", "tres_per_task"}

local function strip(job)
   for _, name in ipairs(GRES) do
      local gres = field(job, name)
      if type(gres) == "string" then
         local left = qrmi.without_qpus(gres)
         if left ~= gres then job[name] = left end
      end
   end
end

-- Settle what a job that is being submitted asks for.
function qrmi.submit(job, uid)
   local request, others = qrmi.split_licenses(field(job, "licenses"))
   for _, name in ipairs(GRES) do
      local gres = field(job, name)
      if type(gres) == "string" then join(request, qrmi.parse_gres(gres)) end
   end
   local text = told(job)
   if text then
      local asked, wrong = qrmi.parse(text)
      if not asked then
         say("--qpu=" .. text .. ": " .. wrong)
         return refusal()
      end
      join(request, asked)
   end
   if #request.names == 0 and request.any == 0 then return slurm.SUCCESS end
   local found, names = qrmi.known()
   local wrong = qrmi.complaint(request, found, names)
   if wrong then
      say(wrong)
      return refusal()
   end
   local licenses = qrmi.licenses(request, others)
   if licenses ~= field(job, "licenses") then job.licenses = licenses end
   if qrmi.strip_gres then strip(job) end
   warn_of_absence(request, found)
   return slurm.SUCCESS
end

return qrmi
