/*
 * HTTP/1.0 for static files: GET and HEAD, one request per connection. Plain C and plain system calls.
 */
#define _GNU_SOURCE
#include "http.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const struct {
    const char *extension, *type;
} types[] = {
    {".html", "text/html"},        {".css", "text/css"},     {".js", "text/javascript"},
    {".json", "application/json"}, {".txt", "text/plain"},   {".png", "image/png"},
    {".jpg", "image/jpeg"},        {".jpeg", "image/jpeg"},  {".gif", "image/gif"},
    {".svg", "image/svg+xml"},     {".ico", "image/x-icon"}, {".pdf", "application/pdf"},
};

bool http_complete(const char *request, size_t length)
{
    return memmem(request, length, "\n\r\n", 3) || memmem(request, length, "\n\n", 2);
}

static const char *content_type(const char *path)
{
    const char *extension = strrchr(path, '.');
    for (size_t i = 0; extension && i < sizeof(types) / sizeof(types[0]); i++)
        if (strcasecmp(extension, types[i].extension) == 0)
            return types[i].type;
    return "application/octet-stream";
}

static size_t write_head(char *answer, const char *status, const char *type, off_t length)
{
    char date[64];
    time_t now = time(NULL);
    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime(&now));
    return (size_t)snprintf(answer, HTTP_MAX_ANSWER,
                            "HTTP/1.0 %s\r\nDate: %s\r\nServer: uring-lab\r\nContent-Type: %s\r\n"
                            "Content-Length: %lld\r\nConnection: close\r\n\r\n",
                            status, date, type, (long long)length);
}

struct answer http_refuse(const char *status, bool with_body, char *answer)
{
    char body[256];
    int size = snprintf(body, sizeof(body), "<!DOCTYPE html><title>%s</title><h1>%s</h1>\n", status, status);
    size_t length = write_head(answer, status, "text/html", size);
    if (with_body) {
        memcpy(answer + length, body, (size_t)size);
        length += (size_t)size;
    }
    return (struct answer){.length = length, .file = -1};
}

/* Decodes %XX in place. False: not followed by two hexadecimal digits, or %00. */
static bool percent_decode(char *text)
{
    char *out = text;
    for (; *text; text++) {
        char byte = *text;
        if (byte == '%') {
            if (!isxdigit((unsigned char)text[1]) || !isxdigit((unsigned char)text[2]))
                return false;
            byte = (char)strtol((char[]){text[1], text[2], '\0'}, NULL, 16);
            if (byte == '\0')
                return false;
            text += 2;
        }
        *out++ = byte;
    }
    *out = '\0';
    return true;
}

/*
 * Opens a path beneath the root: one segment after the other, refusing ".." and symbolic links. (From
 * Linux 5.6 on, openat2() does that in one call.) Splits the string `path` in place.
 */
static int open_beneath(int root, char *path)
{
    int opened = dup(root);
    for (char *segment = strtok(path, "/"), *next; segment && opened >= 0; segment = next) {
        next = strtok(NULL, "/");
        int directory = opened;
        if (strcmp(segment, "..") == 0) {
            opened = -1;
            errno = ENOENT;
        } else { /* O_NONBLOCK: opening a named pipe would wait until somebody opens its other end */
            opened = openat(directory, segment,
                            O_RDONLY | O_CLOEXEC | O_NOFOLLOW | (next ? O_DIRECTORY : O_NONBLOCK));
        }
        int error = errno;
        close(directory);
        errno = error;
    }
    return opened;
}

static struct answer answer_file(int root, const char *path, bool with_body, char *answer)
{
    char name[HTTP_MAX_REQUEST + sizeof("index.html")];
    bool directory = path[strlen(path) - 1] == '/';
    snprintf(name, sizeof(name), "%s%s", path, directory ? "index.html" : "");
    const char *type = content_type(name);

    int file = open_beneath(root, name);
    struct stat stat;
    if (file >= 0 && (fstat(file, &stat) != 0 || !S_ISREG(stat.st_mode))) {
        close(file);
        file = -1;
        errno = ENOENT; /* directories, devices, pipes: not served */
    }
    if (file < 0) {
        bool ours = errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == EIO;
        const char *status = ours              ? "500 Internal Server Error"
                             : errno == EACCES ? "403 Forbidden"
                                               : "404 Not Found";
        return http_refuse(status, with_body, answer);
    }
    fcntl(file, F_SETFL, 0); /* clear O_NONBLOCK, or a read of data outside the page cache may fail */
    size_t length = write_head(answer, "200 OK", type, stat.st_size);
    if (!with_body) {
        close(file);
        file = -1;
    }
    return (struct answer){.length = length, .file = file, .size = with_body ? stat.st_size : 0};
}

/* Whether the text is HTTP/, a digit, a dot and a digit. */
static bool is_version(const char *text)
{
    return strncmp(text, "HTTP/", 5) == 0 && isdigit((unsigned char)text[5]) && text[6] == '.' &&
           isdigit((unsigned char)text[7]) && text[8] == '\0';
}

/* Whether the text consists of the characters allowed in a method. */
static bool is_token(const char *text)
{
    size_t length = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                 "!#$%&'*+-.^_`|~");
    return length > 0 && text[length] == '\0';
}

struct answer http_answer(int root, const char *request, size_t length, char *answer)
{
    char line[HTTP_MAX_REQUEST + 1]; /* method, target and version */
    memcpy(line, request, length);
    line[length] = '\0';
    line[strcspn(line, "\r\n")] = '\0';

    char *target = strchr(line, ' '), *version = target ? strchr(target + 1, ' ') : NULL;
    if (!version || memchr(request, '\0', length))
        return http_refuse("400 Bad Request", true, answer);
    *target++ = *version++ = '\0';
    target[strcspn(target, "?")] = '\0'; /* ignore the query */
    if (!is_token(line) || !is_version(version) || target[0] != '/' || !percent_decode(target))
        return http_refuse("400 Bad Request", true, answer);
    if (version[5] != '1')
        return http_refuse("505 HTTP Version Not Supported", true, answer);
    bool get = strcmp(line, "GET") == 0;
    if (!get && strcmp(line, "HEAD") != 0)
        return http_refuse("501 Not Implemented", true, answer); /* 405 would say that we know the method */
    return answer_file(root, target, get, answer);
}
