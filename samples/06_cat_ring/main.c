/*
 * cat with several reads in flight and its output in order.
 *
 * Reads may complete in any order: each states its file offset. Writes may not: a pipe has no offsets, only
 * an order. So the blocks of memory form a queue. A block is added at the end when its read starts; only the
 * block at the front is written, by one request at a time, and removed when it is written completely:
 *
 *      front                                end
 *        v                                   v
 *     [writing]  [read]  [reading]  [reading]
 *
 * While the front waits for a full pipe or a slow disk, the blocks behind it continue to be read.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH 4u /* a power of two, so that the block counters may wrap around */

/*
 * Bytes per block. For pipes and /dev/null, blocks that fit into the processor's cache are fastest. For a
 * file, each write allocates page cache, which is cheaper per MiB than per page.
 */
#define BLOCK_BYTES     ((size_t)128 * 1024)
#define MAX_BLOCK_BYTES ((size_t)1024 * 1024)

struct block {
    off_t offset;   /* in the file */
    size_t filled;  /* bytes read so far */
    size_t written; /* bytes written so far */
    bool in_flight; /* a request reads or writes it */
    bool alone;     /* beyond the stated size: no block is behind it */
    bool last;      /* its read has reached the end of the file or failed */
    int error;      /* of the failed read, negative */
    char *memory;
};

struct cat {
    struct io_uring ring;
    struct block blocks[DEPTH];
    unsigned front, end; /* of the queue, in blocks since the start; `% DEPTH` is the index in the array */
    unsigned in_flight;  /* requests not completed yet */
    size_t block_bytes;
    off_t output_offset; /* of each write; -1: the output's file position, or its end with O_APPEND */
};

/* liburing and completions report a negative error number; errno is not set. */
static _Noreturn void fail(int error, const char *what)
{
    errno = -error;
    err(EXIT_FAILURE, "%s", what);
}

/* Transient errors: retry after a signal, or when there is no memory at the moment. */
static bool is_transient(int error)
{
    return error == -EINTR || error == -EAGAIN;
}

/*
 * Whether the block is read completely: it is full, or the last one. A block without others behind it need
 * not be full: whoever reads the output should not have to wait until a pipe has had 128 KiB.
 */
static bool is_read(const struct cat *cat, const struct block *block)
{
    return block->last || block->filled == cat->block_bytes || (block->alone && block->filled > 0);
}

/* Queues the next request of a block: read or write its rest. */
static void queue(struct cat *cat, struct block *block, int file)
{
    struct io_uring_sqe *request = io_uring_get_sqe(&cat->ring); /* never NULL: an entry for every block */
    if (is_read(cat, block))
        io_uring_prep_write(request, STDOUT_FILENO, block->memory + block->written,
                            (unsigned)(block->filled - block->written), cat->output_offset);
    else
        io_uring_prep_read(request, file, block->memory + block->filled,
                           (unsigned)(cat->block_bytes - block->filled),
                           block->offset + (off_t)block->filled);
    io_uring_sqe_set_data(request, block);
    block->in_flight = true;
    cat->in_flight++;
}

/* Takes the result of a block's request. */
static void complete(struct cat *cat, struct block *block, int result, int file)
{
    block->in_flight = false;
    cat->in_flight--;
    size_t moved = result > 0 ? (size_t)result : 0; /* a short read is not the end; only 0 is */
    if (is_read(cat, block)) {
        if (result == 0)
            result = -EIO; /* no progress and no error: do not retry forever */
        if (result < 0 && !is_transient(result))
            fail(result, "standard output"); /* later files could not be written either */
        block->written += moved;
        return;
    }
    block->filled += moved;
    block->last = moved == 0 && !is_transient(result);
    block->error = block->last ? result : 0;
    if (!is_read(cat, block))
        queue(cat, block, file);
}

/* Submits what was queued, waits for a completion, and handles all completions that are there. */
static void take_completions(struct cat *cat, int file)
{
    int submitted = io_uring_submit_and_wait(&cat->ring, 1);
    if (submitted < 0 && !is_transient(submitted))
        fail(submitted, "io_uring_submit_and_wait");
    struct io_uring_cqe *completion;
    while (io_uring_peek_cqe(&cat->ring, &completion) == 0) {
        struct block *block = io_uring_cqe_get_data(completion);
        int result = completion->res;
        io_uring_cqe_seen(&cat->ring, completion); /* the entry may be reused: its values were copied */
        complete(cat, block, result, file);
    }
}

