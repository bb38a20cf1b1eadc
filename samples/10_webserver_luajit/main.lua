#!/usr/bin/env luajit
--[[
A small static web server in LuaJIT: io_uring by its bare system calls, over the foreign function interface.

A connection is a coroutine. request() puts a request into the ring and yields; the loop at the end resumes the
coroutine that a completion belongs to. So serve() reads from top to bottom as if it waited for each step, while
PLACES connections take turns in one thread. 05_webserver_liburing does the same by a state machine.

Two things that C has and Lua has not:

  Memory that stays. Lua moves and frees its own as it likes, and the kernel writes into ours until a request is
  completed. So all that a request points to lies in one mapping that Lua does not manage, a piece for each place.

  Memory order. LuaJIT has no atomic operations. The submission ring needs none: the kernel reads our tail within
  io_uring_enter(), which this very thread calls. But the tail of the completion ring may be written by another
  processor, and what it announces must not be read before it. "volatile" keeps LuaJIT from moving or merging the
  loads, and an x86-64 processor keeps them in order, and the store that gives a place back behind them. Others
  do not (02_cat_uring says what they need), so this program refuses to run on them.
--]]
local ffi, bit = require("ffi"), require("bit")
local C, band = ffi.C, bit.band

ffi.cdef [[
struct sq_offsets { uint32_t head, tail, mask, entries, flags, dropped, array, x; uint64_t y; };
struct cq_offsets { uint32_t head, tail, mask, entries, overflow, cqes, flags, x; uint64_t y; };
struct parameters { uint32_t sq_entries, cq_entries, flags, cpu, idle, features, fd, x[3];
                    struct sq_offsets sq; struct cq_offsets cq; };
struct entry { uint8_t opcode, flags; uint16_t priority; int32_t fd; uint64_t offset, address;
               uint32_t length, how; uint64_t user_data, x[3]; };
struct completion { uint64_t user_data; int32_t result; uint32_t flags; };
struct statx { uint32_t x[7]; uint16_t mode, y[5]; uint64_t size, z[26]; };
struct open_how { uint64_t flags, mode, resolve; };
struct address { uint16_t family; uint8_t port[2], ip[4], zero[8]; };
struct place { char buffer[32768], path[8256]; struct statx stat; struct open_how how; int64_t time[2]; };

long syscall(long, ...);
void *mmap(void *, size_t, int, int, int, long);
char *strerror(int);
int open(const char *, int, ...);
int fcntl(int, int, ...);
int socket(int, int, int);
int setsockopt(int, int, int, const void *, uint32_t);
int bind(int, const void *, uint32_t);
int listen(int, int);
int getsockname(int, void *, uint32_t *);
int shutdown(int, int);
int sigemptyset(void *);
int sigaddset(void *, int);
int sigprocmask(int, const void *, void *);
int sigtimedwait(const void *, void *, const void *);
]]
-- Not by their variable arguments: those would take Lua's numbers for floating point.
local setup = ffi.cast("long (*)(long, unsigned, struct parameters *)", C.syscall)
local enter = ffi.cast("long (*)(long, int, unsigned, unsigned, unsigned, void *, size_t)", C.syscall)

local ENTRIES = 256
local PLACES = ENTRIES - 2 -- for each, one request in flight; one more to accept and one for the timer
local ACCEPTOR, TIMER = PLACES + 1, PLACES + 2
local BUFFER, MAX_REQUEST = 32768, 8192
local PATIENCE = 10 -- seconds for a request to arrive, or for a block to be taken

-- Out of <linux/io_uring.h> and the other headers.
local TIMEOUT, ACCEPT, CLOSE, STATX, READ, SEND, RECV, OPENAT2 = 11, 13, 19, 21, 22, 26, 27, 28
local EINTR, EIO, EAGAIN, ENOMEM, EACCES, ENFILE, EMFILE = 4, 5, 11, 12, 13, 23, 24

local function die(...)
    io.stderr:write(arg[0]:match("[^/]*$"), ": ", table.concat({ ... }, ": "), "\n")
    os.exit(1)
end

-- Returns the result of a system call, or ends the program if it has failed.
local function check(result, what)
    if result < 0 then
        die(what, ffi.string(C.strerror(ffi.errno())))
    end
    return tonumber(result)
end

-- ---- the ring --------------------------------------------------------------------------------------------

