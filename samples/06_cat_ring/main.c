/*
 * cat with several reads in flight, whose output is nevertheless in order.
 *
 * Reads may overtake one another: each says where in the file it belongs. Writes may not: a pipe has no
 * places, only an order. So the blocks of memory form a queue. Reads join it at its end and complete whenever
 * they like; the block at its front alone is written, by one request at a time, and leaves when all of it is:
 *
 *      front                                end
 *        v                                   v
 *     [writing]  [read]  [reading]  [reading]
 *
 * While a full pipe or a slow disk holds the front up, those behind it go on reading.
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

#define DEPTH 4u /* a power of two, so that the count of blocks may wrap round */

/*
 * Bytes that a block takes. What reads from a pipe, or nobody, is served best out of the processor's cache.
 * For a file memory is set aside with each write, which costs less by the MiB than by the page.
 */
#define BLOCK_BYTES     ((size_t)128 * 1024)
#define MAX_BLOCK_BYTES ((size_t)1024 * 1024)

struct block {
    off_t offset;   /* in the file */
    size_t filled;  /* bytes read so far */
    size_t written; /* bytes written so far */
    bool in_flight; /* a request of its reads or writes it */
    bool last;      /* a read has found the end of the file, or an error */
    int error;      /* which one, below 0 */
    char *memory;
};

struct cat {
    struct io_uring ring;
    struct block blocks[DEPTH];
    unsigned front, end; /* of the queue, in blocks since the start; `% DEPTH` is the place in the array */
    unsigned in_flight;  /* requests that the kernel has */
    size_t block_bytes;  /* what a block takes */
};

/* liburing and completions tell an error as a negative number and leave errno alone. */
static _Noreturn void fail(int error, const char *what)
{
    errno = -error;
    err(EXIT_FAILURE, "%s", what);
}

/* Errors that say no more than "once again": a signal, no memory for the moment. */
static bool passing(int error)
{
    return error == -EINTR || error == -EAGAIN;
}

/* Whether everything has been read that belongs in the block: it is full, or the last one. */
static bool is_read(const struct cat *cat, const struct block *block)
{
    return block->last || block->filled == cat->block_bytes;
}

/* Describes the next request of a block: what is missing of its reading, or of its writing. */
static void queue(struct cat *cat, struct block *block, int file)
{
    struct io_uring_sqe *request = io_uring_get_sqe(&cat->ring); /* never NULL: an entry for every block */
    if (is_read(cat, block)) /* -1: at the output's own position, or at its end if it was opened for that */
        io_uring_prep_write(request, STDOUT_FILENO, block->memory + block->written,
                            (unsigned)(block->filled - block->written), -1);
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
    size_t moved = result > 0 ? (size_t)result : 0; /* fewer bytes than asked for are no end: only 0 is */
    if (is_read(cat, block)) {
        if (result == 0)
            result = -EIO; /* no progress and no reason: do not try for ever */
        if (result < 0 && !passing(result))
            fail(result, "standard output"); /* the files that follow could not be written either */
        block->written += moved;
        return;
    }
    block->filled += moved;
    block->last = moved == 0 && !passing(result);
    block->error = block->last ? result : 0;
    if (!is_read(cat, block))
        queue(cat, block, file);
}

/* Submits what was queued, waits for a completion, and takes all that there are by then. */
static void take_completions(struct cat *cat, int file)
{
    int submitted = io_uring_submit_and_wait(&cat->ring, 1);
    if (submitted < 0 && !passing(submitted))
        fail(submitted, "io_uring_submit_and_wait");
    struct io_uring_cqe *completion;
    while (io_uring_peek_cqe(&cat->ring, &completion) == 0) {
        struct block *block = io_uring_cqe_get_data(completion);
        int result = completion->res;
        io_uring_cqe_seen(&cat->ring, completion); /* its place may be used again: we have what we need */
        complete(cat, block, result, file);
    }
}

/*
 * Prints a file; returns 0, or below 0 the error that ended it. The size that fstat() tells says only how far
 * to read ahead: files in /proc state 0, files in /sys too much, devices and pipes none, and any file may
 * grow or shrink meanwhile. Past it a single block feels its way, until the kernel says that nothing is left.
 */
static int print_file(struct cat *cat, int file, off_t stated)
{
    off_t start = lseek(file, 0, SEEK_CUR); /* of standard input, others may have read a part */
    off_t next = start > 0 ? start : 0;
    cat->front = cat->end = 0;
    for (;;) {
        /* The write first: often a thread of the kernel's does it, and what is read goes on meanwhile. */
        struct block *front = &cat->blocks[cat->front % DEPTH];
        if (cat->end != cat->front && !front->in_flight && is_read(cat, front)) {
            if (front->written < front->filled) {
                queue(cat, front, file);
            } else if (!front->last) {
                cat->front++;
                continue;
            } else {
                break;
            }
        }
        for (; cat->end - cat->front < DEPTH && (next < stated || cat->end == cat->front); cat->end++) {
            struct block *block = &cat->blocks[cat->end % DEPTH];
            *block = (struct block){.offset = next, .memory = block->memory};
            queue(cat, block, file);
            next += (off_t)cat->block_bytes;
        }
        take_completions(cat, file);
    }
    const struct block *last = &cat->blocks[cat->front % DEPTH];
    while (cat->in_flight > 0) /* reads past the end; what they may have found is not ours to print */
        take_completions(cat, file);
    if (start >= 0) /* as read() would leave it, for whoever reads on */
        lseek(file, last->offset + (off_t)last->filled, SEEK_SET);
    return last->error;
}

/* Opens and prints one file; returns 0, or below 0 what was wrong with it. */
static int print(struct cat *cat, const char *name, const struct stat *output)
{
    struct stat input;
    int file = strcmp(name, "-") == 0 ? dup(STDIN_FILENO) : open(name, O_RDONLY | O_CLOEXEC);
    int error = file < 0 || fstat(file, &input) != 0 ? -errno : 0;
    if (error == 0) {
        /* A file that is printed at its own end would never come to it; an empty one does no harm. No read
         * fails with EDEADLK, so it may stand for this. */
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

    struct stat output; /* asked for first: if it is closed, the ring would get its number */
    if (fstat(STDOUT_FILENO, &output) != 0)
        err(EXIT_FAILURE, "standard output");

    static char memory[DEPTH][MAX_BLOCK_BYTES]; /* costs nothing until it is used */
    static struct cat cat;
    cat.block_bytes = S_ISREG(output.st_mode) ? MAX_BLOCK_BYTES : BLOCK_BYTES;
    for (unsigned i = 0; i < DEPTH; i++)
        cat.blocks[i].memory = memory[i];
    int made = io_uring_queue_init(DEPTH, &cat.ring, 0);
    if (made < 0)
        fail(made, "io_uring_queue_init");

    int status = EXIT_SUCCESS;
    for (int i = 1; i < argc; i++) {
        int error = print(&cat, argv[i], &output);
        if (error == 0)
            continue; /* one bad file does not keep the others from being printed */
        status = EXIT_FAILURE;
        warnx("%s: %s", argv[i], error == -EDEADLK ? "input file is output file" : strerror(-error));
    }
    io_uring_queue_exit(&cat.ring);
    /* A full disk or a broken network file system may tell only now. */
    if (close(STDOUT_FILENO) != 0)
        err(EXIT_FAILURE, "standard output");
    return status;
}
