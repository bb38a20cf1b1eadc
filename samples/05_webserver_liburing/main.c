/*
 * A small static web server: many connections, one thread, one ring.
 *
 * Accepting, reading from sockets and files, and writing to sockets are requests on the ring. Each connection
 * has at most one request in flight, whose user data is the connection. When it completes, the state of the
 * connection decides what comes next:
 *
 *   RECEIVING  receiving the request head, in any number of pieces
 *   SENDING    sending the buffer: first the response head, then the file block by block
 *   LOADING    reading the next block of the file into the buffer
 *   DRAINING   nothing left to send: waiting until the client has closed its side too
 *
 * http.c parses requests and composes answers; it does not use the ring.
 *
 * Opening and closing files and sockets are plain system calls: io_uring has had them since Linux 5.6, but
 * this program needs only 5.5, which added ACCEPT.
 */
#define _GNU_SOURCE
#include "http.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#ifndef IORING_FEAT_FAST_POLL /* before liburing 0.6 */
#define IORING_FEAT_FAST_POLL (1U << 5)
#endif

#define RING_ENTRIES    256
#define MAX_CONNECTIONS (RING_ENTRIES - 1) /* one request in flight for each, and one accept */
#define BUFFER_BYTES    ((size_t)32 * 1024)
#define PATIENCE        10 /* seconds for a request to arrive, or for the client to accept a block */
#define LEAST_PATIENCE  2  /* seconds for the client when nobody else can be accepted */

enum state { FREE, RECEIVING, SENDING, LOADING, DRAINING };

struct connection {
    enum state state;
    int socket;
    int file;        /* being sent; -1: none */
    off_t offset;    /* of the next block in the file */
    off_t remaining; /* bytes of the file still to be read, by the length in the head */
    size_t length;   /* bytes in the buffer */
    size_t sent;     /* bytes of the buffer already sent */
    time_t deadline;
    bool polling;     /* the request in flight is the POLL_ADD before the one for the state */
    struct iovec iov; /* of the request in flight */
    char buffer[BUFFER_BYTES];
};

/* All memory of the server is static, so none can leak. */
static struct connection connections[MAX_CONNECTIONS];
static struct connection *idle[MAX_CONNECTIONS]; /* those that are FREE */
static unsigned idle_count;
static struct io_uring ring;
static int listener, public_directory;
static bool accepting;      /* an accept request is in flight */
static bool accept_polling; /* it is the POLL_ADD before it */
static bool has_fast_poll;  /* IORING_FEAT_FAST_POLL: see queue() */
static volatile sig_atomic_t stopped, ticked;

static _Noreturn void fail(int error, const char *what)
{
    errno = -error;
    err(EXIT_FAILURE, "%s", what);
}

/* Transient errors: retry after a signal, or when there is no memory at the moment. */
static bool is_transient(int error)
{
    return error == -EINTR || error == -EAGAIN;
}

static time_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec;
}

/* ---- requests on the ring: there is an entry for each, so io_uring_get_sqe() never returns NULL ---- */

/*
 * When nobody can be accepted, the connection that has waited longest for its client gives way, or silent
 * clients could keep all others out. shutdown() completes its request in flight, which closes it.
 */
static void end_oldest(void)
{
    struct connection *oldest = NULL;
    for (struct connection *c = connections; c < connections + MAX_CONNECTIONS; c++)
        if ((c->state == RECEIVING || c->state == DRAINING) && (!oldest || c->deadline < oldest->deadline))
            oldest = c;
    if (oldest && oldest->deadline - PATIENCE + LEAST_PATIENCE < now())
        shutdown(oldest->socket, SHUT_RDWR);
}

/* Called whenever a connection may have become free, and once a second. */
static void queue_accept(void)
{
    if (idle_count == 0)
        end_oldest();
    if (accepting || idle_count == 0)
        return;
    struct io_uring_sqe *request = io_uring_get_sqe(&ring);
    accept_polling = !has_fast_poll && !accept_polling;
    if (accept_polling)
        io_uring_prep_poll_add(request, listener, POLLIN);
    else
        io_uring_prep_accept(request, listener, NULL, NULL, SOCK_CLOEXEC);
    io_uring_sqe_set_data(request, NULL); /* only accept belongs to no connection */
    accepting = true;
}

