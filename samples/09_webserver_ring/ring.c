#define _GNU_SOURCE
#include "ring.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* What can be compiled depends on the headers; those of liburing 2.3 have everything used here (Linux 6.1).
 */
#ifdef IORING_SETUP_DEFER_TASKRUN
#define HEADERS_ARE_MODERN 1
#else
#define HEADERS_ARE_MODERN 0
#endif

#define SQ_ENTRIES 2048

#define PROVIDED_BYTES ((size_t)1024)

/* Operations that identify the kernel's version, by number because older headers have no names for them. */
#define OPERATION_OF_6_0  47 /* SEND_ZC */
#define OPERATION_OF_6_15 60 /* READV_FIXED */

struct io_uring ring;
bool ring_is_modern, ring_has_statx;
static bool has_fast_poll; /* IORING_FEAT_FAST_POLL (5.7): see socket_request() */

enum kind ring_kind(const struct io_uring_cqe *completion)
{
    return (enum kind)(completion->user_data & ((1 << KIND_BITS) - 1));
}

void *ring_owner(const struct io_uring_cqe *completion)
{
    return (void *)(uintptr_t)(completion->user_data & ~(uint64_t)((1 << KIND_BITS) - 1));
}

void ring_submit(unsigned wanted)
{
    int error = io_uring_submit_and_wait(&ring, wanted);
    if (error < 0 && !is_transient(error) && error != -EBUSY)
        errx(EXIT_FAILURE, "io_uring_submit_and_wait: %s", strerror(-error));
}

unsigned ring_take(struct io_uring_cqe *completions)
{
    struct io_uring_cqe *completion;
    unsigned head, count = 0;
    io_uring_for_each_cqe(&ring, head, completion) completions[count++] = *completion;
    io_uring_cq_advance(&ring, count);
    return count;
}

struct io_uring_sqe *ring_request(void)
{
    struct io_uring_sqe *request;
    while (!(request = io_uring_get_sqe(&ring)))
        ring_submit(0);
    return request;
}

/* Makes room for linked requests, which have to be submitted by the same call. */
static void reserve(unsigned count)
{
    while (io_uring_sq_space_left(&ring) < count)
        ring_submit(0);
}

static void *user_data(enum kind kind, void *owner)
{
    return (void *)((uintptr_t)owner | (uintptr_t)kind);
}

void ring_tag(struct io_uring_sqe *request, enum kind kind, void *owner)
{
    io_uring_sqe_set_data(request, user_data(kind, owner));
}

/*
 * Returns an entry for a request that may have to wait for a socket. Without fast poll it would occupy a
 * kernel thread while it waits, and where the user may have no more of them (RLIMIT_NPROC) the kernel cancels
 * it. So a POLL_ADD is linked before it, which waits without a thread.
 */
static struct io_uring_sqe *socket_request(int socket, enum kind poll, void *owner)
{
    if (!has_fast_poll) {
        reserve(2);
        struct io_uring_sqe *request = ring_request();
        io_uring_prep_poll_add(request, socket, poll == POLL_RECEIVE ? POLLIN : POLLOUT);
        request->flags |= IOSQE_IO_LINK;
        ring_tag(request, poll, owner);
    }
    return ring_request();
}

/* Whether the kernel supports an operation. */
static bool has_operation(unsigned number)
{
    static union {
        struct io_uring_probe probe;
        char room[sizeof(struct io_uring_probe) + 256 * sizeof(struct io_uring_probe_op)];
    } answer;
    memset(&answer, 0, sizeof(answer));
    if (io_uring_register_probe(&ring, &answer.probe, 256) != 0)
        return false; /* before 5.6 */
    return number <= answer.probe.last_op && answer.probe.ops[number].flags & IO_URING_OP_SUPPORTED;
}

/* ---- what needs newer headers ---- */

#if HEADERS_ARE_MODERN
static bool direct_sockets;
static struct io_uring_buf_ring *buffer_ring;
static char provided_memory[PROVIDED_BUFFERS][PROVIDED_BYTES];

char *ring_buffer(unsigned number)
{
    return provided_memory[number];
}

void ring_return(unsigned number)
{
    io_uring_buf_ring_add(buffer_ring, provided_memory[number], PROVIDED_BYTES, (unsigned short)number,
                          io_uring_buf_ring_mask(PROVIDED_BUFFERS), 0);
    io_uring_buf_ring_advance(buffer_ring, 1);
}

