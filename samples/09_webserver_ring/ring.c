#define _GNU_SOURCE
#include "ring.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#ifndef IORING_FEAT_FAST_POLL /* before liburing 0.6 */
#define IORING_FEAT_FAST_POLL (1U << 5)
#endif

#define SQ_ENTRIES 2048

/* One thread submits, and completions are processed only while it waits (6.1): they come in batches. */
#ifdef IORING_SETUP_DEFER_TASKRUN
#define BATCHES (IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN)
#else
#define BATCHES 0
#endif

struct io_uring ring;
const struct ops *ops;
bool ring_has_statx;

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

void ring_reserve(unsigned count)
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

void ring_cancel(enum kind kind, void *owner)
{
    struct io_uring_sqe *request = ring_request();
    io_uring_prep_cancel(request, user_data(kind, owner), 0);
    ring_tag(request, CANCEL, NULL);
}

bool ring_has_operation(unsigned number)
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

/* Returns the kernel's features. */
static unsigned make_ring(bool oldest, unsigned entries)
{
    unsigned cq_entries = entries * (CQ_ENTRIES / SQ_ENTRIES), batches = oldest ? 0 : BATCHES;
    struct io_uring_params params = {.flags = IORING_SETUP_CQSIZE | batches, .cq_entries = cq_entries};
    int made = io_uring_queue_init_params(entries, &ring, &params);
    if (made == -EINVAL && batches) { /* the kernel lacks these flags */
        params = (struct io_uring_params){.flags = IORING_SETUP_CQSIZE, .cq_entries = cq_entries};
        made = io_uring_queue_init_params(entries, &ring, &params);
    }
    if (made < 0)
        errx(EXIT_FAILURE, "io_uring: %s (%s)", strerror(-made),
             made == -ENOMEM ? "more locked memory is needed: ulimit -l"
             : made == -EINVAL
                 ? "Linux 5.6 is needed"
                 : "this kernel has none, or sysctl kernel.io_uring_disabled or seccomp deny it");
    if (!ring_has_operation(IORING_OP_OPENAT2))
        errx(EXIT_FAILURE, "io_uring: OPENAT2 is missing (Linux 5.6 is needed)");
    return params.features;
}

/*
 * Having an operation does not prove that it works: before 5.6.11 STATX may look for the descriptor in the
 * table of the kernel thread that does it (EBADF). The first request of a new ring shows that, because no
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
    unsigned features = make_ring(oldest, SQ_ENTRIES);
    ops = oldest ? NULL : ops_6_0();
    if (!ops)
        ops = ops_5_6(!oldest && features & IORING_FEAT_FAST_POLL);
}
