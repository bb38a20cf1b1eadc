/*
 * The ring, and the operations that the server uses, in two sets:
 *
 * For Linux 5.6: one ACCEPT per connection, one RECV per piece of a request, into the memory of the
 * connection; sockets are normal descriptors. Before 5.7 a POLL_ADD comes before each of them and each SEND,
 * and up to about 5.6.8 statx() is a plain system call, which does not block for an open file.
 *
 * The modern set, for 6.0 and later: one multishot ACCEPT, and one multishot RECV per connection, which
 * receives into provided buffers. From 6.15 on, sockets are direct descriptors in the ring's own table, which
 * are cheaper to look up.
 *
 * ring_init() chooses by what the kernel supports. Callers notice little of it: see ring_receive().
 */
#ifndef RING_H
#define RING_H

#include <errno.h>
#include <liburing.h>
#include <stdbool.h>
#include <stddef.h>

#define MAX_CONNECTIONS 1536
#define ACCEPT_MARGIN   512 /* with fewer free connections no multishot accept: see ring_accept() */

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
#define BUFFER_SHIFT 16 /* the flags above this bit are the number of the buffer */

#define PROVIDED_BUFFERS 256 /* a power of two */
#define KIND_BITS        4   /* owners are aligned to 1 << KIND_BITS bytes, which leaves room for the kind */

extern struct io_uring ring;

/* Whether the modern set is in use. */
extern bool ring_is_modern;

/* Whether STATX works with a descriptor: see ring_check(). */
extern bool ring_has_statx;

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

/*
 * Accepts one client, or several by multishot; the completion without CQE_MORE is the last. Without fast poll
 * it completes as POLL_ACCEPT first: call it again then, with `ready`.
 */
void ring_accept(int listener, unsigned free_connections, bool ready);

/*
 * Receives once, into the given memory; or, if ring_is_modern and not `own_memory`, by multishot into
 * provided buffers, until a completion without CQE_MORE. The completion has the number of the buffer;
 * -ENOBUFS means that none was left.
 */
void ring_receive(int socket, void *memory, size_t size, bool own_memory, void *owner);

/* The content of a provided buffer; ring_return() gives the buffer back to the kernel. */
char *ring_buffer(unsigned number);
void ring_return(unsigned number);

/* Sends all or a part of the data. A message has its data in several buffers. */
void ring_send(int socket, const void *data, size_t size, void *owner);
void ring_send_message(int socket, const struct msghdr *message, void *owner);

/*
 * Reads from a file and then sends `size` bytes at `data`, which end with the bytes read: two linked
 * requests. If fewer than `wanted` bytes are read, nothing is sent. Completions: READ and SEND in the set
 * for 5.6; in the modern set only SEND, or only READ if that is short or fails.
 */
void ring_read_and_send(int file, void *memory, size_t wanted, off_t offset, int socket, const void *data,
                        size_t size, void *owner);

/* Shuts down the sending side. Completes as SHUTDOWN. */
void ring_shutdown(int socket, void *owner);

/* Cancels the request of this kind and owner: it completes with -ECANCELED, or normally if it is too late. */
void ring_cancel(enum kind kind, void *owner);

void ring_close_socket(int socket);
void ring_close_file(int file);

#endif
