/*
 * The event loop: accepts, dispatches completions, checks deadlines once a second, and ends on a signal.
 * Accepting, the timer and signals are requests on the ring too.
 */
#define _GNU_SOURCE
#include "server.h"

#include <err.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>

#include "connection.h"
#include "files.h"
#include "http.h"
#include "ring.h"

#define STOP_PATIENCE (5 * 1000) /* milliseconds for answers in progress to finish */
#define NOT_PAUSED    UINT_MAX

static int listener;
static bool accepting, accepting_cancelled, stopping;
static unsigned paused_with = NOT_PAUSED; /* free_connections when no descriptor was left */
static long long stop_deadline;

/* Called when a connection may have become free. */
static void queue_accept(void)
{
    if (accepting || paused_with == free_connections || stopping || free_connections == 0)
        return;
    ops->accept(listener, free_connections, false);
    accepting = true;
    accepting_cancelled = false;
}

/* When nobody can be accepted, an idle connection gives way, or silent clients could keep all others out. */
static void make_room_if_full(void)
{
    if (free_connections == 0 || paused_with == free_connections)
        connections_make_room();
}

static void accepted(int result, unsigned flags)
{
    accepting = flags & CQE_MORE;
    if (!stopping && (result == -EINVAL || result == -EOPNOTSUPP))
        errx(EXIT_FAILURE, "accept on the ring: %s", strerror(-result));
    if (result == -EMFILE || result == -ENFILE || result == -ENOBUFS || result == -ENOMEM)
        paused_with = free_connections; /* retry when a connection has closed, or after a second */
    if (result >= 0 && (free_connections == 0 || stopping))
        ops->close_socket(result);
    else if (result >= 0)
        connection_open(result);
    make_room_if_full();
    if (accepting && free_connections < ACCEPT_MARGIN && !accepting_cancelled) {
        ops->cancel(ACCEPT, NULL); /* from now on one by one */
        accepting_cancelled = true;
    }
}

static void queue_tick(void)
{
    static struct __kernel_timespec second = {.tv_sec = 1};
    struct io_uring_sqe *request = ring_request();
    io_uring_prep_timeout(request, &second, 0, 0);
    ring_tag(request, TICK, NULL);
}

/* Once a second: deadlines and other periodic work. */
static void tick(void)
{
    connections_expire();
    make_room_if_full();
    files_expire(now);
    http_set_date(time(NULL));
    paused_with = NOT_PAUSED;
    queue_tick();
}

/*
 * On a signal: finish answers in progress, close idle connections, refuse new ones. close() would not do,
 * because the ring keeps the socket open, and with it the port.
 */
static void stop(void)
{
    stopping = true;
    stop_deadline = now + STOP_PATIENCE;
    shutdown(listener, SHUT_RDWR); /* also completes ACCEPT */
    connections_stop();
}

static void completed(const struct io_uring_cqe *completion)
{
    struct connection *c = ring_owner(completion);
    int result = completion->res;
    switch (ring_kind(completion)) {
    case ACCEPT:
        accepted(result, completion->flags);
        break;
    case TICK:
        tick();
        break;
    case STOP:
        stop();
        break;
    case OPEN:
    case STAT:
    case LOAD:
        if (files_advance(ring_owner(completion), ring_kind(completion), result))
            connections_file_ready(ring_owner(completion));
        break;
    case RECEIVE:
        connection_received(c, result, completion->flags);
        break;
    case READ:
        connection_read(c, result);
        break;
    case SEND:
        connection_sent(c, result);
        break;
    case SHUTDOWN:
        connection_shut_down(c);
        break;
    case POLL_ACCEPT:
        if (result < 0)
            accepted(result, 0);
        else if (!stopping)
            ops->accept(listener, free_connections, true);
        break;
    case POLL_RECEIVE:
    case POLL_SEND:
    case CANCEL:
    case CLOSE:
        break; /* nothing to do: the requests that they belong to complete by themselves */
    }
}

static int stop_event;

static void on_signal(int number)
{
    (void)number;
    int error = errno;
    eventfd_write(stop_event, 1);
    errno = error;
}

/*
 * Waits for SIGTERM and SIGINT by POLL_ADD on an eventfd. Not on a signalfd: on 5.6 a kernel thread, whose
 * signals are others, looks again whether it is ready.
 */
static void queue_stop(void)
{
    stop_event = eventfd(0, EFD_CLOEXEC);
    if (stop_event < 0)
        err(EXIT_FAILURE, "eventfd");
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_UNBLOCK, &signals, NULL); /* main.c has blocked them until now */
    struct io_uring_sqe *request = ring_request();
    io_uring_prep_poll_add(request, stop_event, POLLIN);
    ring_tag(request, STOP, NULL);
}

static void take_time(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
    now = time.tv_sec * 1000LL + time.tv_nsec / 1000000;
}

void server_run(int socket)
{
    listener = socket;
    connections_init();
    take_time();
    http_set_date(time(NULL));
    queue_stop();
    queue_tick();
    while (!stopping || (free_connections < MAX_CONNECTIONS && now < stop_deadline)) {
        queue_accept();
        /* The only system call of the loop: submits the queue and waits for at least one completion. */
        ring_submit(1);
        take_time();
        static struct io_uring_cqe completions[CQ_ENTRIES];
        for (unsigned i = 0, count = ring_take(completions); i < count; i++)
            completed(&completions[i]);
    }
}
