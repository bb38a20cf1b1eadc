/*
 * cksum (POSIX) of several files at once, with registered buffers and direct descriptors.
 *
 * Each request names a file and memory, and each time the kernel has to look the file up in the process's
 * table and count a user more of it, and to find and pin the pages of the memory. Both can be done once:
 *
 *   io_uring_register_files() gives the ring a table of files of its own. OPENAT puts a file into a slot of
 *   it, which is then its direct descriptor: not a number of the process, and only valid in requests with
 *   IOSQE_FIXED_FILE.
 *
 *   io_uring_register_buffers() pins buffers for as long as the ring exists. READ_FIXED names one by its
 *   index, besides the address in it.
 *
 * The files share LANES lanes. A lane is a slot of the table and the buffer of the same index, and has one
 * request in flight: OPENAT, then READ_FIXED until the end of the file, then CLOSE. The next file follows.
 * One file is read in order, as its checksum needs it; 04 shows how parts of one are read at once.
 */
#define _GNU_SOURCE
#include "../11_echo_multishot/older.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <liburing.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#define LANES        8
#define BUFFER_BYTES ((size_t)128 * 1024)

struct file {
    const char *name;
    bool done;
    int error; /* negative, or 0 */
    uint32_t sum;
    uint64_t size;
};

struct lane {
    enum { OPENING, READING, CLOSING } state; /* the request in flight */
    struct file *file;
};

static struct io_uring ring;
static struct lane lanes[LANES];
static char buffers[LANES][BUFFER_BYTES];
static struct file *files; /* in the order of the arguments */
static size_t file_count, started, printed;
static uint32_t table[256]; /* of the checksum: its value for each byte */
static int status = EXIT_SUCCESS;

static _Noreturn void fail(int error, const char *what)
{
    errno = -error;
    err(EXIT_FAILURE, "%s", what);
}

/* ---- the checksum: a CRC of the content, then of its length, from the least significant byte on ---- */

static void make_table(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        table[byte] = byte << 24;
        for (int bit = 0; bit < 8; bit++)
            table[byte] = table[byte] << 1 ^ (table[byte] & 0x80000000 ? 0x04C11DB7 : 0);
    }
}

static uint32_t add(uint32_t sum, unsigned char byte)
{
    return sum << 8 ^ table[sum >> 24 ^ byte];
}

static uint32_t finish(uint32_t sum, uint64_t size)
{
    for (; size > 0; size >>= 8)
        sum = add(sum, size & 0xFF);
    return ~sum;
}

/* ---- the lanes ---- */

/* Queues the request for the state of a lane. */
static void queue(struct lane *lane)
{
    unsigned slot = (unsigned)(lane - lanes);               /* and the index of the buffer */
    struct io_uring_sqe *request = io_uring_get_sqe(&ring); /* never NULL: an entry for every lane */
    switch (lane->state) {
    case OPENING: /* without O_CLOEXEC, which is for descriptors of the process */
        io_uring_prep_openat_direct(request, AT_FDCWD, lane->file->name, O_RDONLY, 0, slot);
        break;
    case READING:
        io_uring_prep_read_fixed(request, (int)slot, buffers[slot], BUFFER_BYTES, lane->file->size,
                                 (int)slot);
        request->flags |= IOSQE_FIXED_FILE;
        break;
    case CLOSING:
        io_uring_prep_close_direct(request, slot);
    }
    io_uring_sqe_set_data(request, lane);
}

/* Prints the results that are there, in the order of the arguments. */
static void print(void)
{
    for (; printed < file_count && files[printed].done; printed++) {
        const struct file *file = &files[printed];
        if (file->error == 0) {
            printf("%" PRIu32 " %" PRIu64 " %s\n", finish(file->sum, file->size), file->size, file->name);
            continue;
        }
        fflush(stdout);
        warnx("%s: %s", file->name, strerror(-file->error));
        status = EXIT_FAILURE;
    }
}

/* Starts the next file in a lane, if there is one. */
static bool start(struct lane *lane)
{
    if (started == file_count)
        return false;
    *lane = (struct lane){.state = OPENING, .file = &files[started++]};
    queue(lane);
    return true;
}

