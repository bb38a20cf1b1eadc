/*
 * cp that keeps the disk and two processors busy.
 *
 * The file is split into parts of half a MiB. Each is read into the memory of a lane and written from there,
 * and LANES of them are in flight at once:
 *
 *     source ---- fill: READ ----> memory of a lane ---- drain: WRITE ----> target
 *
 * cp lets the kernel copy from file to file, which is one copy less. This program is faster nevertheless:
 *
 *   - On most file systems a WRITE may block, so a kernel thread does it while this thread fills the next
 * lane: two processors copy.
 *   - A large WRITE is cheaper than many small ones: page cache is allocated per part, not per page.
 *   - Parts that are not in the page cache are read from the disk into the lane by O_DIRECT: without a copy,
 *     several at once, and without evicting cached data of other programs.
 *
 * Holes are not copied: lseek() finds the data between them. Like cp, it leaves a partial destination after
 * an error; unlike cp, it refuses a directory as destination.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LANES      16
#define LANE_BYTES ((size_t)512 * 1024)
#define HUGE_PAGE  ((size_t)2 * 1024 * 1024)
#define DISK_BLOCK 4096 /* alignment for O_DIRECT: the largest that disks require */

/* A part of the file in flight. */
struct lane {
    off_t offset;   /* of the remaining bytes, in both files */
    size_t length;  /* bytes of the part that are not in the target yet */
    size_t filled;  /* bytes read into the lane */
    size_t drained; /* bytes of these written to the target */
    bool direct;    /* read by O_DIRECT */
    char *memory;
};

struct copy {
    struct io_uring ring;
    const char *source_name, *target_name;
    int source, target;
    int direct;   /* the source opened with O_DIRECT; -1: not used */
    off_t stated; /* the source's size from fstat(); 0 if parts must be copied one after the other */
    off_t next;   /* offset of the next part */
    off_t hole;   /* end of the data at `next` */
    off_t end;    /* end of the source, found by a read; -1: not found yet */
    struct lane *idle[LANES]; /* lanes without a request in flight */
    unsigned idle_count;
};

/* liburing and completions report a negative error number; errno is not set. */
static _Noreturn void fail(int error, const char *what)
{
    errno = -error;
    err(EXIT_FAILURE, "%s", what);
}

/* Queues the next request of a lane: fill it if it is empty, otherwise drain it. */
static void queue(struct copy *copy, struct lane *lane)
{
    struct io_uring_sqe *request = io_uring_get_sqe(&copy->ring); /* never NULL: an entry for every lane */
    if (lane->filled > 0) {
        io_uring_prep_write(request, copy->target, lane->memory + lane->drained,
                            (unsigned)(lane->filled - lane->drained), lane->offset + (off_t)lane->drained);
    } else if (lane->direct) { /* whole blocks; the file may end within the last */
        size_t length = (lane->length + DISK_BLOCK - 1) / DISK_BLOCK * DISK_BLOCK;
        io_uring_prep_read(request, copy->direct, lane->memory, (unsigned)length, lane->offset);
    } else {
        io_uring_prep_read(request, copy->source, lane->memory, (unsigned)lane->length, lane->offset);
    }
    io_uring_sqe_set_data(request, lane);
}

/*
 * Skips a hole at `next`. A file system without support for holes reports everything as data; where lseek()
 * fails (ESPIPE, EINVAL), data is assumed too.
 */
static void skip_hole(struct copy *copy)
{
    if (copy->next < copy->hole || copy->next >= copy->stated)
        return;
    off_t data = lseek(copy->source, copy->next, SEEK_DATA);
    if (data < 0)
        data = errno == ENXIO ? copy->stated : copy->next; /* ENXIO: a hole up to the end */
    copy->next = data < copy->stated ? data : copy->stated;
    off_t hole = lseek(copy->source, copy->next, SEEK_HOLE);
    copy->hole = hole > copy->next && hole < copy->stated ? hole : copy->stated;
}

/*
 * Whether less than half of a part of the source is in the page cache. mincore() reports it for a mapping,
 * which is made only for that and cannot even be read. The kernel reports everything as cached to users who
 * may not write the source; if mincore() fails, cached is assumed.
 */
static bool is_cold(int source, off_t offset, size_t length)
{
    static unsigned char resident[LANE_BYTES / 4096]; /* one per page of 4096 bytes or more */
    size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = (length + page - 1) / page, cached = pages;
    void *mapping = mmap(NULL, length, PROT_NONE, MAP_SHARED, source, offset);
    if (mapping == MAP_FAILED)
        return false;
    if (mincore(mapping, length, resident) == 0) {
        cached = 0;
        for (size_t i = 0; i < pages; i++)
            cached += resident[i] & 1;
    }
    munmap(mapping, length);
    return cached * 2 < pages;
}

/*
 * Fills as many lanes as are idle. Beyond the stated size, one lane at a time is filled, when nothing else is
 * in flight; nearly always it finds the end. So files in /proc (stated size 0), devices and pipes are copied
 * too, in order, and a file that has grown is copied to its new end.
 */
static void fill_lanes(struct copy *copy)
{
    while (copy->end < 0 && copy->idle_count > 0) {
        skip_hole(copy);
        bool known = copy->next < copy->stated;
        if (!known && copy->idle_count < LANES)
            return;
        struct lane *lane = copy->idle[--copy->idle_count];
        lane->offset = copy->next;
        lane->length = LANE_BYTES;
        if (known && copy->hole - copy->next < (off_t)LANE_BYTES)
            lane->length = (size_t)(copy->hole - copy->next);
        copy->next += (off_t)lane->length;
        lane->direct = known && copy->direct >= 0 && lane->offset % DISK_BLOCK == 0 &&
                       is_cold(copy->source, lane->offset, lane->length);
        queue(copy, lane);
    }
}

