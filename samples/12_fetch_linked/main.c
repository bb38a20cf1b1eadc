/*
 * Fetches a file by HTTP/1.0. Each step (CONNECT, SEND, each RECV) has a time-out, and can be cancelled.
 *
 * IOSQE_IO_LINK links a request to the next one. LINK_TIMEOUT behind another request is that one's time-out:
 * when the time is over, the kernel cancels the request, and when the request completes first, the time-out
 * is cancelled. Both complete in any case, in any order:
 *
 *                        the request       its LINK_TIMEOUT
 *     in time            its result        -ECANCELED
 *     too late           -ECANCELED        -ETIME
 *
 * SIGINT and SIGTERM are completions too: the handler writes to an eventfd, for which a POLL_ADD waits.
 * ASYNC_CANCEL then cancels the step by its user data. The program ends only when nothing is in flight: until
 * then the kernel may use its memory.
 *
 * Exit status: 0, the whole body is on standard output; 1, an error; 2, the status of the answer is not 200;
 * 3, a step took too long; 128 + N, ended by signal N.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
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
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define RING_ENTRIES 8 /* a step, its time-out, the POLL_ADD, a cancellation: there is always an entry */
#define BUFFER_BYTES (64 * 1024)
#define HEAD_BYTES   8192 /* the longest head of an answer */

enum { FAILED = 1, NOT_200 = 2, LATE = 3, BY_SIGNAL = 128 }; /* exit statuses */

/* Which request completes. Its address is the user data: the names need no values. */
static char step, time_out, stop, cancellation;

static struct io_uring ring;
static struct __kernel_timespec limit; /* for each step */
static int stop_event;
static volatile sig_atomic_t stop_signal;
static char buffer[BUFFER_BYTES];

static _Noreturn void fail(int error, const char *what)
{
    errno = -error;
    err(FAILED, "%s", what);
}

/* Submits what is queued, waits for a completion, and returns it. */
static struct io_uring_cqe *wait_for_completion(void)
{
    for (;;) {
        int error = io_uring_submit_and_wait(&ring, 1);
        if (error < 0 && error != -EINTR && error != -EAGAIN)
            fail(error, "io_uring_submit_and_wait");
        struct io_uring_cqe *completion;
        if (io_uring_peek_cqe(&ring, &completion) == 0)
            return completion;
    }
}

/*
 * Runs a prepared step to its end; returns its result, or a negative error number. `timed`: with its
 * time-out. Ends the program if the step takes too long, or on a signal.
 */
static int run(struct io_uring_sqe *request, const char *what, bool timed)
{
    bool late = false;
    int result = 0;
    unsigned in_flight = 1;
    io_uring_sqe_set_data(request, &step);
    if (timed) {
        request->flags |= IOSQE_IO_LINK; /* to the next request, which must be submitted by the same call */
        request = io_uring_get_sqe(&ring);
        io_uring_prep_link_timeout(request, &limit, 0);
        io_uring_sqe_set_data(request, &time_out);
        in_flight++;
    }
    while (in_flight > 0) {
        struct io_uring_cqe *completion = wait_for_completion();
        void *data = io_uring_cqe_get_data(completion);
        if (data == &step) {
            result = completion->res;
        } else if (data == &time_out) { /* -EALREADY: a kernel thread is at the step, and was interrupted */
            late = completion->res == -ETIME || completion->res == -EALREADY;
        } else if (data == &stop) {
            request = io_uring_get_sqe(&ring);
            io_uring_prep_cancel(request, &step, 0);
            io_uring_sqe_set_data(request, &cancellation);
            in_flight += 2; /* one for `stop` itself, which is counted below */
        } /* the cancellation: whether or not it came in time, the step completes */
        in_flight--;
        io_uring_cqe_seen(&ring, completion);
    }
    bool cancelled = result == -ECANCELED || result == -EINTR;
    if (stop_signal) {
        warnx("%s: ended by signal %d (%s)", what, stop_signal, strsignal(stop_signal));
        exit(BY_SIGNAL + stop_signal);
    }
    if (cancelled && late)
        errx(LATE, "%s: not done within %lld ms", what, limit.tv_sec * 1000 + limit.tv_nsec / 1000000);
    return result;
}

static void on_signal(int number)
{
    int error = errno;
    stop_signal = number;
    eventfd_write(stop_event, 1);
    errno = error;
}

static void watch_signals(void)
{
    stop_event = eventfd(0, EFD_CLOEXEC);
    if (stop_event < 0)
        err(FAILED, "eventfd");
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    struct io_uring_sqe *request = io_uring_get_sqe(&ring);
    io_uring_prep_poll_add(request, stop_event, POLLIN);
    io_uring_sqe_set_data(request, &stop);
}

static int open_connection(const struct sockaddr_in *address)
{
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (server < 0)
        err(FAILED, "socket");
    struct io_uring_sqe *request = io_uring_get_sqe(&ring);
    io_uring_prep_connect(request, server, (struct sockaddr *)address, sizeof(*address));
    int error = run(request, "connect", true);
    if (error < 0)
        fail(error, "connect");
    return server;
}