/*
 * Prints a file; returns 0 or a negative error number. The size from fstat() only limits the reading ahead:
 * it is 0 for files in /proc, devices and pipes, too large for files in /sys, and any file may grow or shrink
 * in the meantime. Beyond it, one block at a time is read and written, until the kernel reports the end of
 * the file.
 */
static int print_file(struct cat *cat, int file, off_t stated)
{
    off_t start = lseek(file, 0, SEEK_CUR); /* another program may have read a part of standard input */
    off_t next = start > 0 ? start : 0;
    cat->front = cat->end = 0;
    for (;;) {
        /* Queue the write first: it is often done by a kernel thread, in parallel with the reads. */
        struct block *front = &cat->blocks[cat->front % DEPTH];
        if (cat->end != cat->front && !front->in_flight && is_read(cat, front)) {
            if (front->written < front->filled) {
                queue(cat, front, file);
            } else if (!front->last) {
                cat->front++;
                if (front->alone) /* it need not be full: the next one starts where it ends */
                    next = front->offset + (off_t)front->filled;
                continue;
            } else {
                break;
            }
        }
        for (; cat->end - cat->front < DEPTH && (next < stated || cat->end == cat->front); cat->end++) {
            struct block *block = &cat->blocks[cat->end % DEPTH];
            *block = (struct block){.offset = next, .alone = next >= stated, .memory = block->memory};
            queue(cat, block, file);
            next += (off_t)cat->block_bytes;
        }
        take_completions(cat, file);
    }
    const struct block *last = &cat->blocks[cat->front % DEPTH];
    while (cat->in_flight > 0) /* reads beyond the end; their data is discarded */
        take_completions(cat, file);
    if (start >= 0) /* leave the file position as read() would, for other programs that share it */
        lseek(file, last->offset + (off_t)last->filled, SEEK_SET);
    return last->error;
}

/* Opens and prints one file; returns 0 or a negative error number. */
static int print(struct cat *cat, const char *name, const struct stat *output)
{
    struct stat input;
    int file = strcmp(name, "-") == 0 ? dup(STDIN_FILENO) : open(name, O_RDONLY | O_CLOEXEC);
    int error = file < 0 || fstat(file, &input) != 0 ? -errno : 0;
    if (error == 0) {
        /* A file that is appended to itself would never end; an empty one is harmless. No read fails with
         * EDEADLK, so that stands for this case. */
        bool endless = S_ISREG(input.st_mode) && input.st_size > 0 && input.st_dev == output->st_dev &&
                       input.st_ino == output->st_ino;
        error = endless ? -EDEADLK : print_file(cat, file, S_ISREG(input.st_mode) ? input.st_size : 0);
    }
    if (file >= 0)
        close(file);
    return error;
}

int main(int argc, char *argv[])
{
    if (argc < 2)
        errx(EXIT_FAILURE, "usage: %s FILE...   (-: standard input)", argv[0]);

    struct stat output; /* checked first: if standard output is closed, the ring would get its descriptor */
    if (fstat(STDOUT_FILENO, &output) != 0)
        err(EXIT_FAILURE, "standard output");

    static char memory[DEPTH][MAX_BLOCK_BYTES]; /* pages are allocated only when used */
    static struct cat cat;
    cat.block_bytes = S_ISREG(output.st_mode) ? MAX_BLOCK_BYTES : BLOCK_BYTES;
    /* Pipes, sockets and terminals have no position, and on Linux 5.6 a pipe refuses -1 (EINVAL). */
    cat.output_offset = lseek(STDOUT_FILENO, 0, SEEK_CUR) < 0 ? 0 : -1;
    for (unsigned i = 0; i < DEPTH; i++)
        cat.blocks[i].memory = memory[i];
    int made = io_uring_queue_init(DEPTH, &cat.ring, 0);
    if (made == -ENOMEM) /* many kernels count the rings of a user as locked memory */
        errx(EXIT_FAILURE, "io_uring_queue_init: too little locked memory: raise RLIMIT_MEMLOCK (ulimit -l)");
    if (made < 0)
        fail(made, "io_uring_queue_init");

    int status = EXIT_SUCCESS;
    for (int i = 1; i < argc; i++) {
        int error = print(&cat, argv[i], &output);
        if (error == 0)
            continue;
        status = EXIT_FAILURE;
        warnx("%s: %s", argv[i], error == -EDEADLK ? "input file is output file" : strerror(-error));
    }
    io_uring_queue_exit(&cat.ring);
    /* A full disk or a network file system may report an error only at close(). */
    if (close(STDOUT_FILENO) != 0)
        err(EXIT_FAILURE, "standard output");
    return status;
}
