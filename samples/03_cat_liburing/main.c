/*
 * cat on liburing: like 02_cat_uring, but the library takes care of the rings, their mappings and the memory
 * order. Every program on liburing consists of these steps:
 *
 *   io_uring_queue_init()                        make a ring
 *   io_uring_get_sqe(), io_uring_prep_readv()    take an entry of the submission queue, describe a request
 *   io_uring_submit()                            submit the described requests to the kernel
 *   io_uring_wait_cqe()                          wait for a completion
 *   io_uring_cqe_seen()                          release the completion queue entry
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define BLOCKS      8
#define BLOCK_BYTES ((size_t)32 * 1024)

static char memory[BLOCKS][BLOCK_BYTES];

/* liburing returns a negative error number and does not set errno. */
static _Noreturn void fail(int error, const char *what)
{
    errno = -error;
    err(EXIT_FAILURE, "%s", what);
}

/* Does readv() by a request on the ring; returns its result, or a negative error number. */
static int read_blocks(struct io_uring *ring, int file, const struct iovec *blocks, off_t offset)
{
    struct io_uring_sqe *request = io_uring_get_sqe(ring); /* never NULL: one request at a time */
    io_uring_prep_readv(request, file, blocks, BLOCKS, offset);

    int submitted;
    do {
        submitted = io_uring_submit(ring);
    } while (submitted == -EINTR || submitted == -EAGAIN);
    if (submitted < 0)
        fail(submitted, "io_uring_submit");

    struct io_uring_cqe *completion;
    int waited;
    do {
        waited = io_uring_wait_cqe(ring, &completion);
    } while (waited == -EINTR || waited == -EAGAIN);
    if (waited < 0)
        fail(waited, "io_uring_wait_cqe");

    int result = completion->res;
    io_uring_cqe_seen(ring, completion); /* from here on the kernel may reuse the entry */
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

/* Reads until the kernel reports the end of the file: the size from fstat() cannot be relied on. */
static bool print_file(struct io_uring *ring, int file)
{
    struct iovec blocks[BLOCKS];
    for (int i = 0; i < BLOCKS; i++)
        blocks[i] = (struct iovec){.iov_base = memory[i], .iov_len = BLOCK_BYTES};

    for (off_t offset = 0;;) {
        int left = read_blocks(ring, file, blocks, offset);
        if (left == 0)
            return true;
        if (left == -EINTR || left == -EAGAIN)
            continue;
        if (left < 0) {
            errno = -left;
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

    struct io_uring ring;
    int made = io_uring_queue_init(1, &ring, 0);
    if (made == -ENOMEM) /* many kernels count the rings of a user as locked memory */
        errx(EXIT_FAILURE, "io_uring_queue_init: too little locked memory: raise RLIMIT_MEMLOCK (ulimit -l)");
    if (made < 0)
        fail(made, "io_uring_queue_init");

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
    io_uring_queue_exit(&ring);
    /* A full disk or a network file system may report an error only at close(). */
    if (close(STDOUT_FILENO) != 0)
        err(EXIT_FAILURE, "standard output");
    return status;
}
