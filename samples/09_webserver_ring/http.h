/* HTTP/1.1 for static files: from the text of a request to the head of its answer. No system call stands
 * here. */
#ifndef HTTP_H
#define HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <time.h>

#define HTTP_MAX_HEAD   ((size_t)8 * 1024) /* bytes of a request's head; a longer one is refused */
#define HTTP_MAX_PATH   ((size_t)1024)     /* bytes of a decoded path, its final NUL included; likewise */
#define HTTP_MAX_ANSWER ((size_t)4 * 1024) /* bytes that http_answer() and http_refuse() write at most */

struct request {
    bool head;       /* HEAD: the answer has no body */
    bool http_1_0;   /* such a client must be told that its connection is kept */
    bool keep_alive; /* the connection is kept for another request */
    const char *range, *if_range, *if_none_match, *if_modified_since; /* the fields' values, or NULL */
};

/* What a file is to HTTP. The texts are made once, for as many answers as the file is kept open. */
struct document {
    const char *path; /* decoded, without the slash at its beginning */
    bool directory;   /* answered with the address that has a slash at its end */
    off_t size;
    time_t modified;
    char etag[40], last_modified[32];
    char type[64], validators[192]; /* header fields, each with its end of line */
    char whole[384];                /* all header fields of the answer with the whole file */
};

struct answer {
    size_t length; /* bytes written: the head, and the body where it is not the file */
    off_t offset;  /* what of the file has to follow: from here on */
    off_t size;    /* so many bytes, no more and no fewer, for the head has promised them */
};

/* Writes the header fields that are the same for a whole second: to be called once in it. */
void http_set_date(time_t now);

/* The length of the first whole head in the text, its empty line included; 0: there is none yet. */
size_t http_head_length(const char *text, size_t length);

/*
 * Takes a whole head apart: cuts the text up, points the request's fields into it, and writes the path of the
 * file to `path`, of HTTP_MAX_PATH bytes. Returns 0, or the status of the error to be answered.
 */
int http_parse(char *head, size_t length, struct request *request, char *path);

/* Makes the texts of a document whose path, size and directory are set; `modified` as statx() has it. */
void http_describe(struct document *document, time_t modified, unsigned nanoseconds);

/* Answers with the document, or the part of it, or the word that the client has it already. */
struct answer http_answer(const struct request *request, const struct document *document, char *text);

/* Answers with an error and a page that says so. */
struct answer http_refuse(const struct request *request, int status, char *text);

#endif
