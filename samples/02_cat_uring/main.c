/*
 * cat on io_uring's system calls without liburing, to show what the library does for its callers.
 *
 * A ring is three pieces of memory that the kernel shares with this process:
 *
 *   the submission queue entries   requests, in an array: "readv from that file into this memory"
 *   the submission ring            indices of the entries to execute; we add at its tail, the kernel removes
 *                                  at its head
 *   the completion ring            results; the kernel adds at its tail, we remove at its head
 *
 * Heads and tails only count up, and wrap around at 2^32; `value & mask` is the index in the ring. Each is
 * written by only one side, so no lock is needed. It is enough that whoever sees a new tail also sees what
 * was stored before it: that is what "release" (on the store) and "acquire" (on the load) guarantee below.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define BLOCKS      8
#define BLOCK_BYTES ((size_t)32 * 1024)

struct ring {
    int fd;
    struct io_uring_sqe *entries; /* of the submission queue */
    _Atomic unsigned *submission_tail;
    unsigned submission_mask;
    unsigned *submission_array;
    _Atomic unsigned *completion_head;
    _Atomic unsigned *completion_tail;
    unsigned completion_mask;
    struct io_uring_cqe *completions;
};

static char memory[BLOCKS][BLOCK_BYTES];

/* The C library has no wrappers for these system calls. */
static int io_uring_setup(unsigned entries, struct io_uring_params *parameters)
{
    return (int)syscall(__NR_io_uring_setup, entries, parameters);
}

static int io_uring_enter(int ring, unsigned submit, unsigned wait_for, unsigned flags)
{
    return (int)syscall(__NR_io_uring_enter, ring, submit, wait_for, flags, NULL, 0);
}

static void *map_ring(int ring, size_t size, off_t what)
{
    void *memory_of_ring = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, what);
    if (memory_of_ring == MAP_FAILED)
        err(EXIT_FAILURE, "mmap of io_uring");
    return memory_of_ring;
}

/* Makes a ring. Its mappings are never unmapped: they are needed until the process ends. */
static struct ring make_ring(void)
{
    struct io_uring_params p; /* in: options, none here; out: sizes, and offsets within the mappings */
    memset(&p, 0, sizeof(p));
    int fd = io_uring_setup(1, &p);
    if (fd < 0 && errno == ENOMEM) /* many kernels count the rings of a user as locked memory */
        errx(EXIT_FAILURE, "io_uring_setup: too little locked memory: raise RLIMIT_MEMLOCK (ulimit -l)");
    if (fd < 0)
        err(EXIT_FAILURE, "io_uring_setup");

    size_t submission_size = p.sq_off.array + p.sq_entries * sizeof(unsigned);
    size_t completion_size = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
    bool single = false;
#ifdef IORING_FEAT_SINGLE_MMAP /* from 5.4 on both rings are in one mapping; older headers lack this */
    single = p.features & IORING_FEAT_SINGLE_MMAP;
#endif
    if (single && completion_size > submission_size)
        submission_size = completion_size;

    char *submission = map_ring(fd, submission_size, IORING_OFF_SQ_RING);
    char *completion = single ? submission : map_ring(fd, completion_size, IORING_OFF_CQ_RING);
    return (struct ring){
        .fd = fd,
        .entries = map_ring(fd, p.sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES),
        .submission_tail = (_Atomic unsigned *)(submission + p.sq_off.tail),
        .submission_mask = *(unsigned *)(submission + p.sq_off.ring_mask),
        .submission_array = (unsigned *)(submission + p.sq_off.array),
        .completion_head = (_Atomic unsigned *)(completion + p.cq_off.head),
        .completion_tail = (_Atomic unsigned *)(completion + p.cq_off.tail),
        .completion_mask = *(unsigned *)(completion + p.cq_off.ring_mask),
        .completions = (struct io_uring_cqe *)(completion + p.cq_off.cqes),
    };
}

/* Adds a readv request at the tail of the submission ring, which has room: there is one request at a time. */
static void queue_readv(struct ring *ring, int file, const struct iovec *blocks, unsigned count, off_t offset)
{
    unsigned tail = atomic_load_explicit(ring->submission_tail, memory_order_relaxed); /* only we write it */
    unsigned index = tail & ring->submission_mask;
    struct io_uring_sqe *entry = &ring->entries[index];
    memset(entry, 0, sizeof(*entry)); /* entries are reused */
    entry->opcode = IORING_OP_READV;
    entry->fd = file;
    entry->addr = (uintptr_t)blocks;
    entry->len = count;
    entry->off = (uint64_t)offset;
    ring->submission_array[index] = index;
    /* Release: the kernel must not see the new tail before it can see the entry. */
    atomic_store_explicit(ring->submission_tail, tail + 1, memory_order_release);
}

