/*
 * What the headers of liburing lack before 2.3, by the names of 2.3, so that the programs that use it compile
 * with any liburing. The kernel has to support it nevertheless. With liburing 2.3 or later nothing in here is
 * compiled, and liburing.h declares all of it; the manual pages describe it.
 */
#ifndef OLDER_H
#define OLDER_H

#include <errno.h>
#include <liburing.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef IORING_SETUP_DEFER_TASKRUN /* the headers of 2.3 have it, earlier ones do not */

#ifndef IOSQE_BUFFER_SELECT /* before 0.6 */
#define IOSQE_BUFFER_SELECT (1U << 5)
#define buf_group           buf_index /* the same field of the submission queue entry */
#endif

#undef IORING_SETUP_SINGLE_ISSUER
#undef IORING_ACCEPT_MULTISHOT
#undef IORING_RECV_MULTISHOT
#undef IORING_CQE_F_BUFFER
#undef IORING_CQE_F_MORE
#undef IORING_CQE_F_NOTIF
#define IORING_SETUP_SINGLE_ISSUER (1U << 12)
#define IORING_SETUP_DEFER_TASKRUN (1U << 13)
#define IORING_ACCEPT_MULTISHOT    (1U << 0)
#define IORING_RECV_MULTISHOT      (1U << 1)
#define IORING_CQE_F_BUFFER        (1U << 0)
#define IORING_CQE_F_MORE          (1U << 1)
#define IORING_CQE_F_NOTIF         (1U << 3)
#define IORING_CQE_BUFFER_SHIFT    16
#define IORING_REGISTER_PBUF_RING  22
#define IORING_OP_LINKAT           39
#define IORING_OP_SEND_ZC          47

/* A macro for each, because some of these versions declare some of them. */
#define io_uring_buf                   older_buf
#define io_uring_buf_reg               older_buf_reg
#define io_uring_buf_ring              older_buf_ring
#define io_uring_prep_multishot_accept older_prep_multishot_accept
#define io_uring_prep_recv_multishot   older_prep_recv_multishot
#define io_uring_register_buf_ring     older_register_buf_ring
#define io_uring_buf_ring_init         older_buf_ring_init
#define io_uring_buf_ring_mask         older_buf_ring_mask
#define io_uring_buf_ring_add          older_buf_ring_add
#define io_uring_buf_ring_advance      older_buf_ring_advance
#define io_uring_prep_openat_direct    older_prep_openat_direct
#define io_uring_prep_close_direct     older_prep_close_direct
#define io_uring_prep_send_zc          older_prep_send_zc

struct io_uring_buf {
    uint64_t addr;
    uint32_t len;
    uint16_t bid;
    uint16_t tail; /* only that of the first entry is used: the tail of the ring */
};

struct io_uring_buf_ring {
    struct io_uring_buf bufs[1]; /* as many as were registered */
};

struct io_uring_buf_reg {
    uint64_t ring_addr;
    uint32_t ring_entries;
    uint16_t bgid;
    uint16_t flags;
    uint64_t resv[3];
};

static inline void io_uring_prep_multishot_accept(struct io_uring_sqe *request, int socket,
                                                  struct sockaddr *address, socklen_t *size, int flags)
{
    io_uring_prep_accept(request, socket, address, size, flags);
    request->ioprio |= IORING_ACCEPT_MULTISHOT;
}

static inline void io_uring_prep_recv_multishot(struct io_uring_sqe *request, int socket, void *memory,
                                                size_t size, int flags)
{
    io_uring_prep_recv(request, socket, memory, size, flags);
    request->ioprio |= IORING_RECV_MULTISHOT;
}

static inline int io_uring_register_buf_ring(struct io_uring *ring, struct io_uring_buf_reg *where,
                                             unsigned flags)
{
    (void)flags;
    long result = syscall(__NR_io_uring_register, ring->ring_fd, IORING_REGISTER_PBUF_RING, where, 1);
    return result < 0 ? -errno : 0;
}

static inline void io_uring_buf_ring_init(struct io_uring_buf_ring *buffers)
{
    buffers->bufs[0].tail = 0;
}

static inline int io_uring_buf_ring_mask(unsigned entries)
{
    return (int)entries - 1;
}

static inline void io_uring_buf_ring_add(struct io_uring_buf_ring *buffers, void *memory, unsigned size,
                                         unsigned short number, int mask, int offset)
{
    struct io_uring_buf *entry = buffers->bufs + ((buffers->bufs[0].tail + offset) & mask);
    entry->addr = (uintptr_t)memory;
    entry->len = size;
    entry->bid = number;
}

static inline void io_uring_buf_ring_advance(struct io_uring_buf_ring *buffers, int count)
{
    uint16_t tail = (uint16_t)(buffers->bufs[0].tail + count);
    __atomic_store_n(&buffers->bufs[0].tail, tail, __ATOMIC_RELEASE);
}

/* The field file_index, which older headers have no name for, is at byte 44 of the submission queue entry. */
static inline void older_set_file_index(struct io_uring_sqe *request, unsigned slot)
{
    uint32_t index = slot + 1; /* 0: no direct descriptor */
    memcpy((char *)request + 44, &index, sizeof(index));
}

static inline void io_uring_prep_openat_direct(struct io_uring_sqe *request, int directory, const char *path,
                                               int flags, unsigned mode, unsigned slot)
{
    io_uring_prep_openat(request, directory, path, flags, mode);
    older_set_file_index(request, slot);
}

static inline void io_uring_prep_close_direct(struct io_uring_sqe *request, unsigned slot)
{
    io_uring_prep_close(request, 0);
    older_set_file_index(request, slot);
}

static inline void io_uring_prep_send_zc(struct io_uring_sqe *request, int socket, const void *memory,
                                         size_t size, int flags, unsigned zc_flags)
{
    io_uring_prep_send(request, socket, memory, size, flags);
    request->opcode = IORING_OP_SEND_ZC;
    request->ioprio = (uint16_t)zc_flags;
}

#endif
#endif
