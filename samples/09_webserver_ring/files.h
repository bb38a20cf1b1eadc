/*
 * The open files. To open a file costs the ring more than to send a small one, for STATX always goes through
 * a thread of the kernel's. So a file that was opened is used for all requests of the next FRESH_MS
 * milliseconds, and is then opened anew: what is replaced or rewritten is noticed that much later (nginx:
 * open_file_cache).
 *
 * For so long the content of a file that is not large is kept as well. nginx has no need of that: sendfile()
 * sends out of the page cache. The ring has no such request (SPLICE goes through a thread each time), and two
 * copies, one by READ into the memory of each connection and one by SEND out of it, cost it the advantage:
 * with 256 connections and 16 KiB a request took 8.1 us of processor time, nginx 7.9, and 6.7 from memory
 * that all connections share.
 */
#ifndef FILES_H
#define FILES_H

#include <sys/stat.h>

#include "http.h"
#include "ring.h"

#define FRESH_MS   1000
#define KEPT_FILE  ((off_t)1024 * 1024)      /* bytes of the largest content that is kept, */
#define KEPT_BYTES ((off_t)32 * 1024 * 1024) /* and of all of them: the rest is read block by block */

struct connection;

struct file {
    _Alignas(1 << KIND_BITS) struct document document;
    int error;                  /* why it cannot be served, as errno has it; 0: it can */
    int descriptor;             /* -1: none */
    bool is_ready;              /* everything above is known */
    unsigned users;             /* connections, and the requests on the ring that find it out */
    long long opened;           /* when, in milliseconds */
    char *content;              /* all of it, or NULL: read it from the descriptor */
    off_t loaded;               /* bytes of it that are there */
    struct connection *waiting; /* a list of the server's: who is to be told when it is ready */
    struct file *next;          /* in its bucket, or among those that are unused */
    bool is_listed;             /* it is in a bucket: others may use it too */
    struct open_how how;
    struct statx status;
    char path[HTTP_MAX_PATH];
};

/* `directory`: a descriptor of the one that paths are beneath. */
void files_init(int directory);

/* Gives a file to be used, ready or not; NULL: all places are taken. */
struct file *files_take(const char *path, long long now);
void files_release(struct file *file);

/* Takes a completion of kind OPEN, STAT or LOAD. True: the file is ready now, and who waits can be told. */
bool files_advance(struct file *file, enum kind kind, int result);

/* Closes what nobody uses and nobody would be given any more. */
void files_expire(long long now);

#endif
