#!/usr/bin/env luajit
--[[
A small static web server in LuaJIT: io_uring's system calls, called through the foreign function interface.

A connection is a coroutine. request() puts a request into the ring and yields; the loop at the end resumes the
coroutine that a completion belongs to. So serve() reads from top to bottom as if it waited for each step, while
MAX_CONNECTIONS connections share one thread. 05_webserver_liburing does the same with a state machine.

Two things that C has and Lua does not have:

  Stable memory. Lua's garbage collector may free its memory at any time, but the kernel writes into ours until a
  request completes. So everything that requests point to is in one mapping outside of Lua, a part per connection.

  Memory order. LuaJIT has no atomic operations. The submission ring needs none: the kernel reads our tail within
  io_uring_enter(), which this thread calls. But another processor may write the tail of the completion ring, and
  the completions must not be read before that tail. "volatile" keeps LuaJIT from reordering or merging the loads,
  and x86-64 processors keep loads in order, and the store of the head after them. Other processors do not
  (02_cat_uring shows what they need), so this program refuses to run on them.
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
struct memory { char buffer[32768], path[8256]; struct statx stat; struct open_how how; int64_t time[2]; };

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
-- Typed pointers, because LuaJIT passes numbers to a variadic function as floating point.
local setup = ffi.cast("long (*)(long, unsigned, struct parameters *)", C.syscall)
local enter = ffi.cast("long (*)(long, int, unsigned, unsigned, unsigned, void *, size_t)", C.syscall)
local statx = ffi.cast("long (*)(long, int, const char *, int, unsigned, struct statx *)", C.syscall)

local ENTRIES = 256
local MAX_CONNECTIONS = ENTRIES - 2 -- one request in flight per connection, one to accept, one for the timer
local ACCEPTOR, TIMER = MAX_CONNECTIONS + 1, MAX_CONNECTIONS + 2
local BUFFER, MAX_REQUEST = 32768, 8192
local PATIENCE = 10 -- seconds for a request to arrive, or for the client to accept a block
local LEAST_PATIENCE = 2 -- seconds for the client when nobody else can be accepted

-- From <linux/io_uring.h> and other headers.
local POLL_ADD, TIMEOUT, ACCEPT, CLOSE, STATX, READ, SEND, RECV, OPENAT2 = 6, 11, 13, 19, 21, 22, 26, 27, 28
local POLLIN, POLLOUT = 1, 4
local AT_EMPTY_PATH, STATX_BASIC_STATS = 0x1000, 0x7ff
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
local queued = 0 -- requests that are not submitted yet
local fast_poll, has_statx -- what the kernel can do: see wait_for() and open()

local function map(size, flags, fd, offset)
    local memory = C.mmap(nil, size, 3, flags, fd, offset) -- PROT_READ, PROT_WRITE
    check(ffi.cast("intptr_t", memory) == -1 and -1 or 0, "mmap")
    return ffi.cast("char *", memory)
end

local function make_ring()
    local p = ffi.new("struct parameters")
    ring = setup(425, ENTRIES, p)
    if ring < 0 and ffi.errno() == ENOMEM then -- many kernels count the rings of a user as locked memory
        die("io_uring_setup", "too little locked memory: raise RLIMIT_MEMLOCK (ulimit -l)")
    end
    ring = check(ring, "io_uring_setup")
    if band(p.features, 8) == 0 then -- IORING_FEAT_RW_CUR_POS, of the same version as the newest operations here
        die("io_uring", "it needs Linux 5.6")
    end
    fast_poll = band(p.features, 32) ~= 0 -- IORING_FEAT_FAST_POLL
    local rings = map(math.max(p.sq.array + 4 * p.sq_entries, p.cq.cqes + 16 * p.cq_entries), 1, ring, 0)
    local function number(offset)
        return ffi.cast("volatile uint32_t *", rings + offset)
    end
    sq_tail, sq_mask, sq_array = number(p.sq.tail), number(p.sq.mask)[0], number(p.sq.array)
    cq_head, cq_tail, cq_mask = number(p.cq.head), number(p.cq.tail), number(p.cq.mask)[0]
    completions = ffi.cast("volatile struct completion *", rings + p.cq.cqes)
    entries = ffi.cast("struct entry *", map(64 * p.sq_entries, 1, ring, 0x10000000))
end

-- The address of a pointer as a number.
local function at(memory)
    return ffi.cast("uintptr_t", ffi.cast("void *", memory))
end

local threads, current = {}, nil -- coroutines by number; the number of the running one

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

-- Called in a coroutine: queues a request and returns its result, or a negative error number.
local function request(opcode, fd, address, length, offset, how)
    local result
    repeat
        local tail = sq_tail[0]
        local index = band(tail, sq_mask) -- never full: a coroutine has only one request
        local entry = entries[index]
        ffi.fill(entry, 64)
        entry.opcode, entry.fd, entry.length, entry.how = opcode, fd, length or 0, how or 0
        entry.address = at(address)
        entry.offset = offset or 0
        entry.user_data = current
        sq_array[index] = index
        sq_tail[0] = (tail + 1) % 2 ^ 32
        queued = queued + 1
        result = coroutine.yield()
    until result ~= -EINTR and result ~= -EAGAIN
    return result
end

-- Called before a request that may have to wait for a socket. Since 5.7 the kernel polls by itself. Before, such a
-- request occupies a kernel thread, and is cancelled when the user may have no more of them; POLL_ADD occupies none.
local function wait_for(socket, events)
    if not fast_poll then
        request(POLL_ADD, socket, nil, 0, 0, events)
    end
end

-- ---- one connection --------------------------------------------------------------------------------------

local TYPES = {
    html = "text/html", css = "text/css", js = "text/javascript", json = "application/json", txt = "text/plain",
    png = "image/png", jpg = "image/jpeg", jpeg = "image/jpeg", gif = "image/gif", svg = "image/svg+xml",
    ico = "image/x-icon", pdf = "application/pdf",
}
local public
local pool, idle = nil, {} -- the memory of the pool; the numbers of the free ones
local connections = {} -- by number: socket, file, memory, deadline, waiting (for the client to send or to close)

-- Receives a request head, which ends with an empty line. Returns nil if the client closes before that.
local function receive(c)
    local length = 0
    while true do
        wait_for(c.socket, POLLIN)
        local got = request(RECV, c.socket, c.memory.buffer + length, MAX_REQUEST - length)
        if got < 0 or got + length == 0 then
            return nil
        end
        length = length + got
        local text = ffi.string(c.memory.buffer, length)
        local complete = text:find("\n\r?\n") or got == 0 -- 0: no more will come
        if complete or length == MAX_REQUEST then
            return text, complete
        end
    end
end

-- Sends the buffer; returns whether all of it was sent. One deadline for the whole block: a byte now and then does not
-- keep the connection.
local function send(c, length)
    local sent = 0
    c.deadline = os.time() + PATIENCE
    while sent < length do
        wait_for(c.socket, POLLOUT)
        local taken = request(SEND, c.socket, c.memory.buffer + sent, length - sent, 0, 0x4000) -- MSG_NOSIGNAL
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
    ffi.copy(c.memory.buffer, head, #head)
    return #head
end

local function refuse(c, status, method)
    local body = ("<!DOCTYPE html><title>%s</title><h1>%s</h1>\n"):format(status, status)
    local length = put_head(c, status, "text/html", #body)
    if method ~= "HEAD" then
        ffi.copy(c.memory.buffer + length, body, #body)
        length = length + #body
    end
    send(c, length)
end

-- Opens a file beneath public/ and calls statx(); returns 0 or a negative error number. Before 5.6.11 the ring's
-- STATX may look for the descriptor in the table of the kernel thread that does it: then the system call, which does
-- not block for an open file.
local function open(c, path)
    local memory = c.memory
    ffi.copy(memory.path, path)
    memory.how.flags = 0x80800 -- O_CLOEXEC; O_NONBLOCK, or a named pipe would wait for its other end
    memory.how.resolve = 12 -- RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS
    local file = request(OPENAT2, public, memory.path, 24, at(memory.how))
    if file < 0 then
        return file
    end
    c.file = file
    memory.path[0] = 0
    C.fcntl(file, 4, ffi.cast("int", 0)) -- clear O_NONBLOCK: a read outside the page cache may wait
    if has_statx then
        return request(STATX, file, memory.path, STATX_BASIC_STATS, at(memory.stat), AT_EMPTY_PATH)
    end
    return statx(332, file, memory.path, AT_EMPTY_PATH, STATX_BASIC_STATS, memory.stat) == 0 and 0 or -ffi.errno()
end

local function answer_file(c, path, method)
    path = "." .. path .. (path:sub(-1) == "/" and "index.html" or "")
    local result = (path .. "/"):find("/../", 1, true) and -1 or open(c, path)
    if result == -EMFILE or result == -ENFILE or result == -ENOMEM or result == -EIO then
        return refuse(c, "500 Internal Server Error", method)
    elseif result == -EACCES then
        return refuse(c, "403 Forbidden", method)
    elseif result < 0 or band(c.memory.stat.mode, 0xf000) ~= 0x8000 then -- directories, devices, pipes
        return refuse(c, "404 Not Found", method)
    end

    local size = tonumber(c.memory.stat.size)
    local extension = (path:match("%.(%w+)$") or ""):lower()
    local length = put_head(c, "200 OK", TYPES[extension] or "application/octet-stream", size)
    local offset = 0
    repeat -- the first block is appended to the head, so a small file needs one send
        if method == "GET" and offset < size then
            local want = math.min(BUFFER - length, size - offset)
            local got = request(READ, c.file, c.memory.buffer + length, want, offset)
            if got <= 0 then
                return -- it has shrunk: the client notices by the length in the head
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
    local path = target and target:match("^[^?]*") -- ignore the query
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
    c.waiting = false
    if not text then
        return
    elseif complete then
        answer(c, text)
    else
        refuse(c, "431 Request Header Fields Too Large")
    end
    -- Not close(): with unread data from the client it would reset the connection, and the client could lose the
    -- answer. Receive and discard until the client closes or the deadline passes.
    C.shutdown(c.socket, 1)
    c.waiting, c.deadline = true, os.time() + PATIENCE
    -- Without wait_for(): the POLL_ADD of 5.6 misses an end that follows the acknowledgement of ours closely.
    repeat until request(RECV, c.socket, c.memory.buffer, BUFFER) <= 0
end

-- ---- the program -----------------------------------------------------------------------------------------

local paused = false -- the acceptor waits for a connection to close, or for the next tick of the timer

local function wake_acceptor()
    if paused then
        paused = false
        run(ACCEPTOR)
    end
end

local function connect(socket)
    local number = table.remove(idle)
    local c = { socket = socket, memory = pool[number - 1], deadline = os.time() + PATIENCE, waiting = true }
    connections[number] = c
    threads[number] = coroutine.create(function()
        local good, problem = pcall(serve, c) -- a bug ends one connection, not the server
        if not good then
            io.stderr:write(problem, "\n")
        end
        if c.file then
            request(CLOSE, c.file)
        end
        connections[number] = nil -- before the descriptor can be reused by another connection
        request(CLOSE, c.socket)
        table.insert(idle, number)
        wake_acceptor()
    end)
    run(number)
end

-- When nobody can be accepted, the connection that has waited longest for its client gives way, or silent clients could
-- keep all others out. shutdown() completes its request in flight, which ends serve().
local function end_oldest()
    local oldest
    for _, c in pairs(connections) do
        if c.waiting and (not oldest or c.deadline < oldest.deadline) then
            oldest = c
        end
    end
    if oldest and oldest.deadline - PATIENCE + LEAST_PATIENCE < os.time() then
        C.shutdown(oldest.socket, 2)
    end
end

local function accept(listener)
    while true do
        local socket
        if #idle > 0 then
            wait_for(listener, POLLIN)
            socket = request(ACCEPT, listener, nil, 0, 0, 0x80000) -- SOCK_CLOEXEC
        end
        if socket and socket >= 0 then
            connect(socket)
        else -- no free connection or descriptor: retry when a connection closes or at the next tick
            end_oldest()
            paused = true
            coroutine.yield()
        end
    end
end

-- Twice a second: ends the program on a signal, and connections whose deadline has passed.
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
                C.shutdown(c.socket, 2) -- completes its request in flight, which ends serve()
            end
        end
        wake_acceptor()
    end
end

-- Only on the loopback address: this is a program to learn from, without encryption, access rules or logs.
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
    die("only for x86-64", "LuaJIT has no memory barriers, which other processors need")
end
public = check(C.open("public", 0x90000), "public") -- O_DIRECTORY, O_CLOEXEC
make_ring()
pool = ffi.cast("struct memory *", map((MAX_CONNECTIONS + 1) * ffi.sizeof("struct memory"), 0x22, -1, 0)) -- anonymous
for number = 1, MAX_CONNECTIONS do
    idle[number] = number
end
local signals = ffi.new("uint64_t[16]")
C.sigemptyset(signals)
C.sigaddset(signals, 2)
C.sigaddset(signals, 15)
C.sigprocmask(0, signals, nil) -- SIGINT and SIGTERM stay pending until tick() reads them
local listener = listen(port)
threads[ACCEPTOR] = coroutine.create(function()
    local memory = pool[MAX_CONNECTIONS] -- the timer's; its path is empty
    -- The first request of all: no kernel thread has had our descriptors before.
    has_statx = request(STATX, public, memory.path, STATX_BASIC_STATS, at(memory.stat), AT_EMPTY_PATH) == 0
    accept(listener)
end)
threads[TIMER] = coroutine.create(function()
    tick(signals, pool[MAX_CONNECTIONS].time)
end)
run(ACCEPTOR)
run(TIMER)

while true do
    local taken = tonumber(enter(426, ring, queued, 1, 1, nil, 0)) -- submit, and wait for a completion
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
        cq_head[0] = head -- the entry may be reused: its values were copied
        run(number, result)
    end
end
