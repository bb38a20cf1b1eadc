/*
 * cat without io_uring: plain system calls, to compare the other programs with.
 *
 * readv() reads a contiguous part of a file into several buffers, each described by a struct iovec.
 * io_uring's first operations take their buffers in the same form, so the next two programs differ from this
 * one only in how the request reaches the kernel.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define BLOCKS      8
#define BLOCK_BYTES ((size_t)32 * 1024)

static char memory[BLOCKS][BLOCK_BYTES];

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
 * Reads until the kernel reports the end of the file. The size from fstat() is of no use here: it is wrong
 * for files in /proc and /sys, 0 for devices and pipes, and a regular file may grow in the meantime.
 */
static bool print_file(int file)
{
    struct iovec blocks[BLOCKS];
    for (int i = 0; i < BLOCKS; i++)
        blocks[i] = (struct iovec){.iov_base = memory[i], .iov_len = BLOCK_BYTES};

    for (;;) {
        ssize_t left = readv(file, blocks, BLOCKS);
        if (left == 0)
            return true;
        if (left < 0) {
            if (errno == EINTR)
                continue;
            return false;
        }
        for (int i = 0; left > 0; i++) { /* blocks are filled in order; the last may be partly filled */
            size_t filled = (size_t)left < BLOCK_BYTES ? (size_t)left : BLOCK_BYTES;
            write_all(memory[i], filled);
            left -= (ssize_t)filled;
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

    struct stat output; /* checked first: if standard output is closed, a file would get its descriptor */
    if (fstat(STDOUT_FILENO, &output) != 0)
        err(EXIT_FAILURE, "standard output");

    int status = EXIT_SUCCESS;
    for (int i = 1; i < argc; i++) {
        int file = open(argv[i], O_RDONLY | O_CLOEXEC);
        if (file >= 0 && is_output(file, &output)) {
            warnx("%s: input file is output file", argv[i]);
            status = EXIT_FAILURE;
        } else if (file < 0 || !print_file(file)) {
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
