#define _GNU_SOURCE
#include "ring.h"

#include <err.h>
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* The headers decide what can be compiled: those of liburing 2.3 know all that is used here (Linux 6.1). */
#ifdef IORING_SETUP_DEFER_TASKRUN
#define HEADERS_ARE_MODERN 1
#else
#define HEADERS_ARE_MODERN 0
#endif

#define SQ_ENTRIES 2048
/*
 * Connections have six requests in flight at most (POLL, RECEIVE, READ, SEND, two cancellations): only those
 * that complete again and again could fill this, and they end by themselves when it is full.
 */
#define CQ_ENTRIES 16384

#define LENT_BYTES ((size_t)1024)

/* The operations that tell the kernel's age, by their numbers, since older headers have no names for them. */
#define OPERATION_OF_6_0  47 /* SEND_ZC */
#define OPERATION_OF_6_15 60 /* READV_FIXED */

struct io_uring ring;
bool ring_is_modern;
static bool polls_itself; /* the kernel waits for sockets without holding a thread (5.7) */

enum kind ring_kind(const struct io_uring_cqe *completion)
{
    return (enum kind)(completion->user_data & ((1 << KIND_BITS) - 1));
}

void *ring_owner(const struct io_uring_cqe *completion)
{
    return (void *)(uintptr_t)(completion->user_data & ~(uint64_t)((1 << KIND_BITS) - 1));
}

static void submit(void)
{
    int error = io_uring_submit(&ring);
    if (error < 0 && error != -EINTR && error != -EAGAIN)
        errx(EXIT_FAILURE, "io_uring_submit: %s", strerror(-error));
}

struct io_uring_sqe *ring_request(void)
{
    struct io_uring_sqe *request;
    while (!(request = io_uring_get_sqe(&ring)))
        submit();
    return request;
}

/* The first of two requests that belong together: they have to be submitted by one call. */
static struct io_uring_sqe *ring_request_linked(void)
{
    if (io_uring_sq_space_left(&ring) < 2)
        submit();
    return ring_request();
}

static void *user_data(enum kind kind, void *owner)
{
    return (void *)((uintptr_t)owner | (uintptr_t)kind);
}

void ring_tag(struct io_uring_sqe *request, enum kind kind, void *owner)
{
    io_uring_sqe_set_data(request, user_data(kind, owner));
}

/* Whether the kernel has an operation, by its number. */
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

/* ---- what only newer headers can say ---- */

#if HEADERS_ARE_MODERN
static bool sockets_are_slots;
static struct io_uring_buf_ring *lent;
static char lent_memory[LENT_BUFFERS][LENT_BYTES];

char *ring_buffer(unsigned number)
{
    return lent_memory[number];
}

void ring_return(unsigned number)
{
    io_uring_buf_ring_add(lent, lent_memory[number], LENT_BYTES, (unsigned short)number,
                          io_uring_buf_ring_mask(LENT_BUFFERS), 0);
    io_uring_buf_ring_advance(lent, 1);
}

