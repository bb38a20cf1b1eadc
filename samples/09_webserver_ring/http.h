/* HTTP/1.1 for static files: from the text of a request to the head of its answer. Makes no system calls. */
#ifndef HTTP_H
#define HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <time.h>

#define HTTP_MAX_HEAD   ((size_t)8 * 1024) /* bytes of a request head; longer ones are refused */
#define HTTP_MAX_PATH   ((size_t)1024)     /* bytes of a decoded path including the NUL */
#define HTTP_MAX_ANSWER ((size_t)4 * 1024) /* bytes that an answer takes at most */

struct request {
    bool head;       /* HEAD: the answer has no body */
    bool http_1_0;   /* such a client needs an explicit "Connection: keep-alive" */
    bool keep_alive; /* the connection stays open for another request */
    /* The fields' values, or NULL. */
    const char *range, *if_range, *if_match, *if_unmodified_since, *if_none_match, *if_modified_since;
};

/* A file as HTTP describes it. The texts are made once and used while the file is cached. */
struct document {
    const char *path; /* decoded, without the leading slash */
    bool directory;   /* answered with a redirect to the path with a trailing slash */
    off_t size;
    time_t modified;
    char etag[48];
    char type[64], validators[192]; /* header fields, each with its end of line */
    char whole[384];                /* all header fields of the answer with the whole file */
};

struct answer {
    size_t length; /* bytes written: the head, and the body unless that is the file */
    off_t offset;  /* in the file, of the bytes to send after that */
    off_t size;    /* send exactly so many bytes: the head contains this length */
};

/* Writes the header fields that change once a second; call it as often. */
void http_set_date(time_t now);

/* The length of the first complete head in the text, including the empty line; 0: incomplete. */
size_t http_head_length(const char *text, size_t length);

/*
 * Parses a complete head in place: the request's fields point into the text. Writes the path of the file to
 * `path`, of HTTP_MAX_PATH bytes. Returns 0, or the status of the error to answer.
 */
int http_parse(char *head, size_t length, struct request *request, char *path);

/* Makes the texts of a document whose path, size and directory are set; the time is statx()'s stx_mtime. */
void http_describe(struct document *document, time_t modified, unsigned nanoseconds);

/* Answers with the document (200), a part of it (206), or that it has not changed (304) or has (412). */
struct answer http_answer(const struct request *request, const struct document *document, char *text);

/* Answers with an error page. */
struct answer http_refuse(const struct request *request, int status, char *text);

#endif