/* Sets up provided buffers and direct descriptors. False: the kernel does not support the buffers. */
static bool use_modern_set(void)
{
    buffer_ring = mmap(NULL, PROVIDED_BUFFERS * sizeof(struct io_uring_buf), PROT_READ | PROT_WRITE,
                       MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    struct io_uring_buf_reg where = {.ring_addr = (uintptr_t)buffer_ring, .ring_entries = PROVIDED_BUFFERS};
    if (buffer_ring == MAP_FAILED || io_uring_register_buf_ring(&ring, &where, 0) != 0)
        return false;
    /*
     * Up to 6.12, closing a direct descriptor releases the socket only after all earlier requests on any
     * direct descriptor have completed: one slow or silent client would keep all other closed connections
     * open.
     */
    direct_sockets = has_operation(OPERATION_OF_6_15) &&
                     io_uring_register_files_sparse(&ring, MAX_CONNECTIONS + ACCEPT_MARGIN) == 0;
    for (unsigned i = 0; i < PROVIDED_BUFFERS; i++)
        ring_return(i);
    /* Requests that block (STATX, reading from a disk) are done by kernel threads: a few are enough. */
    io_uring_register_iowq_max_workers(&ring, (unsigned[]){8, 8});
    io_uring_register_ring_fd(&ring); /* only an optimization: may fail */
    return true;
}

static void mark_direct_socket(struct io_uring_sqe *request)
{
    if (direct_sockets)
        request->flags |= IOSQE_FIXED_FILE;
}

/* The request completes visibly only if it fails. */
static void skip_success(struct io_uring_sqe *request)
{
    if (ring_is_modern)
        request->flags |= IOSQE_CQE_SKIP_SUCCESS;
}
#else
char *ring_buffer(unsigned number)
{
    (void)number;
    abort(); /* there are no provided buffers */
}

void ring_return(unsigned number)
{
    (void)number;
}

static void mark_direct_socket(struct io_uring_sqe *request)
{
    (void)request;
}

static void skip_success(struct io_uring_sqe *request)
{
    (void)request;
}
#endif

/* ---- setup ---- */

static void make_ring(bool oldest, unsigned entries)
{
    unsigned cq_entries = entries * (CQ_ENTRIES / SQ_ENTRIES);
    struct io_uring_params params = {.flags = IORING_SETUP_CQSIZE, .cq_entries = cq_entries};
    int made = -EINVAL;
#if HEADERS_ARE_MODERN
    /* One thread submits, and completions are processed only while it waits (6.1): they come in batches. */
    params.flags |= IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    if (!oldest)
        made = io_uring_queue_init_params(entries, &ring, &params);
#endif
    if (made == -EINVAL) { /* the kernel lacks these flags, or they were not tried */
        params = (struct io_uring_params){.flags = IORING_SETUP_CQSIZE, .cq_entries = cq_entries};
        made = io_uring_queue_init_params(entries, &ring, &params);
    }
    if (made < 0)
        errx(EXIT_FAILURE, "io_uring: %s (%s)", strerror(-made),
             made == -ENOMEM ? "more locked memory is needed: ulimit -l"
             : made == -EINVAL
                 ? "Linux 5.6 is needed"
                 : "this kernel has none, or sysctl kernel.io_uring_disabled or seccomp deny it");
    has_fast_poll = !oldest && params.features & IORING_FEAT_FAST_POLL;
    if (!has_operation(IORING_OP_OPENAT2))
        errx(EXIT_FAILURE, "io_uring: OPENAT2 is missing (Linux 5.6 is needed)");
}

/*
 * Having an operation does not prove that it works: up to about 5.6.8, STATX may look for the descriptor in
 * the table of the kernel thread that does it (EBADF). The first request of a new ring shows that, because no
 * thread has had our table before.
 */
void ring_check(int directory)
{
    make_ring(true, 1); /* small, since its locked memory counts beside that of the real one */
    struct statx status;
    struct io_uring_sqe *request = ring_request();
    io_uring_prep_statx(request, directory, "", AT_EMPTY_PATH, STATX_TYPE, &status);
    struct io_uring_cqe *completion = NULL;
    while (!completion) {
        ring_submit(1);
        io_uring_peek_cqe(&ring, &completion);
    }
    ring_has_statx = completion->res == 0;
    io_uring_queue_exit(&ring);
}

void ring_init(bool oldest)
{
    make_ring(oldest, SQ_ENTRIES);
#if HEADERS_ARE_MODERN
    if (!oldest && has_operation(OPERATION_OF_6_0))
        ring_is_modern = use_modern_set();
#endif
}

/* ---- the operations ---- */

void ring_accept(int listener, unsigned free_connections, bool ready)
{
    struct io_uring_sqe *request = ring_request();
    if (!has_fast_poll && !ready) {
        /* Not linked: on 5.6 a process with an ACCEPT that waits for its link cannot end, not even by
         * SIGKILL, until a client connects. */
        io_uring_prep_poll_add(request, listener, POLLIN);
        ring_tag(request, POLL_ACCEPT, NULL);
        return;
    }
#if HEADERS_ARE_MODERN
    if (ring_is_modern) {
        /* Multishot accept takes the whole backlog before the first completion is seen, so it is used only
         * while there are free connections for all of it. */
        bool many = free_connections >= ACCEPT_MARGIN;
        if (many && direct_sockets)
            io_uring_prep_multishot_accept_direct(request, listener, NULL, NULL, 0);
        else if (many)
            io_uring_prep_multishot_accept(request, listener, NULL, NULL, SOCK_CLOEXEC);
        else if (direct_sockets) /* liburing up to 2.3 adds 1, which would turn ALLOC into 0: a normal
                                    descriptor */
            io_uring_prep_accept_direct(request, listener, NULL, NULL, 0, IORING_FILE_INDEX_ALLOC - 1);
        else
            io_uring_prep_accept(request, listener, NULL, NULL, SOCK_CLOEXEC);
        ring_tag(request, ACCEPT, NULL);
        return;
    }
#endif
    (void)free_connections;
    io_uring_prep_accept(request, listener, NULL, NULL, SOCK_CLOEXEC);
    ring_tag(request, ACCEPT, NULL);
}

void ring_receive(int socket, void *memory, size_t size, bool own_memory, void *owner)
{
    struct io_uring_sqe *request = socket_request(socket, POLL_RECEIVE, owner);
#if HEADERS_ARE_MODERN
    if (ring_is_modern && !own_memory) {
        io_uring_prep_recv_multishot(request, socket, NULL, 0, 0);
        request->flags |= IOSQE_BUFFER_SELECT;
    } else
#endif
        io_uring_prep_recv(request, socket, memory, size, 0);
    (void)own_memory;
    mark_direct_socket(request);
    ring_tag(request, RECEIVE, owner);
}

/* MSG_DONTWAIT after a POLL_ADD: a kernel thread may do the linked request, and would wait to send all. */
static int send_flags(void)
{
    return MSG_NOSIGNAL | (has_fast_poll ? 0 : MSG_DONTWAIT);
}

void ring_send(int socket, const void *data, size_t size, void *owner)
{
    struct io_uring_sqe *request = socket_request(socket, POLL_SEND, owner);
    io_uring_prep_send(request, socket, data, size, send_flags());
    mark_direct_socket(request);
    ring_tag(request, SEND, owner);
}

/*
 * Not SEND_ZC (6.0, zero copy): on the loopback interface the kernel copies on delivery anyway. It took 10.5
 * us instead of 7.9 for 16 KiB, and 320 instead of 211 for 1 MiB.
 */
void ring_send_message(int socket, const struct msghdr *message, void *owner)
{
    struct io_uring_sqe *request = socket_request(socket, POLL_SEND, owner);
    io_uring_prep_sendmsg(request, socket, message, (unsigned)send_flags());
    mark_direct_socket(request);
    ring_tag(request, SEND, owner);
}

void ring_read_and_send(int file, void *memory, size_t wanted, off_t offset, int socket, const void *data,
                        size_t size, void *owner)
{
    reserve(3);
    struct io_uring_sqe *request = ring_request();
    io_uring_prep_read(request, file, memory, (unsigned)wanted, (uint64_t)offset);
    request->flags |= IOSQE_IO_LINK;
    skip_success(request);
    ring_tag(request, READ, owner);
    ring_send(socket, data, size, owner);
}

void ring_shutdown(int socket, void *owner)
{
    struct io_uring_sqe *request = ring_request();
#if HEADERS_ARE_MODERN
    if (ring_is_modern) {
        io_uring_prep_shutdown(request, socket, SHUT_WR);
        mark_direct_socket(request);
        ring_tag(request, SHUTDOWN, owner);
        return;
    }
#endif
    shutdown(socket, SHUT_WR); /* an io_uring operation only since 5.11; the system call does not block */
    io_uring_prep_nop(request);
    ring_tag(request, SHUTDOWN, owner);
}

void ring_cancel(enum kind kind, void *owner)
{
    if (!has_fast_poll && (kind == RECEIVE || kind == SEND))
        ring_cancel(kind == SEND ? POLL_SEND : POLL_RECEIVE, owner);
    struct io_uring_sqe *request = ring_request();
    io_uring_prep_cancel(request, user_data(kind, owner), 0);
    ring_tag(request, CANCEL, NULL);
}

void ring_close_socket(int socket)
{
    struct io_uring_sqe *request = ring_request();
#if HEADERS_ARE_MODERN
    if (direct_sockets)
        io_uring_prep_close_direct(request, (unsigned)socket);
    else
#endif
        io_uring_prep_close(request, socket);
    skip_success(request);
    ring_tag(request, CLOSE, NULL);
}

void ring_close_file(int file)
{
    struct io_uring_sqe *request = ring_request();
    io_uring_prep_close(request, file);
    skip_success(request);
    ring_tag(request, CLOSE, NULL);
}
