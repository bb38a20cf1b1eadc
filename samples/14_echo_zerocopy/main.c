/*
 * An echo server that sends with SEND_ZC: zero copy, and what it costs in attention.
 *
 * A SEND copies the data into the socket's buffers, and its memory is ours again when it completes. SEND_ZC
 * sends from the memory itself, which the kernel goes on reading until the client has acknowledged the data.
 * So it completes twice, with the same user data:
 *
 *   with IORING_CQE_F_MORE in the flags, when bytes were taken (`res` is their number), or it has failed:
 *   the memory is still the kernel's;
 *
 *   with IORING_CQE_F_NOTIF, the notification: the kernel is done with the memory.
 *
 * A first completion without IORING_CQE_F_MORE has no notification. Each client has some buffers, used in
 * turn. One may be received into again only when all of it is sent, and all its notifications have come.
 *
 * Zero copy pays for large sends through a network card. On the loopback interface the kernel copies on
 * delivery after all.
 */
#define _GNU_SOURCE
#include "../11_echo_multishot/older.h"

#include <err.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define MAX_CLIENTS  1000
#define SQ_ENTRIES   2048 /* enough for all requests of each client */
#define BUFFERS      2    /* of a client; a power of two */
#define BUFFER_BYTES 65536
#define PATIENCE     (10 * 1000) /* milliseconds for a client to take something */

enum kind { ACCEPT, RECV, SEND };
#define USER_DATA(kind, buffer, socket) ((void *)((uintptr_t)(socket) << 4 | (buffer) << 2 | (kind)))

struct client {
    bool open;                      /* more may be received */
    bool receiving, sending;        /* a RECV or SEND_ZC is in flight: has not completed for the first time */
    bool copy;                      /* the next one is a SEND, because SEND_ZC got no memory */
    unsigned received, sent, freed; /* buffers so far; the number modulo BUFFERS is the index of one */
    struct {
        unsigned length, sent;  /* bytes */
        unsigned notifications; /* still to come */
    } buffers[BUFFERS];
};

static struct io_uring ring;
static struct client clients[MAX_CLIENTS]; /* by their sockets, which are small numbers */
static char memory[MAX_CLIENTS][BUFFERS][BUFFER_BYTES];
static int listener;
static bool accepting;
static volatile sig_atomic_t stopped, ticked;

static void queue(enum kind kind, int socket)
{
    struct client *c = &clients[socket];
    unsigned b = (kind == RECV ? c->received : c->sent) % BUFFERS, done = c->buffers[b].sent;
    struct io_uring_sqe *request = io_uring_get_sqe(&ring); /* never NULL: there are enough entries */
    switch (kind) {
    case ACCEPT:
        io_uring_prep_accept(request, socket, NULL, NULL, SOCK_CLOEXEC);
        accepting = true;
        break;
    case RECV:
        io_uring_prep_recv(request, socket, memory[socket][b], BUFFER_BYTES, 0);
        c->receiving = true;
        break;
    case SEND:
        if (c->copy)
            io_uring_prep_send(request, socket, memory[socket][b] + done, c->buffers[b].length - done,
                               MSG_NOSIGNAL);
        else
            io_uring_prep_send_zc(request, socket, memory[socket][b] + done, c->buffers[b].length - done,
                                  MSG_NOSIGNAL, 0);
        c->sending = true;
    }
    io_uring_sqe_set_data(request, USER_DATA(kind, b, socket));
}

/* Queues what a client needs next, or closes it when the kernel has none of its memory. */
static void advance(int socket)
{
    struct client *c = &clients[socket];
    while (c->freed != c->sent && c->buffers[c->freed % BUFFERS].notifications == 0)
        c->freed++;
    if (c->open && !c->receiving && c->received - c->freed < BUFFERS)
        queue(RECV, socket);
    if (c->received != c->sent && !c->sending)
        queue(SEND, socket);
    if (c->open || c->receiving || c->sending)
        return;
    if (c->freed != c->received)
        shutdown(socket, SHUT_WR); /* tells the client at once that this was all; close() has to wait, or the
                                    * next client could get the socket's number, and with it the buffers */
    else
        close(socket);
}

static void received(struct client *c, int result)
{
    c->receiving = false;
    if (result > 0 && c->open) {
        unsigned b = c->received++ % BUFFERS;
        c->buffers[b].length = (unsigned)result;
        c->buffers[b].sent = 0;
    } else if (result != -EINTR && result != -EAGAIN) {
        c->open = false; /* the client has closed, or the connection is broken */
    }
}

