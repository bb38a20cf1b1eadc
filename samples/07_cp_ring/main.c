/*
 * cp whose bytes never enter the program.
 *
 * A splice moves what a file holds into a pipe by reference, and what a pipe holds into a file by one copy:
 * half of what read and write take. So each part of the file goes through a lane, which is a pipe, and LANES
 * of them are in flight at once: with a cold cache the disk has several reads to work on, with a warm one the
 * kernel's worker threads use more than one processor.
 *
 *     source ---- fill: splice ----> pipe of a lane ---- drain: splice ----> target
 *
 * Not everything can be spliced: kernels before 5.7 have no such request, and some file systems and devices
 * refuse it. Then the lane is a piece of memory in place of a pipe, filled by a read and drained by a write.
 *
 * Holes are not copied: lseek() tells where the data is. Like cp, it leaves behind what it wrote before an
 * error; unlike cp, it refuses a folder as destination.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef SPLICE_F_FD_IN_FIXED /* liburing before 0.6: take an operation that no kernel has, and be refused */
#define io_uring_prep_splice(request, in, in_offset, out, offset, length, flags)                             \
    io_uring_prep_rw(UCHAR_MAX, request, out, NULL, length, flags)
#endif

#define LANES      8
#define LANE_BYTES ((size_t)256 * 1024)

/* A part of the file on its way. */
struct lane {
    off_t offset;   /* where what follows belongs, in both files */
    size_t length;  /* bytes of the part that are not in the target yet */
    size_t filled;  /* bytes that were put into the lane */
    size_t drained; /* of which so many are in the target */
    bool splices;   /* through the pipe; else through the memory */
    int pipe[2];
    char *memory;
};

struct copy {
    struct io_uring ring;
    const char *source_name, *target_name;
    int source, target;
    bool splices; /* until a request is refused; only from an ordinary file to another */
    off_t stated; /* the source's size by fstat(); 0 where the parts have to go one after the other */
    off_t next;   /* where the next part begins */
    off_t hole;   /* where the data at `next` ends */
    off_t end;    /* where a read has found the end of the source; -1: not yet */
    struct lane *idle[LANES]; /* lanes without a request in flight */
    unsigned idle_count;
};

/* liburing and completions tell an error as a negative number and leave errno alone. */
static _Noreturn void fail(int error, const char *what)
{
    errno = -error;
    err(EXIT_FAILURE, "%s", what);
}

/* Describes the next request of a lane: an empty one is to be filled, any other drained. */
static void queue(struct copy *copy, struct lane *lane)
{
    struct io_uring_sqe *request = io_uring_get_sqe(&copy->ring); /* never NULL: an entry for every lane */
    const unsigned splice_flags = 0;
    if (lane->filled == 0) {
        unsigned length = (unsigned)lane->length;
        if (lane->splices)
            io_uring_prep_splice(request, copy->source, lane->offset, lane->pipe[1], -1, length,
                                 splice_flags);
        else
            io_uring_prep_read(request, copy->source, lane->memory, length, lane->offset);
    } else {
        unsigned length = (unsigned)(lane->filled - lane->drained);
        off_t offset = lane->offset + (off_t)lane->drained;
        if (lane->splices)
            io_uring_prep_splice(request, lane->pipe[0], -1, copy->target, offset, length, splice_flags);
        else
            io_uring_prep_write(request, copy->target, lane->memory + lane->drained, length, offset);
    }
    io_uring_sqe_set_data(request, lane);
}

/*
 * Steps over a hole, if there is one at `next`. A file system that knows nothing of holes calls everything
 * data; what cannot be asked (ESPIPE, EINVAL) is taken for data too.
 */
static void skip_hole(struct copy *copy)
{
    if (copy->next < copy->hole || copy->next >= copy->stated)
        return;
    off_t data = lseek(copy->source, copy->next, SEEK_DATA);
    if (data < 0)
        data = errno == ENXIO ? copy->stated : copy->next; /* ENXIO: nothing but a hole up to the end */
    copy->next = data < copy->stated ? data : copy->stated;
    off_t hole = lseek(copy->source, copy->next, SEEK_HOLE);
    copy->hole = hole > copy->next && hole < copy->stated ? hole : copy->stated;
}

/*
 * Fills as many lanes as are idle. Past the stated size a single lane feels its way, by read, when nothing
 * else is in flight: it nearly always finds the end. So files in /proc, which state 0, devices and pipes are
 * copied too, in order, and one that has grown is copied to its new end.
 */
static void fill_lanes(struct copy *copy)
{
    while (copy->end < 0 && copy->idle_count > 0) {
        skip_hole(copy);
        bool known = copy->next < copy->stated;
        if (!known && copy->idle_count < LANES)
            return;
        struct lane *lane = copy->idle[--copy->idle_count];
        lane->splices = copy->splices && known;
        lane->offset = copy->next;
        lane->length = LANE_BYTES;
        if (known && copy->hole - copy->next < (off_t)LANE_BYTES)
            lane->length = (size_t)(copy->hole - copy->next);
        copy->next += (off_t)lane->length;
        queue(copy, lane);
    }
}

/* Makes a lane empty again: what was drained is done with, and the rest of its part is still to come. */
static void empty(struct lane *lane)
{
    lane->offset += (off_t)lane->drained;
    lane->length -= lane->drained;
    lane->filled = lane->drained = 0;
}

