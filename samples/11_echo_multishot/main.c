/*
 * An echo server with one multishot ACCEPT, and one multishot RECV for each client.
 *
 * A multishot request is submitted once and completes again and again. A completion with IORING_CQE_F_MORE
 * says that others will follow; without it the request has ended, and has to be submitted again.
 *
 * Each RECV would occupy memory for as long as it waits. So it gets none (IOSQE_BUFFER_SELECT): when data is
 * there, the kernel takes a buffer from a ring of provided buffers, which all clients share, and the flags of
 * the completion have the buffer's ID. The buffer goes back into the ring when its data has been sent.
 *
 * A client that sends but does not read must not get all buffers: the RECV of one that holds many is
 * cancelled until they have been sent, and one that reads nothing is disconnected. A client that neither
 * sends nor reads may stay: it holds none.
 */
#define _GNU_SOURCE
#include "older.h"

#include <err.h>
#include <liburing.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define MAX_CLIENTS  1000
#define SQ_ENTRIES   4096 /* enough for all requests of each client */
#define BUFFERS      4096 /* a power of two */
#define BUFFER_BYTES 4096
#define GROUP        0  /* the ID of the buffer ring: a program may have several */
#define MOST_HELD    16 /* buffers of a client; some 80 may arrive until the cancellation */
#define PATIENCE     10 /* seconds for a client to read something */
enum kind { ACCEPT, RECV, SEND, CANCEL };
#define USER_DATA(kind, socket) ((void *)((uintptr_t)(socket) << 2 | (kind)))

struct client {
    bool open;                  /* more may be received */
    bool in_flight[4];          /* its requests, by kind */
    unsigned held, first, last; /* its buffers, in the order of their data */
    unsigned sent, deadline;    /* of the first one: the bytes sent, and when its SEND must be over */
};

static struct io_uring ring;
static struct io_uring_buf_ring *provided;
static char memory[BUFFERS][BUFFER_BYTES];
static unsigned length[BUFFERS], next[BUFFERS]; /* of a buffer: its data, and the client's next buffer */
static unsigned taken;                          /* buffers that clients hold */
static bool starving;                           /* a RECV has ended with -ENOBUFS: no buffer was left */
static struct client clients[MAX_CLIENTS];      /* by their sockets, which are small numbers */
static int listener;                            /* its place in the array has only the ACCEPT */
static unsigned seconds;                        /* since the start */
static volatile sig_atomic_t stopped, ticked;

static void queue(enum kind kind, int socket)
{
    struct client *c = &clients[socket];
    struct io_uring_sqe *request = io_uring_get_sqe(&ring); /* never NULL: there are enough entries */
    switch (kind) {
    case ACCEPT:
        io_uring_prep_multishot_accept(request, socket, NULL, NULL, SOCK_CLOEXEC);
        break;
    case RECV:
        io_uring_prep_recv_multishot(request, socket, NULL, 0, 0);
        request->flags |= IOSQE_BUFFER_SELECT;
        request->buf_group = GROUP;
        break;
    case SEND:
        io_uring_prep_send(request, socket, memory[c->first] + c->sent, length[c->first] - c->sent,
                           MSG_NOSIGNAL);
        c->deadline = seconds + PATIENCE;
        break;
    case CANCEL:
        io_uring_prep_cancel(request, USER_DATA(RECV, socket), 0);
    }
    io_uring_sqe_set_data(request, USER_DATA(kind, socket));
    c->in_flight[kind] = true;
}

/* Queues what a client needs next, or closes it when all its requests have completed. */
static void advance(int socket)
{
    struct client *c = &clients[socket];
    if (c->held > 0 && !c->in_flight[SEND])
        queue(SEND, socket);
    if (c->held >= MOST_HELD && c->in_flight[RECV] && !c->in_flight[CANCEL])
        queue(CANCEL, socket);
    if (c->held == 0 && !c->in_flight[RECV] && c->open)
        queue(RECV, socket);
    if (c->held == 0 && !c->in_flight[RECV] && !c->in_flight[SEND] && !c->in_flight[CANCEL])
        close(socket); /* not open: otherwise there is a RECV */
}

/* Gives a buffer to the kernel, by an entry at the tail of the buffer ring. */
static void provide(unsigned id)
{
    io_uring_buf_ring_add(provided, memory[id], BUFFER_BYTES, (unsigned short)id,
                          io_uring_buf_ring_mask(BUFFERS), 0);
    io_uring_buf_ring_advance(provided, 1);
}

static void return_first_buffer(struct client *c)
{
    provide(c->first);
    c->first = next[c->first];
    c->sent = 0;
    c->held--;
    taken--;
}