local ring, entries, sq_tail, sq_mask, sq_array, cq_head, cq_tail, cq_mask, completions
local queued = 0 -- requests that the kernel has not taken yet

local function map(size, flags, fd, offset)
    local memory = C.mmap(nil, size, 3, flags, fd, offset) -- to read and write
    check(ffi.cast("intptr_t", memory) == -1 and -1 or 0, "mmap")
    return ffi.cast("char *", memory)
end

local function make_ring()
    local p = ffi.new("struct parameters")
    ring = check(setup(425, ENTRIES, p), "io_uring_setup")
    if band(p.features, 8) == 0 then -- IORING_FEAT_RW_CUR_POS: as old as the youngest operations used here
        die("io_uring", "it needs Linux 5.6")
    end
    local rings = map(math.max(p.sq.array + 4 * p.sq_entries, p.cq.cqes + 16 * p.cq_entries), 1, ring, 0)
    local function number(offset)
        return ffi.cast("volatile uint32_t *", rings + offset)
    end
    sq_tail, sq_mask, sq_array = number(p.sq.tail), number(p.sq.mask)[0], number(p.sq.array)
    cq_head, cq_tail, cq_mask = number(p.cq.head), number(p.cq.tail), number(p.cq.mask)[0]
    completions = ffi.cast("volatile struct completion *", rings + p.cq.cqes)
    entries = ffi.cast("struct entry *", map(64 * p.sq_entries, 1, ring, 0x10000000))
end

-- Where a piece of memory is, as a number.
local function at(memory)
    return ffi.cast("uintptr_t", ffi.cast("void *", memory))
end

local threads, current = {}, nil -- coroutines by their number; the number of the one that runs

-- Resumes a coroutine, with the result of its request if it waits for one.
local function run(number, result)
    local caller = current
    current = number
    local good, problem = coroutine.resume(threads[number], result)
    current = caller
    if not good then
        error(problem)
    end
end

-- Called in a coroutine: makes a request and returns its result, below 0 an error number.
local function request(opcode, fd, address, length, offset, how)
    local result
    repeat
        local tail = sq_tail[0]
        local place = band(tail, sq_mask) -- there is one: no coroutine has more than one request
        local entry = entries[place]
        ffi.fill(entry, 64)
        entry.opcode, entry.fd, entry.length, entry.how = opcode, fd, length or 0, how or 0
        entry.address = at(address)
        entry.offset = offset or 0
        entry.user_data = current
        sq_array[place] = place
        sq_tail[0] = (tail + 1) % 2 ^ 32
        queued = queued + 1
        result = coroutine.yield()
    until result ~= -EINTR and result ~= -EAGAIN
    return result
end

-- ---- one connection --------------------------------------------------------------------------------------

local TYPES = {
    html = "text/html", css = "text/css", js = "text/javascript", json = "application/json", txt = "text/plain",
    png = "image/png", jpg = "image/jpeg", jpeg = "image/jpeg", gif = "image/gif", svg = "image/svg+xml",
    ico = "image/x-icon", pdf = "application/pdf",
}
local public
local places, idle = nil, {} -- the memory of the places; the numbers of the free ones
local connections = {} -- by number: socket, file, place, deadline

-- Receives up to the empty line that ends a request's head. Returns nothing if the client goes before that.
local function receive(c)
    local length = 0
    while true do
        local got = request(RECV, c.socket, c.place.buffer + length, MAX_REQUEST - length)
        if got < 0 or got + length == 0 then
            return nil
        end
        length = length + got
        local text = ffi.string(c.place.buffer, length)
        local complete = text:find("\n\r?\n") or got == 0 -- or as complete as it will ever be
        if complete or length == MAX_REQUEST then
            return text, complete
        end
    end
end

-- Sends what is in the buffer; returns whether all of it was taken.
local function send(c, length)
    local sent = 0
    while sent < length do
        c.deadline = os.time() + PATIENCE
        local taken = request(SEND, c.socket, c.place.buffer + sent, length - sent, 0, 0x4000) -- no SIGPIPE
        if taken <= 0 then
            return false
        end
        sent = sent + taken
    end
    return true
end

