/*
 * The ring, and the operations that the server uses on it, in two sets: ops_5_6.c for Linux 5.6 and later,
 * and ops_6_0.c for 6.0 and later. ring_init() chooses by what the kernel supports, and callers notice little
 * of it.
 */
#ifndef RING_H
#define RING_H

#include <errno.h>
#include <liburing.h>
#include <stdbool.h>
#include <stddef.h>

#define MAX_CONNECTIONS 1536
#define ACCEPT_MARGIN   512 /* with fewer free connections no multishot accept: see ops_6_0.c */

/*
 * A connection has at most nine requests in flight (POLL_RECEIVE, RECEIVE, READ, POLL_SEND, SEND, and four
 * cancellations). Only multishot requests could fill the queue, and the kernel ends them when it is full.
 */
#define CQ_ENTRIES 16384

/* The kind of a request. It is stored with the request's owner in the user data. */
enum kind {
    ACCEPT = 1,
    TICK,
    STOP,
    CANCEL,
    CLOSE,
    OPEN,
    STAT,
    LOAD,
    POLL_ACCEPT,
    POLL_RECEIVE,
    RECEIVE,
    READ,
    POLL_SEND,
    SEND,
    SHUTDOWN
};

/* IORING_CQE_F_BUFFER and IORING_CQE_F_MORE, which older headers lack. */
#define CQE_BUFFER   (1U << 0)
#define CQE_MORE     (1U << 1)
#define BUFFER_SHIFT 16 /* the flags above this bit are the ID of the provided buffer */

#define PROVIDED_BUFFERS 256 /* a power of two */
#define KIND_BITS        4   /* owners are aligned to 1 << KIND_BITS bytes, which leaves room for the kind */

extern struct io_uring ring;

/* Whether STATX works with a descriptor: see ring_check(). */
extern bool ring_has_statx;

/* A set of operations. Each function queues a request, which completes as the kind in capitals. */
struct ops {
    /*
     * ACCEPT: one client, or several by multishot; the completion without CQE_MORE is the last. Or
     * POLL_ACCEPT: call it again then, with `ready`.
     */
    void (*accept)(int listener, unsigned free_connections, bool ready);

    /*
     * RECEIVE: once, into the given memory; or, unless `own_memory`, by multishot into provided buffers,
     * until a completion without CQE_MORE. The completion has the buffer's ID; -ENOBUFS means that none was
     * left.
     */
    void (*receive)(int socket, void *memory, size_t size, bool own_memory, void *owner);

    /* The content of a provided buffer; and gives the buffer back to the kernel. */
    char *(*buffer)(unsigned id);
    void (*give_back)(unsigned id);

    /* SEND: all or a part of the data. A message has its data in several buffers. */
    void (*send)(int socket, const void *data, size_t size, void *owner);
    void (*send_message)(int socket, const struct msghdr *message, void *owner);

    /*
     * READ and SEND, linked: reads from a file and then sends `size` bytes at `data`, which end with the
     * bytes read. If fewer than `wanted` bytes are read, nothing is sent. With `skips_success` there is only
     * one completion: READ if it is short or fails, otherwise SEND.
     */
    void (*read_and_send)(int file, void *memory, size_t wanted, off_t offset, int socket, const void *data,
                          size_t size, void *owner);
    bool skips_success;

    /* SHUTDOWN: of the sending side. */
    void (*shutdown)(int socket, void *owner);

    /* CANCEL, of the request of this kind and owner: it completes with -ECANCELED, or as usual if it is too
     * late. */
    void (*cancel)(enum kind kind, void *owner);

    /* CLOSE, or no completion. */
    void (*close_socket)(int socket);
    void (*close_file)(int file);
};

/* The set in use. */
extern const struct ops *ops;

/* Makes the ring. `oldest`: always use the set for 5.6. Ends the program on failure. */
void ring_init(bool oldest);

/* Ends the program with a message if io_uring cannot be used here. Tries STATX on the directory. */
void ring_check(int directory);

enum kind ring_kind(const struct io_uring_cqe *completion);
void *ring_owner(const struct io_uring_cqe *completion);

/* Transient errors, to be retried. */
static inline bool is_transient(int error)
{
    return error == -EINTR || error == -EAGAIN;
}

/*
 * Submits the queue and waits for so many completions; may do less, because of a signal, or because the
 * kernel has completions for which the queue has no room (EBUSY).
 */
void ring_submit(unsigned wanted);

/*
 * Moves all completions out of the queue, to an array of CQ_ENTRIES, and returns their number. With the queue
 * empty, the kernel accepts whatever is submitted while they are handled.
 */
unsigned ring_take(struct io_uring_cqe *completions);

/* Returns a submission queue entry, after submitting if the queue is full; ring_tag() sets its user data. */
struct io_uring_sqe *ring_request(void);
void ring_tag(struct io_uring_sqe *request, enum kind kind, void *owner);

/* ---- for the sets ---- */

/* Makes room for linked requests, which have to be submitted by the same call. */
void ring_reserve(unsigned count);

/* Cancels the request with this kind and owner in its user data. */
void ring_cancel(enum kind kind, void *owner);

/* Whether the kernel supports an operation. */
bool ring_has_operation(unsigned number);

/* The sets. NULL: the kernel or the headers lack something. */
const struct ops *ops_5_6(bool has_fast_poll);
const struct ops *ops_6_0(void);

#endif