/* Takes the result of a lane's request, and queues the next one. Returns whether there is any. */
static bool complete(struct lane *lane, int result)
{
    struct file *file = lane->file;
    const char *buffer = buffers[lane - lanes];
    if (lane->state == CLOSING) {
        file->done = true;
        print();
        return start(lane);
    }
    if (result == -EINTR || result == -EAGAIN) {
        /* retry */
    } else if (lane->state == OPENING) { /* a direct descriptor is reported as 0 */
        file->error = result;
        file->done = result < 0;
        lane->state = READING;
    } else if (result > 0) {
        for (int i = 0; i < result; i++)
            file->sum = add(file->sum, (unsigned char)buffer[i]);
        file->size += (unsigned)result;
    } else { /* the end of the file, or an error */
        file->error = result;
        lane->state = CLOSING;
    }
    if (file->done) {
        print();
        return start(lane); /* there is nothing to close */
    }
    queue(lane);
    return true;
}

static void run(void)
{
    unsigned in_flight = 0;
    for (int i = 0; i < LANES; i++)
        in_flight += start(&lanes[i]);
    while (in_flight > 0) {
        int submitted = io_uring_submit_and_wait(&ring, 1);
        if (submitted < 0 && submitted != -EINTR && submitted != -EAGAIN)
            fail(submitted, "io_uring_submit_and_wait");
        struct io_uring_cqe *completion;
        while (io_uring_peek_cqe(&ring, &completion) == 0) {
            struct lane *lane = io_uring_cqe_get_data(completion);
            int result = completion->res;
            io_uring_cqe_seen(&ring, completion); /* the entry may be reused: its values were copied */
            in_flight -= !complete(lane, result);
        }
    }
}

/* Makes the ring, its table of files, with free slots only, and its buffers. */
static void make_ring(void)
{
    int error = io_uring_queue_init(LANES, &ring, 0);
    if (error < 0)
        fail(error,
             error == -ENOMEM ? "io_uring: more locked memory is needed: ulimit -l" : "io_uring_queue_init");
    /* An older kernel would take no notice of the slot. No flag tells; LINKAT came with the same release. */
    static union {
        struct io_uring_probe probe;
        char room[sizeof(struct io_uring_probe) + 256 * sizeof(struct io_uring_probe_op)];
    } answer;
    if (io_uring_register_probe(&ring, &answer.probe, 256) != 0 ||
        !io_uring_opcode_supported(&answer.probe, IORING_OP_LINKAT))
        errx(EXIT_FAILURE, "io_uring: OPENAT has no direct descriptors here: Linux 5.15 is needed");

    int slots[LANES];
    struct iovec memory[LANES];
    for (int i = 0; i < LANES; i++) {
        slots[i] = -1;
        memory[i] = (struct iovec){.iov_base = buffers[i], .iov_len = BUFFER_BYTES};
    }
    error = io_uring_register_files(&ring, slots, LANES);
    if (error < 0)
        fail(error, "io_uring_register_files");
    error = io_uring_register_buffers(&ring, memory, LANES);
    if (error == -ENOMEM)
        errx(EXIT_FAILURE, "io_uring_register_buffers: 1 MiB of locked memory is needed: ulimit -l");
    if (error < 0)
        fail(error, "io_uring_register_buffers");
}

int main(int argc, char *argv[])
{
    if (argc < 2)
        errx(EXIT_FAILURE, "usage: %s FILE...", argv[0]);
    make_table();
    make_ring();
    file_count = (size_t)argc - 1;
    files = calloc(file_count, sizeof(*files));
    if (!files)
        err(EXIT_FAILURE, "memory");
    for (size_t i = 0; i < file_count; i++)
        files[i].name = argv[i + 1];
    run();
    io_uring_queue_exit(&ring); /* also frees the table and unpins the buffers */
    free(files);
    /* A full disk may report an error only when the output is flushed. */
    if (fclose(stdout) != 0)
        err(EXIT_FAILURE, "standard output");
    return status;
}
