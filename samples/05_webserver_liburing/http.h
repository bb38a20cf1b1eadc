/* The part of the web server without io_uring: from the text of a request to an answer. */
#ifndef HTTP_H
#define HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define HTTP_MAX_REQUEST ((size_t)8 * 1024) /* bytes of a request head; longer ones are refused */
#define HTTP_MAX_ANSWER  ((size_t)1024)     /* bytes that an answer takes at most */

struct answer {
    size_t length; /* bytes written: the head, and the body of an error */
    int file;      /* open for reading, to be sent after the head; -1: none */
    off_t size;    /* send exactly so many bytes of it: the head contains this length */
};

/* Whether the text contains a complete request head, which ends with an empty line. */
bool http_complete(const char *request, size_t length);

/*
 * Answers a request of at most HTTP_MAX_REQUEST bytes with a file of the directory `root`, or with an error.
 * `answer` may be the memory that holds the request.
 */
struct answer http_answer(int root, const char *request, size_t length, char *answer);

/* Answers with an error; `status` is number and reason phrase, such as "404 Not Found". */
struct answer http_refuse(const char *status, bool with_body, char *answer);

#endif