static void received(struct client *c, int result, unsigned flags)
{
    if (flags & IORING_CQE_F_BUFFER) {
        unsigned id = flags >> IORING_CQE_BUFFER_SHIFT;
        length[id] = result > 0 ? (unsigned)result : 0;
        if (c->held++ == 0)
            c->first = id;
        else
            next[c->last] = id;
        c->last = id;
        taken++;
    }
    if (result <= 0 && result != -ENOBUFS && result != -ECANCELED && result != -EINTR && result != -EAGAIN)
        c->open = false; /* the client has closed, or the connection is broken */
    starving |= result == -ENOBUFS;
}

static void sent(struct client *c, int socket, int result)
{
    if (result >= 0) {
        c->sent += (unsigned)result;
        if (c->sent == length[c->first])
            return_first_buffer(c);
    } else if (result != -EINTR && result != -EAGAIN) { /* the client is gone */
        shutdown(socket, SHUT_RDWR);                    /* ends its RECV */
        while (c->held > 0)
            return_first_buffer(c);
    }
}

static void completed(enum kind kind, int socket, int result, unsigned flags)
{
    struct client *c = &clients[socket];
    c->in_flight[kind] = flags & IORING_CQE_F_MORE; /* never set for SEND and CANCEL */
    if (kind == ACCEPT && result >= 0) {
        clients[result] = (struct client){.open = true};
        queue(RECV, result);
    } else if (kind == RECV) {
        received(c, result, flags);
    } else if (kind == SEND) {
        sent(c, socket, result);
    }
    if (kind != ACCEPT && !(kind == RECV && result == -ENOBUFS))
        advance(socket);
}

/* Once a second, and when there are buffers again. ACCEPT ends when no descriptor is left. */
static void visit_all(void)
{
    seconds += (unsigned)ticked;
    ticked = starving = 0;
    if (!clients[listener].in_flight[ACCEPT])
        queue(ACCEPT, listener);
    for (int socket = 0; socket < MAX_CLIENTS; socket++) {
        if (clients[socket].open)
            advance(socket);
        if (clients[socket].in_flight[SEND] && clients[socket].deadline < seconds)
            shutdown(socket, SHUT_RDWR); /* completes its requests */
    }
}

static void serve(void)
{
    queue(ACCEPT, listener);
    while (!stopped) {
        int error = io_uring_submit_and_wait(&ring, 1);
        if (error < 0 && error != -EINTR && error != -EAGAIN && error != -EBUSY)
            errx(EXIT_FAILURE, "io_uring_submit_and_wait: %s", strerror(-error));
        struct io_uring_cqe *completion;
        while (io_uring_peek_cqe(&ring, &completion) == 0) {
            uintptr_t data = (uintptr_t)io_uring_cqe_get_data(completion);
            completed(data & 3, (int)(data >> 2), completion->res, completion->flags);
            io_uring_cqe_seen(&ring, completion);
        }
        if (ticked || (starving && taken <= BUFFERS / 2))
            visit_all();
    }
}

static void on_signal(int number)
{
    *(number == SIGALRM ? &ticked : &stopped) = 1;
    alarm(1);
}

/* Only on the loopback address: this is a program to learn from. */
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
    printf("echo on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
}

static void make_rings(void)
{
    /* With DEFER_TASKRUN, RECVs take turns: each wait runs each of them for a while, and then it is ours. */
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
    int error = io_uring_queue_init_params(SQ_ENTRIES, &ring, &params);
    if (error < 0)
        errx(EXIT_FAILURE, "io_uring: %s%s", strerror(-error),
             error == -EINVAL   ? ": Linux 6.1 is needed"
             : error == -ENOMEM ? ": more locked memory is needed: ulimit -l"
                                : "");
    provided = aligned_alloc(65536, 65536); /* at the start of a page; it takes 16 bytes per buffer */
    struct io_uring_buf_reg where = {
        .ring_addr = (uintptr_t)provided, .ring_entries = BUFFERS, .bgid = GROUP};
    error = provided ? io_uring_register_buf_ring(&ring, &where, 0) : -errno;
    if (error < 0)
        errx(EXIT_FAILURE, "io_uring_register_buf_ring: %s", strerror(-error));
    io_uring_buf_ring_init(provided);
    for (unsigned id = 0; id < BUFFERS; id++)
        provide(id);
}

int main(int argc, char *argv[])
{
    char *end = "";
    long port = argc > 1 ? strtol(argv[1], &end, 10) : 8000;
    if (argc > 2 || *end != '\0' || port < 0 || port > 65535)
        errx(EXIT_FAILURE, "usage: %s [PORT]   (8000; 0: a free one)", argv[0]);
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){MAX_CLIENTS, MAX_CLIENTS}); /* no socket is larger */
    make_rings();
    struct sigaction action = {.sa_handler = on_signal}; /* without SA_RESTART: they end the wait */
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGALRM, &action, NULL);
    listen_on_loopback((unsigned short)port);
    alarm(1); /* serves the deadlines, and a signal that comes just before the wait is noticed in a second */
    serve();
    shutdown(listener, SHUT_RDWR); /* the ring keeps the socket open some milliseconds longer than we do */
    io_uring_queue_exit(&ring);
    return EXIT_SUCCESS;
}
