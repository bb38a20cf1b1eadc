/*
 * The cache of open files. Opening a file costs more than sending a small one, because STATX always uses a
 * kernel thread. So an opened file serves all requests of the next FRESH_MS milliseconds and is then opened
 * again; changes of a file are noticed with that delay (like open_file_cache of nginx).
 *
 * The content of files up to CACHED_FILE is cached for the same time. nginx does not need that: sendfile()
 * sends from the page cache. io_uring has no such request (SPLICE always uses a kernel thread), and two
 * copies, by READ into the memory of the connection and by SEND, are too slow: with 256 connections and 16
 * KiB a request took 8.1 us of processor time, nginx 7.9, and 6.7 with memory that all connections share.
 */
#ifndef FILES_H
#define FILES_H

#include <sys/stat.h>

#include "http.h"
#include "ring.h"

#define FRESH_MS     1000
#define CACHED_FILE  ((off_t)1024 * 1024)      /* bytes of a file; larger ones are read block by block */
#define CACHED_BYTES ((off_t)32 * 1024 * 1024) /* bytes of all cached files together */

struct connection;

struct file {
    _Alignas(1 << KIND_BITS) struct document document;
    int error;                  /* errno value why it cannot be served; 0: it can */
    int descriptor;             /* -1: none */
    bool is_ready;              /* everything above is known */
    unsigned users;             /* connections that use it, plus 1 while it is being opened */
    long long opened;           /* time in milliseconds */
    char *content;              /* the cached content, or NULL: read from the descriptor */
    off_t loaded;               /* bytes of `content` read so far */
    struct connection *waiting; /* list of connections to answer when it is ready */
    struct file *next;          /* in its bucket or in the list of unused structs */
    bool is_listed;             /* it is in a bucket: further requests may use it */
    struct open_how how;
    struct statx status;
    char path[HTTP_MAX_PATH];
};

/* `directory`: a descriptor of the directory to serve. */
void files_init(int directory);

/* Returns a file, ready or not, to be given back by files_release(); NULL: all structs are in use. */
struct file *files_take(const char *path, long long now);
void files_release(struct file *file);

/* Handles a completion of kind OPEN, STAT or LOAD. True: the file is ready now, answer the waiting
 * connections. */
bool files_advance(struct file *file, enum kind kind, int result);

/* Closes files that are older than FRESH_MS and not in use. */
void files_expire(long long now);

#endif
