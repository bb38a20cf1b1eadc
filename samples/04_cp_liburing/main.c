/*
 * cp with many requests in flight on one ring.
 *
 * The file is split into blocks. Each block is read and then written by its own requests, and up to DEPTH
 * blocks are in flight at once. They complete in any order: each request states its file offset, and its user
 * data says which block it belongs to. The program never waits for a particular request.
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

#define DEPTH       8
#define BLOCK_BYTES ((size_t)512 * 1024)

struct block {
    off_t offset;     /* in both files */
    size_t filled;    /* bytes read so far */
    size_t written;   /* bytes written so far */
    bool writing;     /* it is being written; otherwise read */
    struct iovec iov; /* of the request in flight, which needs it until it completes */
    char *memory;
};

struct copy {
    struct io_uring ring;
    const char *source_name, *target_name;
    int source, target;
    off_t stated;              /* the size from fstat(); 0 if blocks must be copied one after the other */
    off_t next;                /* offset of the next block */
    bool ended;                /* a read has reached the end of the source */
    struct block *idle[DEPTH]; /* blocks without a request in flight */
    unsigned idle_count;
};

/* liburing and completions report a negative error number; errno is not set. */
static _Noreturn void fail(int error, const char *what)
{
    errno = -error;
    err(EXIT_FAILURE, "%s", what);
}

/* Queues the next request of a block: read or write its rest. */
static void queue(struct copy *copy, struct block *block)
{
    struct io_uring_sqe *request = io_uring_get_sqe(&copy->ring); /* never NULL: an entry for every block */
    size_t done = block->writing ? block->written : block->filled;
    block->iov.iov_base = block->memory + done;
    block->iov.iov_len = (block->writing ? block->filled : BLOCK_BYTES) - done;
    off_t offset = block->offset + (off_t)done;
    if (block->writing)
        io_uring_prep_writev(request, copy->target, &block->iov, 1, offset);
    else
        io_uring_prep_readv(request, copy->source, &block->iov, 1, offset);
    io_uring_sqe_set_data(request, block);
}

/*
 * Starts as many reads as there are idle blocks. Beyond the stated size, one block at a time is read, when
 * nothing else is in flight; nearly always it finds the end. So files in /proc (stated size 0), devices and
 * pipes are copied too, in order, and a file that has grown is copied to its new end.
 */
static void queue_reads(struct copy *copy)
{
    while (!copy->ended && copy->idle_count > 0 && (copy->next < copy->stated || copy->idle_count == DEPTH)) {
        struct block *block = copy->idle[--copy->idle_count];
        block->offset = copy->next;
        block->filled = block->written = 0;
        block->writing = false;
        copy->next += (off_t)BLOCK_BYTES;
        queue(copy, block);
    }
}

/* Takes the result of a block's request, and queues the next one or sets the block idle. */
static void complete(struct copy *copy, struct block *block, int result)
{
    if (result == -EINTR || result == -EAGAIN) {
        queue(copy, block);
        return;
    }
    if (result < 0)
        fail(result, block->writing ? copy->target_name : copy->source_name);

    if (block->writing) {
        if (result == 0)
            fail(-EIO, copy->target_name); /* no progress and no error: do not retry forever */
        block->written += (size_t)result;
    } else {
        block->filled += (size_t)result; /* a short read is not the end; only 0 is */
        copy->ended |= result == 0;
        block->writing = result == 0 || block->filled == BLOCK_BYTES;
    }

    if (block->writing && block->written == block->filled)
        copy->idle[copy->idle_count++] = block;
    else
        queue(copy, block);
}

static void run(struct copy *copy)
{
    while (!copy->ended || copy->idle_count < DEPTH) {
        queue_reads(copy);

        int submitted;
        do {
            submitted = io_uring_submit(&copy->ring);
        } while (submitted == -EINTR || submitted == -EAGAIN);
        if (submitted < 0)
            fail(submitted, "io_uring_submit");

        struct io_uring_cqe *completion;
        int waited = io_uring_wait_cqe(&copy->ring, &completion);
        if (waited == -EINTR || waited == -EAGAIN)
            continue;
        if (waited < 0)
            fail(waited, "io_uring_wait_cqe");

        struct block *block = io_uring_cqe_get_data(completion);
        int result = completion->res;
        io_uring_cqe_seen(&copy->ring, completion); /* the entry may be reused: its values were copied */
        complete(copy, block, result);
    }
}

/* Opens both files. All checks that may refuse the copy come before the target is changed. */
static void open_files(struct copy *copy)
{
    struct stat source, target;
    copy->source = open(copy->source_name, O_RDONLY | O_CLOEXEC);
    if (copy->source < 0 || fstat(copy->source, &source) != 0)
        err(EXIT_FAILURE, "%s", copy->source_name);
    if (S_ISDIR(source.st_mode))
        fail(-EISDIR, copy->source_name);

    /* Not O_TRUNC: it would empty a file that is copied onto itself. */
    copy->target = open(copy->target_name, O_WRONLY | O_CREAT | O_CLOEXEC, source.st_mode & 0777);
    if (copy->target < 0 || fstat(copy->target, &target) != 0)
        err(EXIT_FAILURE, "%s", copy->target_name);
    if (source.st_dev == target.st_dev && source.st_ino == target.st_ino)
        errx(EXIT_FAILURE, "%s: is the same file as %s", copy->target_name, copy->source_name);
    /* Only if it is not empty: after truncation to 0, ext4 flushes the file to the disk at close. */
    if (S_ISREG(target.st_mode) && target.st_size > 0 && ftruncate(copy->target, 0) != 0)
        err(EXIT_FAILURE, "%s", copy->target_name);

    /* Pipes and devices have no offsets: keep the order by one request at a time. */
    copy->stated = S_ISREG(source.st_mode) && S_ISREG(target.st_mode) ? source.st_size : 0;
}

int main(int argc, char *argv[])
{
    if (argc != 3)
        errx(EXIT_FAILURE, "usage: %s SOURCE DESTINATION", argv[0]);

    static char memory[DEPTH][BLOCK_BYTES];
    static struct block blocks[DEPTH];
    struct copy copy = {.source_name = argv[1], .target_name = argv[2]};
    for (int i = 0; i < DEPTH; i++) {
        blocks[i].memory = memory[i];
        copy.idle[copy.idle_count++] = &blocks[i];
    }

    int made = io_uring_queue_init(DEPTH, &copy.ring, 0);
    if (made == -ENOMEM) /* many kernels count the rings of a user as locked memory */
        errx(EXIT_FAILURE, "io_uring_queue_init: too little locked memory: raise RLIMIT_MEMLOCK (ulimit -l)");
    if (made < 0)
        fail(made, "io_uring_queue_init");
    open_files(&copy);
    run(&copy);
    io_uring_queue_exit(&copy.ring);
    close(copy.source);
    /* A full disk or a network file system may report an error only at close(). */
    if (close(copy.target) != 0)
        err(EXIT_FAILURE, "%s", copy.target_name);
    return EXIT_SUCCESS;
}