/* Takes the result of a lane's request, and queues the next one or sets the lane idle. */
static void complete(struct copy *copy, struct lane *lane, int result)
{
    bool filling = lane->filled == 0;
    if (result == -EINTR || result == -EAGAIN) {
        /* once again */
    } else if (result == -EINVAL && lane->splices) { /* the pipe may hold something now: no more of it */
        copy->splices = lane->splices = false;
        empty(lane);
    } else if (result < 0) {
        fail(result, filling ? copy->source_name : copy->target_name);
    } else if (filling && result == 0) {
        if (copy->end < 0 || lane->offset < copy->end)
            copy->end = lane->offset; /* one that has shrunk ends where the first of several reads says */
        lane->length = 0;
    } else if (filling) {
        lane->filled = (size_t)result; /* perhaps less than was asked for: that is no end, only 0 is */
    } else if (result == 0) {
        fail(-EIO, copy->target_name); /* no progress and no reason: do not try for ever */
    } else {
        lane->drained += (size_t)result;
        if (lane->drained == lane->filled)
            empty(lane);
    }

    if (lane->length == 0)
        copy->idle[copy->idle_count++] = lane;
    else
        queue(copy, lane);
}

static void run(struct copy *copy)
{
    while (copy->end < 0 || copy->idle_count < LANES) {
        fill_lanes(copy);
        int submitted = io_uring_submit_and_wait(&copy->ring, 1);
        if (submitted < 0 && submitted != -EINTR && submitted != -EAGAIN)
            fail(submitted, "io_uring_submit_and_wait");
        struct io_uring_cqe *completion;
        while (io_uring_peek_cqe(&copy->ring, &completion) == 0) {
            struct lane *lane = io_uring_cqe_get_data(completion);
            int result = completion->res;
            io_uring_cqe_seen(&copy->ring,
                              completion); /* its place may be used again: we have what we need */
            complete(copy, lane, result);
        }
    }
}

/* Opens both files. Everything that can be refused is refused before the target is touched. */
static void open_files(struct copy *copy)
{
    struct stat source, target;
    copy->source = open(copy->source_name, O_RDONLY | O_CLOEXEC);
    if (copy->source < 0 || fstat(copy->source, &source) != 0)
        err(EXIT_FAILURE, "%s", copy->source_name);
    if (S_ISDIR(source.st_mode))
        fail(-EISDIR, copy->source_name);

    /* Not O_TRUNC: it would empty a file that is to be copied onto itself. O_EXCL: a new file, and not one
     * that a dangling symbolic link points to. */
    copy->target = open(copy->target_name, O_WRONLY | O_CLOEXEC);
    if (copy->target < 0 && errno == ENOENT)
        copy->target =
            open(copy->target_name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, source.st_mode & 0777);
    if (copy->target < 0 || fstat(copy->target, &target) != 0)
        err(EXIT_FAILURE, "%s", copy->target_name);
    if (source.st_dev == target.st_dev && source.st_ino == target.st_ino)
        errx(EXIT_FAILURE, "%s: is the same file as %s", copy->target_name, copy->source_name);
    if (S_ISREG(target.st_mode) && ftruncate(copy->target, 0) != 0)
        err(EXIT_FAILURE, "%s", copy->target_name);

    /* Pipes and devices have no offsets: one request at a time keeps the order. */
    copy->splices = S_ISREG(source.st_mode) && S_ISREG(target.st_mode);
    copy->stated = copy->splices ? source.st_size : 0;
}

/* Gives each lane its two ways. The pipes are as large as allowed; a smaller one is filled in part. */
static void make_lanes(struct copy *copy)
{
    static char memory[LANES][LANE_BYTES]; /* costs nothing until it is used */
    static struct lane lanes[LANES];
    for (int i = 0; i < LANES; i++) {
        lanes[i].memory = memory[i];
        if (copy->splices && pipe2(lanes[i].pipe, O_CLOEXEC) != 0)
            err(EXIT_FAILURE, "pipe");
        if (copy->splices)
            fcntl(lanes[i].pipe[1], F_SETPIPE_SZ, (int)LANE_BYTES);
        copy->idle[copy->idle_count++] = &lanes[i];
    }
}

int main(int argc, char *argv[])
{
    if (argc != 3)
        errx(EXIT_FAILURE, "usage: %s SOURCE DESTINATION", argv[0]);

    struct copy copy = {.source_name = argv[1], .target_name = argv[2], .end = -1};
    int made = io_uring_queue_init(LANES, &copy.ring, 0);
    if (made < 0)
        fail(made, "io_uring_queue_init");
    open_files(&copy);
    make_lanes(&copy);
    run(&copy);
    /* A hole at the end was not written, and neither may anything be left of a source that has shrunk. */
    struct stat target;
    if (fstat(copy.target, &target) != 0 ||
        (S_ISREG(target.st_mode) && target.st_size != copy.end && ftruncate(copy.target, copy.end) != 0))
        err(EXIT_FAILURE, "%s", copy.target_name);
    io_uring_queue_exit(&copy.ring);
    /* A full disk or a broken network file system may tell only now. */
    if (close(copy.target) != 0)
        err(EXIT_FAILURE, "%s", copy.target_name);
    return EXIT_SUCCESS;
}
