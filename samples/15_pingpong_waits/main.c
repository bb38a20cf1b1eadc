/*
 * Ways to wait for completions, in figures.
 *
 * Four balls fly between this process and another one, each through its own pair of sockets. When a RECV
 * completes, its ball has come back and is sent again. The other process returns the balls by plain system
 * calls. The ways differ only in how this one waits:
 *
 *   one         for a completion (io_uring_submit_and_wait with 1), as most programs do
 *   all         for one of each ball: fewer wake-ups, but the last ball decides
 *   time-out    for all, but not longer than TIMEOUT (io_uring_submit_and_wait_timeout; Linux 5.11)
 *   min-wait    for all; after MIN_WAIT one is enough (io_uring_submit_and_wait_min_timeout; 6.12)
 *   registered  as time-out, but the kernel reads the time from memory that it has mapped, instead of copying
 *               it at each call (io_uring_submit_and_wait_reg; 6.13)
 *   SQPOLL      without system calls: a kernel thread submits, and we look until something has completed.
 *               Each of the two takes a processor for itself; after LOOKS we offer ours to others
 *
 * io_uring_enter() is called directly, so that each way is a line of a table: the functions named above came
 * to liburing between 2.2 and 2.9. Busy polling of a network card (IORING_REGISTER_NAPI, 6.9) is left out,
 * because there is no card between us.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "newer.h"

#define BALLS     4
#define PATIENCE  (3 * 1000000000LL) /* nanoseconds for a way: later no ball is sent again */
#define TIMEOUT   1000000            /* nanoseconds */
#define MIN_WAIT  50                 /* microseconds */
#define LOOKS     1000
#define HANGS     60    /* seconds after which SIGALRM ends the program */
#define PAGE_SIZE 65536 /* the largest of any architecture */

static struct __kernel_timespec timeout = {.tv_nsec = TIMEOUT};
static struct getevents_arg limited = {.ts = (uintptr_t)&timeout};
static struct getevents_arg content = {.min_wait_usec = MIN_WAIT, .ts = (uintptr_t)&timeout};
static struct reg_wait region[PAGE_SIZE / 64] __attribute__((aligned(PAGE_SIZE))); /* the first is used */

static const struct way {
    const char *name;
    unsigned wanted, setup_flags, enter_flags;
    void *argument; /* of io_uring_enter(), and its size */
    size_t size;
    unsigned feature;
    const char *needs; /* the kernel with that feature */
} ways[] = {
    {.name = "one", .wanted = 1},
    {.name = "all", .wanted = BALLS},
    {"time-out", BALLS, 0, ENTER_EXT_ARG, &limited, sizeof(limited), FEAT_EXT_ARG, "5.11"},
    {"min-wait", BALLS, 0, ENTER_EXT_ARG, &content, sizeof(content), FEAT_MIN_TIMEOUT, "6.12"},
    {"registered", BALLS, SETUP_R_DISABLED, ENTER_EXT_ARG | ENTER_EXT_ARG_REG,
     NULL /* an offset in the region */, sizeof(*region), FEAT_MIN_TIMEOUT, "6.13"},
    {.name = "SQPOLL", .setup_flags = IORING_SETUP_SQPOLL, .feature = FEAT_SQPOLL_NONFIXED, .needs = "5.11"},
};

static struct io_uring ring;
static int sockets[BALLS];
static char balls[BALLS];
static unsigned features, calls, sends; /* the ring's; system calls of a way; SENDs that will complete */

static long long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

/* Starts the process that returns the balls. */
static void start_other_process(void)
{
    struct pollfd ends[BALLS];
    for (int i = 0; i < BALLS; i++) {
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
            err(EXIT_FAILURE, "socketpair");
        sockets[i] = pair[0];
        ends[i] = (struct pollfd){.fd = pair[1], .events = POLLIN};
    }
    pid_t process = fork();
    if (process < 0)
        err(EXIT_FAILURE, "fork");
    for (int i = 0; i < BALLS; i++)
        close(process == 0 ? sockets[i] : ends[i].fd);
    while (process == 0 && poll(ends, BALLS, -1) > 0)
        for (int i = 0; i < BALLS; i++) {
            char ball;
            if (ends[i].revents &&
                (read(ends[i].fd, &ball, 1) != 1 || send(ends[i].fd, &ball, 1, MSG_NOSIGNAL) != 1))
                _exit(EXIT_SUCCESS); /* the first process has ended */
        }
    if (process == 0)
        _exit(EXIT_FAILURE);
}

/* Maps the time-out into the kernel, which has to precede the first wait. */
static int register_region(void)
{
    region[0] = (struct reg_wait){.ts = timeout, .flags = REG_WAIT_TS};
    uint64_t description[8] = {(uintptr_t)region, (uint64_t)sysconf(_SC_PAGESIZE), MEM_REGION_TYPE_USER};
    uint64_t registration[4] = {(uintptr_t)description, MEM_REGION_REG_WAIT_ARG};
    if (syscall(__NR_io_uring_register, ring.ring_fd, REGISTER_MEM_REGION, registration, 1) != 0 ||
        syscall(__NR_io_uring_register, ring.ring_fd, REGISTER_ENABLE_RINGS, NULL, 0) != 0)
        return -errno;
    return 0;
}