/* Sends all of the text. A SEND may send less, so each has a time-out of its own. */
static void send_all(int server, const char *text, size_t length)
{
    while (length > 0) {
        struct io_uring_sqe *request = io_uring_get_sqe(&ring);
        io_uring_prep_send(request, server, text, length, MSG_NOSIGNAL);
        int sent = run(request, "send", true);
        if (sent < 0 && sent != -EINTR && sent != -EAGAIN)
            fail(sent, "send");
        text += sent > 0 ? sent : 0;
        length -= sent > 0 ? (size_t)sent : 0;
    }
}

/* Receives some bytes; 0: the server has closed. */
static size_t receive(int server, char *memory, size_t size)
{
    int received;
    do {
        struct io_uring_sqe *request = io_uring_get_sqe(&ring);
        io_uring_prep_recv(request, server, memory, size, 0);
        received = run(request, "receive", true);
    } while (received == -EINTR || received == -EAGAIN);
    if (received < 0)
        fail(received, "receive");
    return (size_t)received;
}

/* Writes without a time-out: who reads from the pipe may take its time. A signal cancels it nevertheless. */
static void write_all(const char *bytes, size_t length)
{
    /* -1: at the file's position. What has none, such as a pipe, refuses that on Linux 5.6. */
    long long offset = lseek(STDOUT_FILENO, 0, SEEK_CUR) < 0 ? 0 : -1;
    while (length > 0) {
        struct io_uring_sqe *request = io_uring_get_sqe(&ring);
        io_uring_prep_write(request, STDOUT_FILENO, bytes, (unsigned)length, (unsigned long long)offset);
        int written = run(request, "standard output", false);
        if (written < 0 && written != -EINTR && written != -EAGAIN)
            fail(written, "standard output");
        bytes += written > 0 ? written : 0;
        length -= written > 0 ? (size_t)written : 0;
    }
}

/* Receives the head, checks its status and writes the body up to its stated length, or the server's close. */
static void receive_answer(int server)
{
    size_t filled = 0, received;
    char *end = NULL;
    while (!end && filled < HEAD_BYTES &&
           (received = receive(server, buffer + filled, HEAD_BYTES - filled))) {
        filled += received;
        buffer[filled] = '\0';
        end = strstr(buffer, "\r\n\r\n");
    }
    if (!end || strncmp(buffer, "HTTP/1.", 7) != 0 || strlen(buffer) < strlen("HTTP/1.1 200"))
        errx(FAILED, "receive: this is no HTTP answer");
    *end = '\0';
    if (strncmp(buffer + 8, " 200", 4) != 0)
        errx(NOT_200, "%.*s", (int)strcspn(buffer, "\r\n"), buffer);
    const char *stated = strcasestr(buffer, "\r\ncontent-length:");
    unsigned long long left = stated ? strtoull(strchr(stated, ':') + 1, NULL, 10) : ~0ULL;

    char *body = end + 4;
    received = filled - (size_t)(body - buffer);
    while (left > 0 && (received > 0 || (received = receive(server, body = buffer, BUFFER_BYTES)))) {
        received = received < left ? received : (size_t)left;
        write_all(body, received);
        left -= received;
        received = 0;
    }
    if (stated && left > 0)
        errx(FAILED, "receive: the server closed %llu bytes before the end", left);
}

int main(int argc, char *argv[])
{
    long port = argc > 2 ? strtol(argv[2], NULL, 10) : 0;
    long milliseconds = argc > 4 ? strtol(argv[4], NULL, 10) : 5000;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    if (argc < 4 || argc > 5 || milliseconds <= 0 || inet_pton(AF_INET, argv[1], &address.sin_addr) != 1 ||
        port <= 0 || port > 65535 || argv[3][0] != '/' || strpbrk(argv[3], " \r\n"))
        errx(FAILED, "usage: %s ADDRESS PORT /PATH [MILLISECONDS]   (5000, for each step)", argv[0]);
    if (fcntl(STDOUT_FILENO, F_GETFD) < 0) /* otherwise it would be one of our descriptors */
        err(FAILED, "standard output");
    limit = (struct __kernel_timespec){milliseconds / 1000, milliseconds % 1000 * 1000000};

    int error = io_uring_queue_init(RING_ENTRIES, &ring, 0);
    if (error < 0)
        fail(error,
             error == -ENOMEM ? "io_uring: more locked memory is needed: ulimit -l" : "io_uring_queue_init");
    watch_signals();
    int server = open_connection(&address);
    send_all(server, "GET ", 4);
    send_all(server, argv[3], strlen(argv[3]));
    send_all(server, " HTTP/1.0\r\n\r\n", 13);
    receive_answer(server);
    close(server);
    io_uring_queue_exit(&ring);    /* also ends the POLL_ADD */
    if (close(STDOUT_FILENO) != 0) /* a full disk or a network file system may report an error only here */
        err(FAILED, "standard output");
    return EXIT_SUCCESS;
}