/* The first completion of a SEND_ZC, or that of a SEND. */
static void sent(struct client *c, int socket, int result)
{
    unsigned b = c->sent % BUFFERS;
    c->sending = false;
    c->copy = result == -ENOMEM || result == -ENOBUFS; /* memory that is being sent counts as locked */
    if (result >= 0) {
        c->buffers[b].sent += (unsigned)result;
        c->sent += c->buffers[b].sent == c->buffers[b].length;
    } else if (!c->copy && result != -EINTR && result != -EAGAIN) { /* the client is gone */
        c->open = false;
        c->sent = c->received;
        shutdown(socket, SHUT_RDWR); /* ends its RECV */
    }
}

static void completed(const struct io_uring_cqe *completion)
{
    uintptr_t data = (uintptr_t)io_uring_cqe_get_data(completion);
    int socket = (int)(data >> 4), result = completion->res;
    unsigned b = data >> 2 & (BUFFERS - 1);
    struct client *c = &clients[socket];
    switch ((enum kind)(data & 3)) {
    case ACCEPT:
        accepting = false;
        if (result < 0)
            return; /* no descriptor is left: ACCEPT again in a second */
        clients[result] = (struct client){.open = true};
        queue(ACCEPT, listener);
        socket = result;
        break;
    case RECV:
        received(c, result);
        break;
    case SEND:
        if (completion->flags & IORING_CQE_F_NOTIF) {
            c->buffers[b].notifications--;
            break;
        }
        if (completion->flags & IORING_CQE_F_MORE)
            c->buffers[b].notifications++;
        sent(c, socket, result);
    }
    advance(socket);
}

static void serve(void)
{
    ticked = 1;
    while (!stopped) {
        if (ticked && !accepting)
            queue(ACCEPT, listener);
        ticked = 0;
        int error = io_uring_submit_and_wait(&ring, 1);
        if (error < 0 && error != -EINTR && error != -EAGAIN && error != -EBUSY)
            errx(EXIT_FAILURE, "io_uring_submit_and_wait: %s", strerror(-error));
        struct io_uring_cqe *completion;
        while (io_uring_peek_cqe(&ring, &completion) == 0) {
            struct io_uring_cqe copy = *completion;
            io_uring_cqe_seen(&ring, completion);
            completed(&copy);
        }
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
    /* Clients that take nothing for so long are disconnected, which also ends what is sent to them; accepted
     * sockets inherit it. */
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) != 0 ||
        setsockopt(listener, IPPROTO_TCP, TCP_USER_TIMEOUT, &(int){PATIENCE}, sizeof(int)) != 0 ||
        bind(listener, (struct sockaddr *)&address, size) != 0 || listen(listener, SOMAXCONN) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) != 0)
        err(EXIT_FAILURE, "127.0.0.1:%d", port);
    printf("echo on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
}

static void make_ring(void)
{
    int error = io_uring_queue_init(SQ_ENTRIES, &ring, 0);
    if (error < 0)
        errx(EXIT_FAILURE, "io_uring: %s%s", strerror(-error),
             error == -ENOMEM ? ": more locked memory is needed: ulimit -l" : "");
    static union {
        struct io_uring_probe probe;
        char room[sizeof(struct io_uring_probe) + 256 * sizeof(struct io_uring_probe_op)];
    } answer;
    if (io_uring_register_probe(&ring, &answer.probe, 256) != 0 ||
        !io_uring_opcode_supported(&answer.probe, IORING_OP_SEND_ZC))
        errx(EXIT_FAILURE, "io_uring: there is no SEND_ZC here: Linux 6.0 is needed");
}

int main(int argc, char *argv[])
{
    char *end = "";
    long port = argc > 1 ? strtol(argv[1], &end, 10) : 8000;
    if (argc > 2 || *end != '\0' || port < 0 || port > 65535)
        errx(EXIT_FAILURE, "usage: %s [PORT]   (8000; 0: a free one)", argv[0]);
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){MAX_CLIENTS, MAX_CLIENTS}); /* no socket is larger */
    make_ring();
    struct sigaction action = {.sa_handler = on_signal}; /* without SA_RESTART: they end the wait */
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGALRM, &action, NULL);
    listen_on_loopback((unsigned short)port);
    alarm(1); /* a signal that comes just before the wait is noticed in a second, too */
    serve();
    shutdown(listener, SHUT_RDWR); /* the ring keeps the socket open some milliseconds longer than we do */
    io_uring_queue_exit(&ring);
    return EXIT_SUCCESS;
}
