/* The part of the web server that has nothing to do with io_uring: from a request's text to an answer. */
#ifndef HTTP_H
#define HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define HTTP_MAX_REQUEST ((size_t)8 * 1024) /* bytes of a request head; a longer one is refused */
#define HTTP_MAX_ANSWER  ((size_t)1024)     /* bytes that http_answer() and http_refuse() write at most */

struct answer {
    size_t length; /* bytes written: the head, and the body of an error */
    int file;      /* open for reading: what has to follow the head; -1: nothing */
    off_t size;    /* so many bytes of it, no more and no fewer: the head has promised them */
};

/* Whether the text holds a whole request head: up to an empty line. */
bool http_complete(const char *request, size_t length);

/*
 * Answers a request of at most HTTP_MAX_REQUEST bytes with a file of the directory `root`, or with an error.
 * `answer` may be the memory that holds the request.
 */
struct answer http_answer(int root, const char *request, size_t length, char *answer);

/* Answers with an error: `status` is its number and its words. */
struct answer http_refuse(const char *status, bool with_body, char *answer);

#endif
