/*
 * The ring, and the operations that the server asks of it, in two sets:
 *
 * That of Linux 5.6: one ACCEPT for each connection, one RECV for each piece of a request, into the memory of
 * the connection; sockets are descriptors.
 *
 * The modern one (6.0): one ACCEPT and, for each connection, one RECV, that complete again and again; what is
 * received comes in one of the buffers that the server has lent to the kernel. From 6.15 on sockets are slots
 * of the ring's own table, which no other system call has to look up or count.
 *
 * Which one it is, the kernel is asked at the start. The caller sees little of it: see ring_receive().
 */
#ifndef RING_H
#define RING_H

#include <liburing.h>
#include <stdbool.h>
#include <stddef.h>

#define MAX_CONNECTIONS 1536
#define ACCEPT_MARGIN                                                                                        \
    512 /* while fewer places are free, connections are accepted one by one: see ring_accept() */

/* What a completion belongs to: its kind and its owner, packed in the request's user data. */
enum kind { ACCEPT = 1, TICK, STOP, CANCEL, CLOSE, OPEN, STAT, LOAD, POLL, RECEIVE, READ, SEND, SHUTDOWN };

/* Of a completion's flags, by value, since older headers have no names for them: IORING_CQE_F_BUFFER,
 * _F_MORE. */
#define HAS_BUFFER   (1U << 0)
#define GOES_ON      (1U << 1)
#define BUFFER_SHIFT 16 /* from here on, the number of the buffer */

#define LENT_BUFFERS 256 /* a power of two */
#define KIND_BITS    4   /* owners are aligned to so many bits' worth of bytes */

extern struct io_uring ring;

/* Whether the later set is in use. */
extern bool ring_is_modern;

/* Makes the ring. `oldest`: take the set of 5.6 although there is the other. Ends the program on failure. */
void ring_init(bool oldest);

/* Ends the program with a message if this machine has no io_uring for us. */
void ring_check(void);

enum kind ring_kind(const struct io_uring_cqe *completion);
void *ring_owner(const struct io_uring_cqe *completion);

/* An entry for a request, after making room by submitting, and its last touch: kind and owner. */
struct io_uring_sqe *ring_request(void);
void ring_tag(struct io_uring_sqe *request, enum kind kind, void *owner);

/* Several may be accepted if there are so many free places; what completes without GOES_ON is the last. */
void ring_accept(int listener, unsigned free_places);

/*
 * Receives. Where ring_is_modern, and unless `own_memory`, it goes on until it completes without
 * GOES_ON, and what it received is in a lent buffer, whose number stands in the completion; there may
 * be none left, which ends it with -ENOBUFS. Otherwise it receives once, into the memory given.
 */
void ring_receive(int socket, void *memory, size_t size, bool own_memory, void *owner);

/* A lent buffer's content; and the buffer goes back to the kernel. */
char *ring_buffer(unsigned number);
void ring_return(unsigned number);

/* Sends as much as the socket takes: all of it, or less. A message is data in several places. */
void ring_send(int socket, const void *data, size_t size, void *owner);
void ring_send_message(int socket, const struct msghdr *message, void *owner);

/*
 * Reads from a file and then sends `size` bytes from `data` on, the end of which is what was read: both are
 * submitted at once. If less than `wanted` bytes could be read, nothing is sent. Completions: READ then SEND
 * in the older set; in the later one SEND, or READ if that went wrong.
 */
void ring_read_and_send(int file, void *memory, size_t wanted, off_t offset, int socket, const void *data,
                        size_t size, void *owner);

/* No more will be sent. Completes as SHUTDOWN. */
void ring_shutdown(int socket, void *owner);

/* Ends a request of this kind and owner early: it completes with -ECANCELED, or as if nothing was asked. */
void ring_cancel(enum kind kind, void *owner);

void ring_close_socket(int socket);
void ring_close_file(int file);

#endif