/* Makes a way's ring; -EINVAL: the kernel lacks it. DEFER_TASKRUN (6.1): not woken up by each completion. */
static int make_ring(const struct way *way)
{
    unsigned flags = way->setup_flags |
                     (way->setup_flags & IORING_SETUP_SQPOLL ? 0 : SETUP_SINGLE_ISSUER | SETUP_DEFER_TASKRUN);
    struct io_uring_params params = {.flags = flags};
    int error = io_uring_queue_init_params(2 * BALLS, &ring, &params);
    if (error == -EINVAL) {
        params = (struct io_uring_params){.flags = way->setup_flags};
        error = io_uring_queue_init_params(2 * BALLS, &ring, &params);
    }
    features = params.features;
    if (error < 0)
        return error;
    error = way->feature && !(features & way->feature) ? -EINVAL
            : way->enter_flags & ENTER_EXT_ARG_REG     ? register_region()
                                                       : 0;
    if (error < 0)
        io_uring_queue_exit(&ring);
    return error;
}

/* Queues a SEND of a ball, and the RECV in which it comes back. */
static void throw(unsigned ball)
{
    /* Two are there for each ball, but SQPOLL's thread frees those of a batch after its completions. */
    while (io_uring_sq_space_left(&ring) < 2)
        sched_yield();
    struct io_uring_sqe *request = io_uring_get_sqe(&ring);
    io_uring_prep_send(request, sockets[ball], &balls[ball], 1, MSG_NOSIGNAL);
    io_uring_sqe_set_data(request, NULL);
    if (features & FEAT_CQE_SKIP)
        request->flags |= SQE_CQE_SKIP_SUCCESS; /* only the ball's return is worth waking up */
    else
        sends++;
    request = io_uring_get_sqe(&ring);
    io_uring_prep_recv(request, sockets[ball], &balls[ball], 1, 0);
    io_uring_sqe_set_data(request, &balls[ball]);
}

/* Submits what is queued, and waits for so many completions. */
static void submit_and_wait(const struct way *way, unsigned wanted)
{
    if (way->setup_flags & IORING_SETUP_SQPOLL) {
        calls += *ring.sq.kflags & IORING_SQ_NEED_WAKEUP; /* the thread sleeps after an idle second */
        io_uring_submit(&ring);
        for (unsigned looks = 1; io_uring_cq_ready(&ring) == 0; looks++)
            if (looks % LOOKS == 0)
                calls += sched_yield() == 0;
        return;
    }
    /* What io_uring_submit() does before its system call. */
    ring.sq.sqe_head = ring.sq.sqe_tail;
    __atomic_store_n(ring.sq.ktail, ring.sq.sqe_tail, __ATOMIC_RELEASE);
    unsigned submit = ring.sq.sqe_tail - __atomic_load_n(ring.sq.khead, __ATOMIC_ACQUIRE);
    calls++;
    if (syscall(__NR_io_uring_enter, ring.ring_fd, submit, wanted, IORING_ENTER_GETEVENTS | way->enter_flags,
                way->argument, way->size) < 0 &&
        errno != ETIME && errno != EINTR && errno != EAGAIN && errno != EBUSY)
        err(EXIT_FAILURE, "io_uring_enter");
}

/* Lets the balls come back `count` times, or for as long as PATIENCE, and prints the figures. */
static void play(const struct way *way, unsigned count)
{
    unsigned thrown = 0, caught = 0;
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    long long start = now(), time = start;
    for (unsigned i = 0; ring.sq.array && i < 2 * BALLS; i++) /* newer liburing has none, older fills it in */
        ring.sq.array[i] = i;
    for (calls = sends = 0; thrown < BALLS;)
        throw(thrown++);
    while (caught < thrown) {
        unsigned flying = thrown - caught;
        submit_and_wait(way, (way->wanted < flying ? way->wanted : flying) + sends);
        time = now();
        struct io_uring_cqe *completion;
        unsigned head, completions = 0;
        io_uring_for_each_cqe(&ring, head, completion)
        {
            char *ball = io_uring_cqe_get_data(completion);
            if (completion->res != 1)
                errx(EXIT_FAILURE, "%s: a ball is lost: %s", way->name,
                     completion->res < 0 ? strerror(-completion->res) : "no data");
            completions++;
            caught += ball != NULL;
            sends -= ball == NULL;
            if (ball && thrown < count && time < start + PATIENCE) {
                throw((unsigned)(ball - balls));
                thrown++;
            }
        }
        io_uring_cq_advance(&ring, completions);
    }
    getrusage(RUSAGE_SELF, &after);
    printf("%-10s %11u %11u %11ld %11.2f\n", way->name, caught, calls, after.ru_nvcsw - before.ru_nvcsw,
           (double)(time - start) / 1000 * BALLS / caught);
    io_uring_queue_exit(&ring);
}

int main(int argc, char *argv[])
{
    char *end = "";
    long count = argc > 1 ? strtol(argv[1], &end, 10) : 20000;
    if (argc > 2 || *end != '\0' || count < BALLS || count > 1000000)
        errx(EXIT_FAILURE, "usage: %s [COUNT]   (round trips each, from 4 to 1000000; 20000)", argv[0]);
    alarm(HANGS);
    start_other_process();
    for (const struct way *way = ways; way < ways + sizeof(ways) / sizeof(*ways); way++) {
        int error = make_ring(way);
        if (error < 0 && way == ways)
            errx(EXIT_FAILURE, "io_uring: %s%s", strerror(-error),
                 error == -ENOMEM ? ": more locked memory is needed: ulimit -l" : "");
        if (way == ways)
            printf("%-10s %11s %11s %11s %11s\n", "way", "round trips", "calls", "sleeps", "us each");
        if (error == -EINVAL)
            printf("%-10s left out: Linux %s is needed\n", way->name, way->needs);
        else if (error < 0)
            printf("%-10s left out: %s\n", way->name, strerror(-error));
        else
            play(way, (unsigned)count);
    }
    for (int i = 0; i < BALLS; i++)
        close(sockets[i]); /* ends the other process */
    wait(NULL);
    if (fclose(stdout) != 0)
        err(EXIT_FAILURE, "standard output");
    return EXIT_SUCCESS;
}
