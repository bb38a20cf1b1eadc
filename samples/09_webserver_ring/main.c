/*
 * A static web server with everything on the ring: accepting, receiving, opening and reading files, sending,
 * closing, timeouts and signals. One thread and one ring, or several processes with a ring each.
 *
 *   program [-r RINGS] [-5] [PORT]
 *
 *     -r RINGS  the number of rings, each in its own process; use one per processor. They share only the port
 *               (SO_REUSEPORT: the kernel gives each connection to one of them)
 *
 *     -5        use only what Linux 5.6 has, even on a newer kernel
 *
 *     PORT      8000; 0: a free one
 *
 * Read the files in this order:
 *   main.c        options, listening sockets, processes
 *   ring.c        the ring; ring.h has the operations on it that the others use, in one of two sets:
 *   ops_5_6.c       for Linux 5.6 and later
 *   ops_6_0.c       for 6.0 and later: multishot, provided buffers, direct descriptors
 *   server.c      the event loop: accepting, timeouts, signals, dispatching completions
 *   connection.c  the state machine of a connection
 *   files.c       opening files, and caching them for a second
 *   http.c        parsing requests and composing answers, without the ring
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "files.h"
#include "ring.h"
#include "server.h"

#define MAX_RINGS 64

/*
 * Send buffer of a socket; the kernel doubles the value. The default grows to 4 MiB, and with 256 connections
 * that data has left the processor's cache before it is read: 361 us of processor time for 1 MiB, instead of
 * 211.
 */
#define SEND_AHEAD (128 * 1024)

static void set_option(int socket, int level, int option, int value)
{
    if (setsockopt(socket, level, option, &value, sizeof(value)) != 0)
        err(EXIT_FAILURE, "setsockopt");
}

/*
 * Listens only on the loopback address, on purpose: this is a program to learn from, without encryption,
 * access rules or logs. It must not be reachable from other machines.
 *
 * Replaces port 0 by the port that the kernel chose. The first socket is bound without SO_REUSEPORT, so that
 * it fails if another program has the port, even another instance of this server; the other sockets join it.
 */
static int listen_on_loopback(unsigned short *port, bool shared, bool first)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(*port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0)
        err(EXIT_FAILURE, "socket");
    set_option(listener, SOL_SOCKET, SO_REUSEADDR, 1);
    set_option(listener, IPPROTO_TCP, TCP_NODELAY, 1); /* accepted sockets inherit these two */
    set_option(listener, SOL_SOCKET, SO_SNDBUF, SEND_AHEAD);
    if (!first)
        set_option(listener, SOL_SOCKET, SO_REUSEPORT, 1);
    if (bind(listener, (struct sockaddr *)&address, size) != 0)
        err(EXIT_FAILURE, "127.0.0.1:%d", *port);
    if (shared && first)
        set_option(listener, SOL_SOCKET, SO_REUSEPORT, 1);
    /* Limits the backlog to what one multishot accept may deliver, see ops_6_0.c. */
    if (listen(listener, ACCEPT_MARGIN - 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) != 0)
        err(EXIT_FAILURE, "127.0.0.1:%d", *port);
    *port = ntohs(address.sin_port);
    return listener;
}

static void serve(int listener, bool oldest)
{
    ring_init(oldest);
    server_run(listener);
    io_uring_queue_exit(&ring);
}

/* One process per ring. All end when this one gets a signal or dies, or when one of them dies. */
static int serve_in_processes(const int *listeners, int rings, bool oldest, const sigset_t *signals)
{
    pid_t processes[MAX_RINGS], parent = getpid();
    sigset_t ours = *signals;
    sigaddset(&ours, SIGCHLD);
    sigprocmask(SIG_BLOCK, &ours, NULL);
    for (int i = 0; i < rings; i++) {
        processes[i] = fork();
        if (processes[i] < 0)
            err(EXIT_FAILURE,
                "fork"); /* our exit sends SIGTERM to those already started (PR_SET_PDEATHSIG) */
        if (processes[i] == 0) {
            prctl(PR_SET_PDEATHSIG, SIGTERM);
            if (getppid() != parent)
                exit(EXIT_FAILURE);
            for (int other = 0; other < rings; other++)
                if (other != i)
                    close(listeners[other]); /* or the kernel would go on giving them connections */
            serve(listeners[i], oldest);
            exit(EXIT_SUCCESS);
        }
    }
    for (int i = 0; i < rings; i++)
        close(listeners[i]);

    int number;
    sigwait(&ours, &number);
    int result = EXIT_SUCCESS;
    for (int i = 0; i < rings; i++)
        kill(processes[i], SIGTERM);
    for (int status; wait(&status) > 0;)
        if (status != 0)
            result = EXIT_FAILURE;
    return result;
}

/* Parses a number from `least` to `most`. */
static int number_of(const char *text, int least, int most, const char *what)
{
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (*text == '\0' || *end != '\0' || errno != 0 || number < least || number > most)
        errx(EXIT_FAILURE, "%s: a %s from %d to %d is wanted", text, what, least, most);
    return (int)number;
}

int main(int argc, char *argv[])
{
    int rings = 1;
    bool oldest = false, wrong = false;
    for (int option; (option = getopt(argc, argv, "r:5")) != -1;) {
        if (option == 'r')
            rings = number_of(optarg, 1, MAX_RINGS, "number of rings");
        else if (option == '5')
            oldest = true;
        else
            wrong = true;
    }
    if (wrong || optind + 1 < argc)
        errx(EXIT_FAILURE, "usage: %s [-r RINGS] [-5] [PORT]   (8000; 0: a free one)", argv[0]);
    unsigned short port = (unsigned short)(optind < argc ? number_of(argv[optind], 0, 65535, "port") : 8000);

    /* Not O_PATH, which OPENAT2 refuses before 5.6.13 (EBADF). */
    int directory = open("public", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        err(EXIT_FAILURE, "public");
    files_init(directory);
    struct rlimit files; /* the usual limit of 1024 descriptors is below MAX_CONNECTIONS */
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    ring_check(directory);
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL); /* until server.c can wait for them on the ring */

    int listeners[MAX_RINGS];
    for (int i = 0; i < rings; i++)
        listeners[i] = listen_on_loopback(&port, rings > 1, i == 0);
    printf("serving public/ on http://127.0.0.1:%d/\n", port);
    fflush(stdout);
    if (rings > 1)
        return serve_in_processes(listeners, rings, oldest, &signals);
    serve(listeners[0], oldest);
    return EXIT_SUCCESS;
}