/* Takes the result of a lane's request, and queues the next one or sets the lane idle. */
static void complete(struct copy *copy, struct lane *lane, int result)
{
    bool filling = lane->filled == 0;
    if (result == -EINTR || result == -EAGAIN) {
        /* retry */
    } else if (result == -EINVAL && filling && lane->direct) { /* O_DIRECT does not work here */
        copy->direct = -1;
        lane->direct = false;
    } else if (result < 0) {
        fail(result, filling ? copy->source_name : copy->target_name);
    } else if (filling && result == 0) {
        if (copy->end < 0 || lane->offset < copy->end)
            copy->end = lane->offset; /* if the file has shrunk, several reads find an end: take the first */
        lane->length = 0;
    } else if (filling) {
        /* A short read is not the end, only 0 is. It may also be longer, up to the end of a disk block. */
        lane->filled = (size_t)result < lane->length ? (size_t)result : lane->length;
    } else if (result == 0) {
        fail(-EIO, copy->target_name); /* no progress and no error: do not retry forever */
    } else {
        lane->drained += (size_t)result;
        if (lane->drained == lane->filled) { /* the lane is empty again; the rest of its part follows */
            lane->offset += (off_t)lane->drained;
            lane->length -= lane->drained;
            lane->filled = lane->drained = 0;
        }
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
            io_uring_cqe_seen(&copy->ring, completion); /* the entry may be reused */
            complete(copy, lane, result);
        }
    }
}

/* Opens the source again with O_DIRECT. If that fails, the copy is only slower. */
static int open_direct(const char *name, const struct stat *source)
{
    struct stat again;
    int file = open(name, O_RDONLY | O_DIRECT | O_CLOEXEC);
    if (file >= 0 &&
        (fstat(file, &again) != 0 || again.st_dev != source->st_dev || again.st_ino != source->st_ino)) {
        close(file); /* the name refers to another file now */
        return -1;
    }
    return file;
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

    /* Not O_TRUNC: it would empty a file that is copied onto itself. O_EXCL: do not create a file through a
     * dangling symbolic link. */
    copy->target = open(copy->target_name, O_WRONLY | O_CLOEXEC);
    if (copy->target < 0 && errno == ENOENT)
        copy->target =
            open(copy->target_name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, source.st_mode & 0777);
    if (copy->target < 0 || fstat(copy->target, &target) != 0)
        err(EXIT_FAILURE, "%s", copy->target_name);
    if (source.st_dev == target.st_dev && source.st_ino == target.st_ino)
        errx(EXIT_FAILURE, "%s: is the same file as %s", copy->target_name, copy->source_name);
    /* Only if it is not empty: after truncation to 0, ext4 flushes the file to the disk at close. */
    if (S_ISREG(target.st_mode) && target.st_size > 0 && ftruncate(copy->target, 0) != 0)
        err(EXIT_FAILURE, "%s", copy->target_name);

    /* Pipes and devices have no offsets: keep the order by one request at a time. */
    copy->stated = S_ISREG(source.st_mode) && S_ISREG(target.st_mode) ? source.st_size : 0;
    copy->direct = copy->stated > 0 ? open_direct(copy->source_name, &source) : -1;
}

/*
 * Sets up the lanes. If the start of the file is not cached, their memory gets huge pages: each is one
 * segment of a disk request, where small pages make a hundred. Without them an uncached copy took 1.6 times
 * as long; a cached one does not benefit.
 */
static void make_lanes(struct copy *copy)
{
    static struct lane lanes[LANES];
    char *memory = aligned_alloc(HUGE_PAGE, LANES * LANE_BYTES);
    if (!memory)
        err(EXIT_FAILURE, "memory");
    size_t first = copy->stated < (off_t)LANE_BYTES ? (size_t)copy->stated : LANE_BYTES;
    if (copy->direct >= 0 && is_cold(copy->source, 0, first))
        madvise(memory, LANES * LANE_BYTES, MADV_HUGEPAGE); /* may fail: some kernels have no huge pages */
    for (int i = 0; i < LANES; i++) {
        lanes[i].memory = memory + (size_t)i * LANE_BYTES;
        copy->idle[copy->idle_count++] = &lanes[i];
    }
}

int main(int argc, char *argv[])
{
    if (argc != 3)
        errx(EXIT_FAILURE, "usage: %s SOURCE DESTINATION", argv[0]);

    struct copy copy = {.source_name = argv[1], .target_name = argv[2], .end = -1};
    int made = io_uring_queue_init(LANES, &copy.ring, 0);
    if (made == -ENOMEM) /* many kernels count the rings of a user as locked memory */
        errx(EXIT_FAILURE, "io_uring_queue_init: too little locked memory: raise RLIMIT_MEMLOCK (ulimit -l)");
    if (made < 0)
        fail(made, "io_uring_queue_init");
    open_files(&copy);
    make_lanes(&copy);
    run(&copy);
    /* Set the size: a hole at the end was not written, and a source that has shrunk must not leave a tail. */
    struct stat target;
    if (fstat(copy.target, &target) != 0 ||
        (S_ISREG(target.st_mode) && target.st_size != copy.end && ftruncate(copy.target, copy.end) != 0))
        err(EXIT_FAILURE, "%s", copy.target_name);
    io_uring_queue_exit(&copy.ring);
    /* A full disk or a network file system may report an error only at close(). */
    if (close(copy.target) != 0)
        err(EXIT_FAILURE, "%s", copy.target_name);
    return EXIT_SUCCESS;
}