/* Submits `submit` requests and waits for one result: the number of bytes read, or a negative error number.
 */
static int submit_and_wait(struct ring *ring, unsigned submit)
{
    unsigned head = atomic_load_explicit(ring->completion_head, memory_order_relaxed); /* only we write it */
    /* Acquire: the completion must not be read before the tail that announces it. */
    while (head == atomic_load_explicit(ring->completion_tail, memory_order_acquire)) {
        int taken = io_uring_enter(ring->fd, submit, 1, IORING_ENTER_GETEVENTS);
        if (taken > 0)
            submit -= (unsigned)taken;
        else if (taken < 0 && errno != EINTR && errno != EAGAIN) /* a signal; no memory for now */
            err(EXIT_FAILURE, "io_uring_enter");
    }
    int result = ring->completions[head & ring->completion_mask].res;
    /* Release: the kernel must not reuse the entry before we have read it. */
    atomic_store_explicit(ring->completion_head, head + 1, memory_order_release);
    return result;
}

/* write() may write less than requested (a nearly full pipe, a signal), so write the rest in a loop. */
static void write_all(const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written = write(STDOUT_FILENO, bytes, length);
        if (written < 0 && errno != EINTR)
            err(EXIT_FAILURE, "standard output"); /* later files could not be written either */
        if (written > 0) {
            bytes += written;
            length -= (size_t)written;
        }
    }
}

/*
 * Reads until the kernel reports the end of the file, like the plain cat. A request states its file offset,
 * because requests in flight have no order and share no file position; pipes and terminals ignore the offset.
 */
static bool print_file(struct ring *ring, int file)
{
    struct iovec blocks[BLOCKS];
    for (int i = 0; i < BLOCKS; i++)
        blocks[i] = (struct iovec){.iov_base = memory[i], .iov_len = BLOCK_BYTES};

    for (off_t offset = 0;;) {
        queue_readv(ring, file, blocks, BLOCKS, offset);
        int left = submit_and_wait(ring, 1);
        if (left == 0)
            return true;
        if (left == -EINTR || left == -EAGAIN)
            continue;
        if (left < 0) {
            errno =
                -left; /* a failed request has its error in the result; errno is set only by system calls */
            return false;
        }
        offset += left;
        for (int i = 0; left > 0; i++) { /* blocks are filled in order; the last may be partly filled */
            size_t filled = (size_t)left < BLOCK_BYTES ? (size_t)left : BLOCK_BYTES;
            write_all(memory[i], filled);
            left -= (int)filled;
        }
    }
}

/* A file that is appended to itself would never end; an empty one is harmless. */
static bool is_output(int file, const struct stat *output)
{
    struct stat input;
    return fstat(file, &input) == 0 && S_ISREG(input.st_mode) && input.st_size > 0 &&
           input.st_dev == output->st_dev && input.st_ino == output->st_ino;
}

int main(int argc, char *argv[])
{
    if (argc < 2)
        errx(EXIT_FAILURE, "usage: %s FILE...", argv[0]);

    struct stat output; /* checked first: if standard output is closed, the ring would get its descriptor */
    if (fstat(STDOUT_FILENO, &output) != 0)
        err(EXIT_FAILURE, "standard output");

    struct ring ring = make_ring();
    int status = EXIT_SUCCESS;
    for (int i = 1; i < argc; i++) {
        int file = open(argv[i], O_RDONLY | O_CLOEXEC);
        if (file >= 0 && is_output(file, &output)) {
            warnx("%s: input file is output file", argv[i]);
            status = EXIT_FAILURE;
        } else if (file < 0 || !print_file(&ring, file)) {
            warn("%s", argv[i]); /* go on with the other files */
            status = EXIT_FAILURE;
        }
        if (file >= 0)
            close(file);
    }
    /* A full disk or a network file system may report an error only at close(). */
    if (close(STDOUT_FILENO) != 0)
        err(EXIT_FAILURE, "standard output");
    return status;
}