/* Prepares the request for the connection's state. */
static void prepare(struct io_uring_sqe *request, struct connection *c)
{
    switch (c->state) {
    case SENDING:
        c->iov = (struct iovec){c->buffer + c->sent, c->length - c->sent};
        io_uring_prep_writev(request, c->socket, &c->iov, 1, 0);
        break;
    case LOADING: /* append to the buffer */
        c->iov = (struct iovec){c->buffer + c->length, BUFFER_BYTES - c->length};
        if (c->remaining < (off_t)c->iov.iov_len)
            c->iov.iov_len = (size_t)c->remaining;
        io_uring_prep_readv(request, c->file, &c->iov, 1, c->offset);
        break;
    case RECEIVING: /* append to the buffer */
        c->iov = (struct iovec){c->buffer + c->length, HTTP_MAX_REQUEST - c->length};
        io_uring_prep_readv(request, c->socket, &c->iov, 1, 0);
        break;
    default: /* DRAINING: discard */
        c->iov = (struct iovec){c->buffer, BUFFER_BYTES};
        io_uring_prep_readv(request, c->socket, &c->iov, 1, 0);
    }
}

/*
 * Queues the request for the connection's state, if need be after a POLL_ADD that waits for the socket. Since
 * 5.7 the kernel polls by itself (IORING_FEAT_FAST_POLL). Before, a request that waits for a socket occupies
 * a kernel thread, and when the user may have no more of them (RLIMIT_NPROC) it is cancelled; POLL_ADD
 * occupies none, and the request that follows does not wait. DRAINING does without: there the end follows the
 * acknowledgement of ours so closely that the POLL_ADD of 5.6 misses it at times, and cancelling does no
 * harm.
 */
static void queue(struct connection *c)
{
    struct io_uring_sqe *request = io_uring_get_sqe(&ring);
    c->polling = !has_fast_poll && !c->polling && (c->state == RECEIVING || c->state == SENDING);
    if (c->polling)
        io_uring_prep_poll_add(request, c->socket, c->state == SENDING ? POLLOUT : POLLIN);
    else
        prepare(request, c);
    io_uring_sqe_set_data(request, c);
}

/* ---- connections ---- */

static void open_connection(int socket)
{
    struct connection *c = idle[--idle_count]; /* never empty: accept is queued only if one is free */
    c->state = RECEIVING;
    c->socket = socket;
    c->file = -1;
    c->length = 0;
    c->polling = false;
    c->deadline = now() + PATIENCE;
    queue(c);
}

static void close_connection(struct connection *c)
{
    if (c->file >= 0)
        close(c->file);
    close(c->socket);
    c->state = FREE;
    idle[idle_count++] = c;
    queue_accept();
}

/* Ends overdue connections: shutdown() completes their request in flight, which closes them. */
static void enforce_deadlines(void)
{
    time_t time = now();
    for (size_t i = 0; i < MAX_CONNECTIONS; i++)
        if (connections[i].state != FREE && connections[i].deadline < time)
            shutdown(connections[i].socket, SHUT_RDWR);
}

/* The head is in the buffer. A block of the file is appended before sending, so a small file needs one send.
 */
static void start_answer(struct connection *c, struct answer answer)
{
    c->length = answer.length;
    c->sent = 0;
    c->file = answer.file;
    c->offset = 0;
    c->remaining = answer.size;
    c->state = c->remaining > 0 ? LOADING : SENDING;
    c->deadline = now() + PATIENCE;
}

/* Takes the result of a connection's request and queues the next one, or ends the connection. */
static void advance(struct connection *c, int result)
{
    if (c->polling || is_transient(result)) { /* the request itself finds an error of the socket */
        queue(c);
        return;
    }
    /* On error the client is gone; 0 bytes received: it has closed; 0 bytes read: the file has shrunk. */
    if (result < 0 || (result == 0 && (c->state != RECEIVING || c->length == 0))) {
        close_connection(c);
        return;
    }
    switch (c->state) {
    case RECEIVING:
        c->length += (size_t)result;
        if (result == 0 || http_complete(c->buffer, c->length)) /* 0: no more will come */
            start_answer(c, http_answer(public_directory, c->buffer, c->length, c->buffer));
        else if (c->length == HTTP_MAX_REQUEST)
            start_answer(c, http_refuse("431 Request Header Fields Too Large", true, c->buffer));
        break;
    case LOADING:
        c->length += (size_t)result;
        c->offset += result;
        c->remaining -= result;
        c->state = SENDING;
        break;
    case SENDING:
        c->sent += (size_t)result;
        if (c->sent < c->length)
            break; /* with the deadline of the block: a byte now and then does not keep the connection */
        c->deadline = now() + PATIENCE;
        c->length = c->sent = 0;
        c->state = LOADING;
        if (c->remaining == 0) {
            /* Not close(): with unread data from the client it would reset the connection, and the client
             * could lose the answer. */
            shutdown(c->socket, SHUT_WR);
            c->state = DRAINING;
        }
        break;
    default:
        break; /* DRAINING: until the client closes or the deadline */
    }
    queue(c);
}