/* Receiving into lent buffers, and sockets in the ring's table. False: not on this machine. */
static bool use_modern_set(void)
{
    lent = mmap(NULL, LENT_BUFFERS * sizeof(struct io_uring_buf), PROT_READ | PROT_WRITE,
                MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    struct io_uring_buf_reg where = {.ring_addr = (uintptr_t)lent, .ring_entries = LENT_BUFFERS};
    if (lent == MAP_FAILED || io_uring_register_buf_ring(&ring, &where, 0) != 0)
        return false;
    /*
     * Up to 6.12 a slot that is closed lets go of its socket only when all requests have ended that were
     * begun on any slot before it: beside one client that is slow or silent nobody else's connection would be
     * closed.
     */
    sockets_are_slots = has_operation(OPERATION_OF_6_15) &&
                        io_uring_register_files_sparse(&ring, MAX_CONNECTIONS + ACCEPT_MARGIN) == 0;
    for (unsigned i = 0; i < LENT_BUFFERS; i++)
        ring_return(i);
    /* What cannot be done at once (STATX, reading from a disk) is done by threads of the kernel: a few will
     * do. */
    io_uring_register_iowq_max_workers(&ring, (unsigned[]){8, 8});
    io_uring_register_ring_fd(&ring); /* the ring itself need not be looked up either; if not, no matter */
    return true;
}

static void mark_socket(struct io_uring_sqe *request)
{
    if (sockets_are_slots)
        request->flags |= IOSQE_FIXED_FILE;
}

/* Asks for no completion unless it fails. */
static void mark_quiet(struct io_uring_sqe *request)
{
    if (ring_is_modern)
        request->flags |= IOSQE_CQE_SKIP_SUCCESS;
}
#else
char *ring_buffer(unsigned number)
{
    (void)number;
    abort(); /* none is ever lent */
}

void ring_return(unsigned number)
{
    (void)number;
}

static void mark_socket(struct io_uring_sqe *request)
{
    (void)request;
}

static void mark_quiet(struct io_uring_sqe *request)
{
    (void)request;
}
#endif

/* ---- setting it up ---- */

static void make_ring(bool oldest)
{
    struct io_uring_params params = {.flags = IORING_SETUP_CQSIZE, .cq_entries = CQ_ENTRIES};
    int made = -EINVAL;
#if HEADERS_ARE_MODERN
    /* One thread asks and is told when it waits, not in between (6.1): completions come in batches. */
    params.flags |= IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    if (!oldest)
        made = io_uring_queue_init_params(SQ_ENTRIES, &ring, &params);
#endif
    if (made == -EINVAL) { /* the kernel does not know those, or is not asked */
        params = (struct io_uring_params){.flags = IORING_SETUP_CQSIZE, .cq_entries = CQ_ENTRIES};
        made = io_uring_queue_init_params(SQ_ENTRIES, &ring, &params);
    }
    if (made < 0)
        errx(EXIT_FAILURE, "io_uring: %s (%s)", strerror(-made),
             made == -ENOMEM ? "more locked memory is needed: ulimit -l"
             : made == -EINVAL
                 ? "Linux 5.6 is needed"
                 : "this kernel has none, or sysctl kernel.io_uring_disabled or seccomp deny it");
    polls_itself = !oldest && params.features & IORING_FEAT_FAST_POLL;
    if (!has_operation(IORING_OP_OPENAT2))
        errx(EXIT_FAILURE, "io_uring: OPENAT2 is missing (Linux 5.6 is needed)");
}

void ring_check(void)
{
    make_ring(true);
    io_uring_queue_exit(&ring);
}

void ring_init(bool oldest)
{
    make_ring(oldest);
#if HEADERS_ARE_MODERN
    if (!oldest && has_operation(OPERATION_OF_6_0))
        ring_is_modern = use_modern_set();
#endif
}

/* ---- the operations ---- */

void ring_accept(int listener, unsigned free_places)
{
    struct io_uring_sqe *request = ring_request();
#if HEADERS_ARE_MODERN
    if (ring_is_modern) {
        /* The kernel accepts all that wait before we are told of the first: no more may wait than have
         * places. */
        bool many = free_places >= ACCEPT_MARGIN;
        if (many && sockets_are_slots)
            io_uring_prep_multishot_accept_direct(request, listener, NULL, NULL, 0);
        else if (many)
            io_uring_prep_multishot_accept(request, listener, NULL, NULL, SOCK_CLOEXEC);
        else if (sockets_are_slots) /* liburing adds 1, up to 2.3 here too, where 0 would mean a descriptor */
            io_uring_prep_accept_direct(request, listener, NULL, NULL, 0, IORING_FILE_INDEX_ALLOC - 1);
        else
            io_uring_prep_accept(request, listener, NULL, NULL, SOCK_CLOEXEC);
        ring_tag(request, ACCEPT, NULL);
        return;
    }
#endif
    (void)free_places;
    io_uring_prep_accept(request, listener, NULL, NULL, SOCK_CLOEXEC);
    ring_tag(request, ACCEPT, NULL);
}

void ring_receive(int socket, void *memory, size_t size, bool own_memory, void *owner)
{
    struct io_uring_sqe *request;
    if (!polls_itself) { /* on 5.6 a RECV that waits holds a thread of the kernel, a POLL_ADD does not */
        request = ring_request_linked();
        io_uring_prep_poll_add(request, socket, POLLIN);
        request->flags |= IOSQE_IO_LINK;
        ring_tag(request, POLL, owner);
    }
    request = ring_request();
#if HEADERS_ARE_MODERN
    if (ring_is_modern && !own_memory) {
        io_uring_prep_recv_multishot(request, socket, NULL, 0, 0);
        request->flags |= IOSQE_BUFFER_SELECT;
    } else
#endif
        io_uring_prep_recv(request, socket, memory, size, 0);
    (void)own_memory;
    mark_socket(request);
    ring_tag(request, RECEIVE, owner);
}

void ring_send(int socket, const void *data, size_t size, void *owner)
{
    struct io_uring_sqe *request = ring_request();
    io_uring_prep_send(request, socket, data, size, MSG_NOSIGNAL);
    mark_socket(request);
    ring_tag(request, SEND, owner);
}

/*
 * SEND_ZC (6.0), which sends without a copy, is left alone: whom we send to is on this machine, and there the
 * kernel copies after all, when it delivers. It took 10.5 us instead of 7.9 for 16 KiB, and 320 instead of
 * 211 for 1 MiB.
 */
void ring_send_message(int socket, const struct msghdr *message, void *owner)
{
    struct io_uring_sqe *request = ring_request();
    io_uring_prep_sendmsg(request, socket, message, MSG_NOSIGNAL);
    mark_socket(request);
    ring_tag(request, SEND, owner);
}

void ring_read_and_send(int file, void *memory, size_t wanted, off_t offset, int socket, const void *data,
                        size_t size, void *owner)
{
    struct io_uring_sqe *request = ring_request_linked();
    io_uring_prep_read(request, file, memory, (unsigned)wanted, (uint64_t)offset);
    request->flags |= IOSQE_IO_LINK;
    mark_quiet(request);
    ring_tag(request, READ, owner);
    ring_send(socket, data, size, owner);
}

void ring_shutdown(int socket, void *owner)
{
    struct io_uring_sqe *request = ring_request();
#if HEADERS_ARE_MODERN
    if (ring_is_modern) {
        io_uring_prep_shutdown(request, socket, SHUT_WR);
        mark_socket(request);
        ring_tag(request, SHUTDOWN, owner);
        return;
    }
#endif
    shutdown(socket, SHUT_WR); /* the ring learned it with 5.11: the call waits for nothing */
    io_uring_prep_nop(request);
    ring_tag(request, SHUTDOWN, owner);
}

void ring_cancel(enum kind kind, void *owner)
{
    if (kind == RECEIVE && !polls_itself)
        ring_cancel(POLL, owner);
    struct io_uring_sqe *request = ring_request();
    io_uring_prep_cancel(request, user_data(kind, owner), 0);
    ring_tag(request, CANCEL, NULL);
}

void ring_close_socket(int socket)
{
    struct io_uring_sqe *request = ring_request();
#if HEADERS_ARE_MODERN
    if (sockets_are_slots)
        io_uring_prep_close_direct(request, (unsigned)socket);
    else
#endif
        io_uring_prep_close(request, socket);
    mark_quiet(request);
    ring_tag(request, CLOSE, NULL);
}

void ring_close_file(int file)
{
    struct io_uring_sqe *request = ring_request();
    io_uring_prep_close(request, file);
    mark_quiet(request);
    ring_tag(request, CLOSE, NULL);
}
