#define _GNU_SOURCE
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#ifndef RESOLVE_BENEATH /* headers older than liburing's struct open_how: the values of openat2(2) */
#define RESOLVE_NO_MAGICLINKS 0x02
#define RESOLVE_BENEATH       0x08
#endif

#define MAX_FILES (MAX_CONNECTIONS + 64) /* a connection uses one at most: some are always left */
#define BUCKETS   512

static struct file files[MAX_FILES];
static struct file *buckets[BUCKETS], *unused;
static off_t cached_bytes;
static int root;

void files_init(int directory)
{
    root = directory;
    for (size_t i = 0; i < MAX_FILES; i++) {
        files[i].next = unused;
        unused = &files[i];
    }
}

static struct file **bucket_of(const char *path)
{
    uint32_t hash = 2166136261; /* FNV-1a */
    for (; *path; path++)
        hash = (hash ^ (unsigned char)*path) * 16777619;
    return &buckets[hash % BUCKETS];
}

/* No further request will get this file. */
static void remove_from_bucket(struct file *file)
{
    if (!file->is_listed)
        return;
    struct file **link = bucket_of(file->path);
    while (*link != file)
        link = &(*link)->next;
    *link = file->next;
    file->is_listed = false;
}

static void drop_content(struct file *file)
{
    if (file->content)
        cached_bytes -= file->document.size;
    free(file->content);
    file->content = NULL;
}

static void discard_unless_needed(struct file *file)
{
    if (file->users > 0 || file->is_listed)
        return;
    if (file->descriptor >= 0)
        ops->close_file(file->descriptor);
    drop_content(file);
    file->next = unused;
    unused = file;
}

void files_release(struct file *file)
{
    file->users--;
    discard_unless_needed(file);
}

void files_expire(long long now)
{
    for (size_t i = 0; i < MAX_FILES; i++)
        if (files[i].is_listed && now - files[i].opened >= FRESH_MS) {
            remove_from_bucket(&files[i]);
            discard_unless_needed(&files[i]);
        }
}

/* The list of unused structs is empty: takes one from a file that no connection uses. */
static void make_room(void)
{
    for (size_t i = 0; i < MAX_FILES && !unused; i++)
        if (files[i].is_listed && files[i].users == 0) {
            remove_from_bucket(&files[i]);
            discard_unless_needed(&files[i]);
        }
}

struct file *files_take(const char *path, long long now)
{
    struct file **bucket = bucket_of(path), *file = *bucket;
    while (file && strcmp(file->path, path) != 0)
        file = file->next;
    if (file && (!file->is_ready || now - file->opened < FRESH_MS)) {
        file->users++;
        return file;
    }
    if (file) {
        remove_from_bucket(file);
        discard_unless_needed(file);
    }
    if (!unused)
        make_room();
    if (!unused)
        return NULL;
    file = unused;
    unused = file->next;
    file->document = (struct document){.path = file->path};
    file->error = 0;
    file->descriptor = -1;
    file->is_ready = false;
    file->users = 2; /* the caller, and the request below */
    file->opened = now;
    file->content = NULL;
    file->loaded = 0;
    file->waiting = NULL;
    strcpy(file->path, path); /* both are of HTTP_MAX_PATH bytes */
    file->is_listed = true;
    file->next = *bucket;
    *bucket = file;

    /*
     * The kernel makes sure that no "..", symbolic link or magic link leads out of the directory. O_NONBLOCK:
     * opening a named pipe would wait until somebody opens its other end.
     */
    file->how = (struct open_how){.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
                                  .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    struct io_uring_sqe *request = ring_request();
    io_uring_prep_openat2(request, root, file->path, &file->how);
    ring_tag(request, OPEN, file);
    return file;
}

/* statx() has completed: describes the file, or sets the error why it is not served. */
static void describe(struct file *file)
{
    mode_t mode = file->status.stx_mode;
    file->document.directory = S_ISDIR(mode);
    file->document.size = (off_t)file->status.stx_size;
    if (!S_ISREG(mode) && !S_ISDIR(mode))
        file->error = ENOENT; /* devices, pipes, sockets: not served */
    else
        http_describe(&file->document, file->status.stx_mtime.tv_sec, file->status.stx_mtime.tv_nsec);
    /* Clear O_NONBLOCK: some file systems would refuse to read data outside the page cache. io_uring has no
     * such request; the system call does not block. */
    fcntl(file->descriptor, F_SETFL, 0);
}

static void queue_load(struct file *file)
{
    struct io_uring_sqe *request = ring_request();
    io_uring_prep_read(request, file->descriptor, file->content + file->loaded,
                       (unsigned)(file->document.size - file->loaded), (uint64_t)file->loaded);
    ring_tag(request, LOAD, file);
}

/* Begins to load the content, if it can be cached. */
static bool cache_content(struct file *file)
{
    off_t size = file->document.size;
    if (file->error != 0 || file->document.directory || size == 0 || size > CACHED_FILE ||
        cached_bytes + size > CACHED_BYTES || !(file->content = malloc((size_t)size)))
        return false;
    cached_bytes += size;
    queue_load(file);
    return true;
}

bool files_advance(struct file *file, enum kind kind, int result)
{
    if (kind == LOAD) {
        if (result > 0 && (file->loaded += result) < file->document.size) {
            queue_load(file);
            return false;
        }
        if (result <= 0)
            drop_content(file); /* it has shrunk or cannot be read: the connections will notice */
        file->is_ready = true;
        return true;
    }
    if (kind == OPEN && result >= 0) {
        const unsigned wanted = STATX_TYPE | STATX_SIZE | STATX_MTIME;
        file->descriptor = result;
        if (ring_has_statx) {
            struct io_uring_sqe *request = ring_request();
            io_uring_prep_statx(request, result, "", AT_EMPTY_PATH, wanted, &file->status);
            ring_tag(request, STAT, file);
            return false;
        }
        result = statx(result, "", AT_EMPTY_PATH, wanted, &file->status) == 0 ? 0 : -errno;
    }
    if (result < 0)
        file->error = -result;
    else
        describe(file);
    if (cache_content(file))
        return false;
    file->is_ready = true;
    if (file->error != 0)
        remove_from_bucket(file); /* the next request tries again: the file may exist by then */
    return true;
}