static void accepted(int result)
{
    accepting = false;
    if (accept_polling)
        result = -EAGAIN; /* the listener is ready: accept below */
    if (result >= 0)
        open_connection(result);
    else if (result == -EINVAL || result == -EOPNOTSUPP)
        errx(EXIT_FAILURE, "accept on the ring: %s (it needs Linux 5.5)", strerror(-result));
    else if (result == -EMFILE || result == -ENFILE || result == -ENOBUFS || result == -ENOMEM) {
        end_oldest();
        return; /* retried when a connection closes, or within a second */
    }
    queue_accept();
}

/* ---- the program ---- */

static void on_signal(int number)
{
    if (number == SIGALRM)
        ticked = 1;
    else
        stopped = 1;
}

/*
 * Signal handlers only set flags; the signal interrupts the wait for a completion. A signal just before the
 * wait is noticed within a second, because of the alarm, which also serves the deadlines.
 */
static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal}; /* without SA_RESTART */
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGALRM, &action, NULL);
    signal(SIGPIPE, SIG_IGN); /* a closed client is an error of one request, and must not end the server */
    setitimer(ITIMER_REAL, &(struct itimerval){.it_interval = {.tv_sec = 1}, .it_value = {.tv_sec = 1}},
              NULL);
}

/*
 * Listens only on the loopback address, on purpose: this is a program to learn from, without encryption,
 * access rules or logs. It must not be reachable from other machines.
 */
static void listen_on_loopback(unsigned short port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) != 0 ||
        bind(listener, (struct sockaddr *)&address, size) != 0 || listen(listener, SOMAXCONN) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) != 0)
        err(EXIT_FAILURE, "127.0.0.1:%d", port);
    printf("serving public/ on http://127.0.0.1:%d/\n", ntohs(address.sin_port));
    fflush(stdout);
}

static void serve(void)
{
    queue_accept();
    while (!stopped) {
        int error = io_uring_submit(&ring); /* everything queued since the last call */
        if (error < 0 && !is_transient(error))
            fail(error, "io_uring_submit");
        struct io_uring_cqe *completion;
        error = io_uring_wait_cqe(&ring, &completion);
        if (ticked) {
            ticked = 0;
            enforce_deadlines();
            queue_accept();
        }
        if (is_transient(error))
            continue;
        if (error < 0)
            fail(error, "io_uring_wait_cqe");

        struct connection *c = io_uring_cqe_get_data(completion);
        int result = completion->res;
        io_uring_cqe_seen(&ring, completion); /* the entry may be reused: its values were copied */
        if (c)
            advance(c, result);
        else
            accepted(result);
    }
}

int main(int argc, char *argv[])
{
    char *end = "";
    long port = argc > 1 ? strtol(argv[1], &end, 10) : 8000;
    if (argc > 2 || *end != '\0' || port < 0 || port > 65535)
        errx(EXIT_FAILURE, "usage: %s [PORT]   (8000; 0: a free one)", argv[0]);

    public_directory = open("public", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (public_directory < 0)
        err(EXIT_FAILURE, "public");
    struct io_uring_params params = {0};
    int made = io_uring_queue_init_params(RING_ENTRIES, &ring, &params);
    if (made == -ENOMEM) /* many kernels count the rings of a user as locked memory */
        errx(EXIT_FAILURE, "io_uring: too little locked memory: raise RLIMIT_MEMLOCK (ulimit -l)");
    if (made < 0)
        fail(made, "io_uring_queue_init_params");
    has_fast_poll = params.features & IORING_FEAT_FAST_POLL;
    while (idle_count < MAX_CONNECTIONS) {
        idle[idle_count] = &connections[idle_count];
        idle_count++;
    }
    catch_signals();
    listen_on_loopback((unsigned short)port);
    serve();

    /* The ring keeps the socket open some milliseconds longer than we do: free the port now. */
    shutdown(listener, SHUT_RDWR);
    io_uring_queue_exit(&ring);
    return EXIT_SUCCESS;
}
