/*
 * cat without io_uring: the plain system calls, to compare the others with.
 *
 * readv() reads one stretch of a file into several pieces of memory, each described by a struct iovec. That
 * is the shape in which io_uring's first operations take their memory too, so the next two programs differ
 * from this one only in how the request reaches the kernel.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#define BLOCKS      8
#define BLOCK_BYTES ((size_t)32 * 1024)

static char memory[BLOCKS][BLOCK_BYTES];

/* write() may take less than it was offered: a pipe that is nearly full, a signal. Go on with the rest. */
static void write_all(const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written = write(STDOUT_FILENO, bytes, length);
        if (written < 0 && errno != EINTR)
            err(EXIT_FAILURE, "standard output"); /* the files that follow could not be written either */
        if (written > 0) {
            bytes += written;
            length -= (size_t)written;
        }
    }
}

/*
 * Reads until the kernel says that nothing is left. The size that fstat() tells is of no use here: files in
 * /proc and /sys tell a wrong one, devices and pipes none, and an ordinary file may grow meanwhile.
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
        for (int i = 0; left > 0; i++) { /* the blocks are filled in order, the last one perhaps in part */
            size_t filled = (size_t)left < BLOCK_BYTES ? (size_t)left : BLOCK_BYTES;
            write_all(memory[i], filled);
            left -= (ssize_t)filled;
        }
    }
}

int main(int argc, char *argv[])
{
    if (argc < 2)
        errx(EXIT_FAILURE, "usage: %s FILE...", argv[0]);

    int status = EXIT_SUCCESS;
    for (int i = 1; i < argc; i++) {
        int file = open(argv[i], O_RDONLY | O_CLOEXEC);
        if (file < 0 || !print_file(file)) {
            warn("%s", argv[i]); /* one bad file does not keep the others from being printed */
            status = EXIT_FAILURE;
        }
        if (file >= 0)
            close(file);
    }
    /* A full disk or a broken network file system may tell only now. */
    if (close(STDOUT_FILENO) != 0)
        err(EXIT_FAILURE, "standard output");
    return status;
}
