/*
 * The operations that Linux 5.6 has: one ACCEPT per connection, and one RECV per piece of a request, into the
 * memory of the connection. Sockets are normal descriptors.
 *
 * Before 5.7 there is no IORING_FEAT_FAST_POLL: a request that waits for a socket occupies a kernel thread,
 * and where the user may have no more of them (RLIMIT_NPROC) the kernel cancels it. So a POLL_ADD, which
 * waits without a thread, comes before each of them.
 */
#define _GNU_SOURCE
#include "ring.h"

#include <poll.h>
#include <sys/socket.h>

static bool has_fast_poll;

static void accept_client(int listener, unsigned free_connections, bool ready)
{
    (void)free_connections;
    struct io_uring_sqe *request = ring_request();
    if (has_fast_poll || ready) {
        io_uring_prep_accept(request, listener, NULL, NULL, SOCK_CLOEXEC);
        ring_tag(request, ACCEPT, NULL);
    } else { /* Not linked: on 5.6 a process with an ACCEPT that waits for its link cannot end, not even by
              * SIGKILL, until a client connects. */
        io_uring_prep_poll_add(request, listener, POLLIN);
        ring_tag(request, POLL_ACCEPT, NULL);
    }
}

/* Returns an entry for a request that may have to wait for a socket; a POLL_ADD is linked before it. */
static struct io_uring_sqe *socket_request(int socket, enum kind poll, void *owner)
{
    if (!has_fast_poll) {
        ring_reserve(2);
        struct io_uring_sqe *request = ring_request();
        io_uring_prep_poll_add(request, socket, poll == POLL_RECEIVE ? POLLIN : POLLOUT);
        request->flags |= IOSQE_IO_LINK;
        ring_tag(request, poll, owner);
    }
    return ring_request();
}

static void receive(int socket, void *memory, size_t size, bool own_memory, void *owner)
{
    (void)own_memory;
    struct io_uring_sqe *request = socket_request(socket, POLL_RECEIVE, owner);
    io_uring_prep_recv(request, socket, memory, size, 0);
    ring_tag(request, RECEIVE, owner);
}

/* MSG_DONTWAIT after a POLL_ADD: a kernel thread may do the linked request, and would wait to send all. */
static int send_flags(void)
{
    return MSG_NOSIGNAL | (has_fast_poll ? 0 : MSG_DONTWAIT);
}

static void send_data(int socket, const void *data, size_t size, void *owner)
{
    struct io_uring_sqe *request = socket_request(socket, POLL_SEND, owner);
    io_uring_prep_send(request, socket, data, size, send_flags());
    ring_tag(request, SEND, owner);
}

static void send_message(int socket, const struct msghdr *message, void *owner)
{
    struct io_uring_sqe *request = socket_request(socket, POLL_SEND, owner);
    io_uring_prep_sendmsg(request, socket, message, (unsigned)send_flags());
    ring_tag(request, SEND, owner);
}

static void read_and_send(int file, void *memory, size_t wanted, off_t offset, int socket, const void *data,
                          size_t size, void *owner)
{
    ring_reserve(3);
    struct io_uring_sqe *request = ring_request();
    io_uring_prep_read(request, file, memory, (unsigned)wanted, (uint64_t)offset);
    request->flags |= IOSQE_IO_LINK;
    ring_tag(request, READ, owner);
    send_data(socket, data, size, owner);
}

/* SHUTDOWN is an operation only since 5.11; the system call does not block. */
static void shut_down(int socket, void *owner)
{
    shutdown(socket, SHUT_WR);
    struct io_uring_sqe *request = ring_request();
    io_uring_prep_nop(request);
    ring_tag(request, SHUTDOWN, owner);
}

/* Of linked requests the first one waits, and the others are cancelled with it. */
static void cancel(enum kind kind, void *owner)
{
    if (!has_fast_poll && (kind == RECEIVE || kind == SEND))
        ring_cancel(kind == SEND ? POLL_SEND : POLL_RECEIVE, owner);
    ring_cancel(kind, owner);
}

static void close_descriptor(int descriptor)
{
    struct io_uring_sqe *request = ring_request();
    io_uring_prep_close(request, descriptor);
    ring_tag(request, CLOSE, NULL);
}

const struct ops *ops_5_6(bool fast_poll)
{
    static const struct ops set = {
        /* without buffer() and give_back(): no completion has the ID of a provided buffer */
        .accept = accept_client,
        .receive = receive,
        .send = send_data,
        .send_message = send_message,
        .read_and_send = read_and_send,
        .shutdown = shut_down,
        .cancel = cancel,
        .close_socket = close_descriptor,
        .close_file = close_descriptor,
    };
    has_fast_poll = fast_poll;
    return &set;
}