-- Puts the head of an answer into the buffer, and returns its length.
local function put_head(c, status, content_type, size)
    local head = ("HTTP/1.0 %s\r\nDate: %s\r\nServer: uring-lab\r\nContent-Type: %s\r\nContent-Length: %d\r\n" ..
        "Connection: close\r\n\r\n"):format(status, os.date("!%a, %d %b %Y %H:%M:%S GMT"), content_type, size)
    ffi.copy(c.place.buffer, head, #head)
    return #head
end

local function refuse(c, status, method)
    local body = ("<!DOCTYPE html><title>%s</title><h1>%s</h1>\n"):format(status, status)
    local length = put_head(c, status, "text/html", #body)
    if method ~= "HEAD" then
        ffi.copy(c.place.buffer + length, body, #body)
        length = length + #body
    end
    send(c, length)
end

-- Opens a file of public/ and nowhere else, and leaves what statx() says of it; returns 0 or an error number.
local function open(c, path)
    local place = c.place
    ffi.copy(place.path, path)
    place.how.flags = 0x80800 -- O_CLOEXEC; O_NONBLOCK, or a named pipe would wait for its other end
    place.how.resolve = 12 -- RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS
    local file = request(OPENAT2, public, place.path, 24, at(place.how))
    if file < 0 then
        return file
    end
    c.file = file
    place.path[0] = 0
    C.fcntl(file, 4, ffi.cast("int", 0)) -- O_NONBLOCK off: a read of what is not in memory may wait
    return request(STATX, file, place.path, 0x7ff, at(place.stat), 0x1000) -- AT_EMPTY_PATH
end

local function answer_file(c, path, method)
    path = "." .. path .. (path:sub(-1) == "/" and "index.html" or "")
    local result = (path .. "/"):find("/../", 1, true) and -1 or open(c, path)
    if result == -EMFILE or result == -ENFILE or result == -ENOMEM or result == -EIO then
        return refuse(c, "500 Internal Server Error", method)
    elseif result == -EACCES then
        return refuse(c, "403 Forbidden", method)
    elseif result < 0 or band(c.place.stat.mode, 0xf000) ~= 0x8000 then -- directories, devices, pipes
        return refuse(c, "404 Not Found", method)
    end

    local size = tonumber(c.place.stat.size)
    local extension = (path:match("%.(%w+)$") or ""):lower()
    local length = put_head(c, "200 OK", TYPES[extension] or "application/octet-stream", size)
    local offset = 0
    repeat -- the first block behind the head, so that a small file travels with it
        if method == "GET" and offset < size then
            local want = math.min(BUFFER - length, size - offset)
            local got = request(READ, c.file, c.place.buffer + length, want, offset)
            if got <= 0 then
                return -- it has shrunk: the head has promised more, so the client will notice
            end
            length, offset = length + got, offset + got
        end
        local taken = send(c, length)
        length = 0
    until not taken or method == "HEAD" or offset == size
end

local function answer(c, text)
    local line = text:match("^[^\r\n]*")
    local method, target, version = line:match("^([%w!#$%%&'*+.^_`|~-]+) (/[^ ]*) HTTP/(%d)%.%d$")
    local path = target and target:match("^[^?]*") -- a query means nothing to a static file
    if not path or text:find("\0", 1, true) or path:gsub("%%%x%x", ""):find("%", 1, true) then
        return refuse(c, "400 Bad Request")
    end
    path = path:gsub("%%(%x%x)", function(digits)
        return string.char(tonumber(digits, 16))
    end)
    if path:find("\0", 1, true) then
        return refuse(c, "400 Bad Request")
    elseif version ~= "1" then
        return refuse(c, "505 HTTP Version Not Supported")
    elseif method ~= "GET" and method ~= "HEAD" then
        return refuse(c, "501 Not Implemented")
    end
    return answer_file(c, path, method)
end

local function serve(c)
    local text, complete = receive(c)
    if not text then
        return
    elseif complete then
        answer(c, text)
    else
        refuse(c, "431 Request Header Fields Too Large")
    end
    -- Not close(): with something of the client's unread, that would reset the connection, and what we have just
    -- sent could be lost on its way. Read and forget, until the client closes or its time is up.
    C.shutdown(c.socket, 1)
    c.deadline = os.time() + PATIENCE
    repeat until request(RECV, c.socket, c.place.buffer, BUFFER) <= 0
end

-- ---- the program -----------------------------------------------------------------------------------------

local paused = false -- the acceptor waits for a free place, or for the next tick of the timer

local function wake_acceptor()
    if paused then
        paused = false
        run(ACCEPTOR)
    end
end

local function connect(socket)
    local number = table.remove(idle)
    local c = { socket = socket, place = places[number - 1], deadline = os.time() + PATIENCE }
    connections[number] = c
    threads[number] = coroutine.create(function()
        local good, problem = pcall(serve, c) -- a mistake of ours costs one connection, not all
        if not good then
            io.stderr:write(problem, "\n")
        end
        if c.file then
            request(CLOSE, c.file)
        end
        connections[number] = nil -- before its socket's number may be another's
        request(CLOSE, c.socket)
        table.insert(idle, number)
        wake_acceptor()
    end)
    run(number)
end

local function accept(listener)
    while true do
        local socket = #idle > 0 and request(ACCEPT, listener, nil, 0, 0, 0x80000) -- SOCK_CLOEXEC
        if socket and socket >= 0 then
            connect(socket)
        else -- no place, or no descriptor: a closed connection or the next tick brings one
            paused = true
            coroutine.yield()
        end
    end
end

-- Twice a second: ends the program if it was told to, and the connections whose time is up.
local function tick(signals, time)
    local none = ffi.new("int64_t[2]")
    time[0], time[1] = 0, 500000000
    while true do
        request(TIMEOUT, -1, time, 1)
        if C.sigtimedwait(signals, nil, none) > 0 then
            os.exit(0)
        end
        local now = os.time()
        for _, c in pairs(connections) do
            if c.deadline < now then
                C.shutdown(c.socket, 2) -- its request in flight completes, and the rest follows
            end
        end
        wake_acceptor()
    end
end

-- On the loopback address alone: this is a program to learn from, without encryption, access rules or logs.
local function listen(port)
    local address = ffi.new("struct address", 2, { math.floor(port / 256), port % 256 }, { 127, 0, 0, 1 })
    local size = ffi.new("uint32_t[1]", 16)
    local listener, what = C.socket(2, 0x80001, 0), "127.0.0.1:" .. port -- SOCK_STREAM, SOCK_CLOEXEC
    check(listener, what)
    check(C.setsockopt(listener, 1, 2, ffi.new("int[1]", 1), 4), what) -- SO_REUSEADDR
    check(C.bind(listener, address, size[0]), what)
    check(C.listen(listener, 4096), what)
    check(C.getsockname(listener, address, size), what)
    io.stdout:write("serving public/ on http://127.0.0.1:", address.port[0] * 256 + address.port[1], "/\n")
    io.stdout:flush()
    return listener
end

local port = tonumber((arg[1] or "8000"):match("^%d+$"))
if arg[2] or not port or port > 65535 then
    die("usage", arg[0] .. " [PORT]   (8000; 0: a free one)")
elseif ffi.arch ~= "x64" then
    die("for x86-64 alone", "LuaJIT cannot have another processor keep its loads in order")
end
public = check(C.open("public", 0x90000), "public") -- O_DIRECTORY, O_CLOEXEC
make_ring()
places = ffi.cast("struct place *", map((PLACES + 1) * ffi.sizeof("struct place"), 0x22, -1, 0)) -- anonymous
for number = 1, PLACES do
    idle[number] = number
end
local signals = ffi.new("uint64_t[16]")
C.sigemptyset(signals)
C.sigaddset(signals, 2)
C.sigaddset(signals, 15)
C.sigprocmask(0, signals, nil) -- SIGINT and SIGTERM wait until the timer asks for them
local listener = listen(port)
threads[ACCEPTOR] = coroutine.create(function()
    accept(listener)
end)
threads[TIMER] = coroutine.create(function()
    tick(signals, places[PLACES].time)
end)
run(ACCEPTOR)
run(TIMER)

while true do
    local taken = tonumber(enter(426, ring, queued, 1, 1, nil, 0)) -- hand over, and wait for a completion
    if taken >= 0 then
        queued = queued - taken
    elseif ffi.errno() ~= EINTR and ffi.errno() ~= EAGAIN then
        check(taken, "io_uring_enter")
    end
    local head = cq_head[0]
    while head ~= cq_tail[0] do
        local completion = completions[band(head, cq_mask)]
        local number, result = tonumber(completion.user_data), completion.result
        head = (head + 1) % 2 ^ 32
        cq_head[0] = head -- its place may be used again: we have what we need
        run(number, result)
    end
end
