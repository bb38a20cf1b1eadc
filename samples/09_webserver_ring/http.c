/* HTTP/1.1 for static files, by RFC 9110 (semantics) and RFC 9112 (syntax). */
#define _GNU_SOURCE
#include "http.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define DATE         "%a, %d %b %Y %H:%M:%S GMT"

static const struct {
    const char *extension, *type;
} types[] = {
    {".html", "text/html"},     {".htm", "text/html"},         {".css", "text/css"},
    {".js", "text/javascript"}, {".mjs", "text/javascript"},   {".json", "application/json"},
    {".txt", "text/plain"},     {".md", "text/markdown"},      {".xml", "application/xml"},
    {".png", "image/png"},      {".jpg", "image/jpeg"},        {".jpeg", "image/jpeg"},
    {".gif", "image/gif"},      {".svg", "image/svg+xml"},     {".webp", "image/webp"},
    {".ico", "image/x-icon"},   {".pdf", "application/pdf"},   {".mp4", "video/mp4"},
    {".woff2", "font/woff2"},   {".wasm", "application/wasm"},
};

static const struct {
    int status;
    const char *words;
} statuses[] = {
    {200, "OK"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {416, "Range Not Satisfiable"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {505, "HTTP Version Not Supported"},
};

/* ---- from text to request ---- */

size_t http_head_length(const char *text, size_t length)
{
    for (const char *at = text; (at = memchr(at, '\n', length - (size_t)(at - text)));) {
        size_t rest = length - (size_t)(++at - text);
        size_t end = rest >= 1 && at[0] == '\n' ? 1 : rest >= 2 && at[0] == '\r' && at[1] == '\n' ? 2 : 0;
        if (end > 0)
            return length - rest + end;
    }
    return 0;
}

/* Cuts the first line off and returns it, without its end. */
static char *take_line(char **text)
{
    char *line = *text, *end = strchr(line, '\n');
    *text = end ? end + 1 : line + strlen(line);
    if (end && end > line && end[-1] == '\r')
        end--;
    if (end)
        *end = '\0';
    return line;
}

/* Whether the first `length` characters are allowed in methods and field names. */
static bool is_token(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)text[i]) && (text[i] == '\0' || !strchr("!#$%&'*+-.^_`|~", text[i])))
            return false;
    return length > 0;
}

static int hex_value(char digit)
{
    return isdigit((unsigned char)digit) ? digit - '0' : tolower((unsigned char)digit) - 'a' + 10;
}

/* Returns the first character that belongs neither to a host nor to its port. */
static const char *skip_host(const char *text)
{
    if (*text == '[') { /* an IPv6 address */
        size_t length = 1 + strspn(text + 1, "0123456789ABCDEFabcdef:.");
        if (text[length] != ']')
            return text;
        text += length + 1;
    } else {
        while (isalnum((unsigned char)*text) || (*text && strchr("-._~!$&'()*+,;=%", *text)))
            text++;
    }
    return *text == ':' ? text + 1 + strspn(text + 1, "0123456789") : text;
}

/* Decodes the path of a request target. openat2() checks that it stays within public/. */
static int find_path(const char *target, char *path)
{
    if (strncasecmp(target, "http://", 7) == 0) { /* absolute form, which every server must accept */
        const char *host = target + 7;
        target = skip_host(host);
        if (target == host || *host == ':')
            return 400;
        if (*target == '\0' || *target == '?')
            target = "/";
    }
    if (*target != '/')
        return 400;
    target += strspn(target, "/");
    char *out = path;
    for (; *target && *target != '?'; target++) {
        char byte = *target;
        if (byte == '%') {
            if (!isxdigit((unsigned char)target[1]) || !isxdigit((unsigned char)target[2]))
                return 400;
            byte = (char)(hex_value(target[1]) * 16 + hex_value(target[2]));
            if (byte == '\0')
                return 400;
            target += 2;
        }
        if (out == path && byte == '/')
            continue; /* an encoded slash: the path must stay relative */
        if (out - path == (ptrdiff_t)(HTTP_MAX_PATH - sizeof("index.html")))
            return 414;
        *out++ = byte;
    }
    *out = '\0';
    if (out == path || out[-1] == '/')
        memcpy(out, "index.html", sizeof("index.html"));
    return 0;
}

static int parse_request_line(char *line, struct request *request, char *path)
{
    for (const char *byte = line; *byte; byte++)
        if (iscntrl((unsigned char)*byte))
            return 400; /* also a CR, which others could take for the end of the line */
    char *target = strchr(line, ' '), *version = target ? strchr(target + 1, ' ') : NULL;
    if (!version)
        return 400;
    *target++ = *version++ = '\0';
    if (!is_token(line, strlen(line)) || strncmp(version, "HTTP/", 5) != 0 ||
        !isdigit((unsigned char)version[5]) || version[6] != '.' || !isdigit((unsigned char)version[7]) ||
        version[8] != '\0')
        return 400;
    if (version[5] != '1')
        return 505;
    request->http_1_0 = version[7] == '0';
    request->head = strcmp(line, "HEAD") == 0;
    if (!request->head && strcmp(line, "GET") != 0) {
        static const char *known[] = {"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"};
        for (size_t i = 0; i < COUNT(known); i++)
            if (strcmp(line, known[i]) == 0)
                return 405;
        return 501;
    }
    return find_path(target, path);
}

/* Whether a comma-separated list has an element. */
static bool list_has(const char *list, const char *element)
{
    size_t length = strlen(element);
    while (*(list += strspn(list, ", \t"))) {
        size_t width = strcspn(list, ", \t");
        if (width == length && strncasecmp(list, element, length) == 0)
            return true;
        list += width;
    }
    return false;
}

struct seen {
    unsigned hosts;         /* fields called Host */
    bool close, keep_alive; /* words of Connection */
};

/* Parses one header field. Unknown ones do not matter for static files. */
static int parse_field(char *line, struct request *request, struct seen *seen)
{
    char *colon = strchr(line, ':');
    if (!colon || !is_token(line, (size_t)(colon - line)) || strchr(line, '\r'))
        return 400; /* no name, a space before the colon, or a folded line: all forbidden */
    *colon = '\0';
    char *value = colon + 1 + strspn(colon + 1, " \t"), *end = value + strlen(value);
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        *--end = '\0';

    if (strcasecmp(line, "Host") == 0) {
        seen->hosts++;
        if (*skip_host(value) != '\0')
            return 400;
    } else if (strcasecmp(line, "Connection") == 0) {
        seen->close |= list_has(value, "close");
        seen->keep_alive |= list_has(value, "keep-alive");
    } else if (strcasecmp(line, "Range") == 0)
        request->range = value;
    else if (strcasecmp(line, "If-Range") == 0)
        request->if_range = value;
    else if (strcasecmp(line, "If-Match") == 0)
        request->if_match = value;
    else if (strcasecmp(line, "If-Unmodified-Since") == 0)
        request->if_unmodified_since = value;
    else if (strcasecmp(line, "If-None-Match") == 0)
        request->if_none_match = value;
    else if (strcasecmp(line, "If-Modified-Since") == 0)
        request->if_modified_since = value;
    else if (strcasecmp(line, "Transfer-Encoding") == 0)
        return 413;
    else if (strcasecmp(line, "Content-Length") == 0) {
        if (*value == '\0' || value[strspn(value, "0123456789")] != '\0')
            return 400;
        if (value[strspn(value, "0")] != '\0')
            return 413; /* no body is accepted; closing the connection is cheaper than reading it */
    }
    return 0;
}

int http_parse(char *head, size_t length, struct request *request, char *path)
{
    *request = (struct request){0};
    bool has_nul = memchr(head, '\0', length) != NULL;
    /* The empty line that ends the head becomes an empty text, which no other line is: http_head_length()
     * would have found it. A line that begins with a CR is a field, and invalid. */
    head[length - 1] = '\0';
    if (head[length - 2] == '\r')
        head[length - 2] = '\0';
    char *rest = head;
    if (strncmp(rest, "\r\n", 2) == 0 || *rest == '\n')
        take_line(&rest); /* old clients send an empty line after a request */
    int status = parse_request_line(take_line(&rest), request, path);
    struct seen seen = {0};
    for (char *line; status == 0 && *(line = take_line(&rest));)
        status = parse_field(line, request, &seen);
    if (has_nul || (status == 0 && (seen.hosts > 1 || (seen.hosts == 0 && !request->http_1_0))))
        status = 400;
    request->keep_alive = status == 0 && !seen.close && (seen.keep_alive || !request->http_1_0);
    return status;
}

/* ---- from document to answer ---- */

static char shared_fields[128]; /* Server and Date */
static size_t shared_length;

/* False: the date has no such form, because its year does not have four digits. */
static bool write_date(char *text, size_t size, time_t time)
{
    struct tm parts;
    return gmtime_r(&time, &parts) &&
           strftime(text, size, DATE, &parts) == strlen("Thu, 01 Jan 1970 00:00:00 GMT");
}

void http_set_date(time_t now)
{
    char date[32];
    write_date(date, sizeof(date), now);
    shared_length =
        (size_t)snprintf(shared_fields, sizeof(shared_fields), "Server: uring-lab\r\nDate: %s\r\n", date);
}

static const char *content_type(const char *path)
{
    const char *extension = strrchr(path, '.');
    for (size_t i = 0; extension && i < COUNT(types); i++)
        if (strcasecmp(extension, types[i].extension) == 0)
            return types[i].type;
    return "application/octet-stream";
}

void http_describe(struct document *document, time_t modified, unsigned nanoseconds)
{
    char date[32], last_modified[64] = "";
    if (write_date(date, sizeof(date), modified))
        snprintf(last_modified, sizeof(last_modified), "Last-Modified: %s\r\n", date);
    document->modified = modified;
    snprintf(document->etag, sizeof(document->etag), "\"%llx.%x-%llx\"", (unsigned long long)modified,
             nanoseconds, (unsigned long long)document->size);
    snprintf(document->type, sizeof(document->type), "Content-Type: %s\r\n", content_type(document->path));
    snprintf(document->validators, sizeof(document->validators), "%sETag: %s\r\nAccept-Ranges: bytes\r\n",
             last_modified, document->etag);
    snprintf(document->whole, sizeof(document->whole), "%sContent-Length: %lld\r\n%s", document->type,
             (long long)document->size, document->validators);
}

static char *put(char *at, const char *text)
{
    return stpcpy(at, text);
}

/* The beginning of every head. */
static char *begin_head(char *at, int status)
{
    const char *words = "";
    for (size_t i = 0; i < COUNT(statuses); i++)
        if (statuses[i].status == status)
            words = statuses[i].words;
    at += sprintf(at, "HTTP/1.1 %d %s\r\n", status, words);
    memcpy(at, shared_fields, shared_length);
    return at + shared_length;
}

/* The end of every head: fields that depend only on the request. */
static char *end_head(char *at, const struct request *request)
{
    if (!request->keep_alive)
        at = put(at, "Connection: close\r\n");
    else if (request->http_1_0)
        at = put(at, "Connection: keep-alive\r\n");
    return put(at, "\r\n");
}

/* An answer with a generated page as its body; `fields` are additional header fields. */
static struct answer answer_page(const struct request *request, int status, const char *fields, char *text)
{
    char body[256];
    const char *words = "";
    for (size_t i = 0; i < COUNT(statuses); i++)
        if (statuses[i].status == status)
            words = statuses[i].words;
    int size = snprintf(body, sizeof(body), "<!DOCTYPE html><title>%d %s</title><h1>%d %s</h1>\n", status,
                        words, status, words);
    char *at = put(begin_head(text, status), fields);
    at += sprintf(at, "Content-Type: text/html\r\nContent-Length: %d\r\n", size);
    at = end_head(at, request);
    if (!request->head)
        at = put(at, body);
    return (struct answer){.length = (size_t)(at - text)};
}

struct answer http_refuse(const struct request *request, int status, char *text)
{
    return answer_page(request, status, status == 405 ? "Allow: GET, HEAD\r\n" : "", text);
}

/* Redirects from /name to /name/, because relative links in its index.html depend on the slash. */
static struct answer answer_directory(const struct request *request, const char *path, char *text)
{
    char fields[sizeof("Location: //\r\n") + 3 * HTTP_MAX_PATH], *at = put(fields, "Location: /");
    for (; *path; path++) /* encoded again, so that a client cannot inject header fields */
        if (isalnum((unsigned char)*path) || strchr("/-._~", *path))
            *at++ = *path;
        else
            at += sprintf(at, "%%%02X", (unsigned char)*path);
    put(at, "/\r\n");
    return answer_page(request, 301, fields, text);
}

/* Reads a date in one of the three forms of HTTP. False: it is none, or there is no text. */
static bool read_date(const char *text, time_t *time)
{
    static const char *forms[] = {DATE, "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"};
    for (size_t i = 0; text && i < COUNT(forms); i++) {
        struct tm parts = {0};
        const char *end = strptime(text, forms[i], &parts);
        *time = timegm(&parts);
        if (end && *end == '\0')
            return true;
    }
    return false;
}

/* Whether a list of entity tags has the tag, or its weak form. */
static bool tags_match(const char *tags, const char *tag, bool or_weak)
{
    char weak[64];
    snprintf(weak, sizeof(weak), "W/%s", tag);
    return strcmp(tags, "*") == 0 || list_has(tags, tag) || (or_weak && list_has(tags, weak));
}

/*
 * Returns 412 if the client wants another version of the document, 304 if it has this one, or 200. Tags take
 * precedence over dates.
 */
static int check_conditions(const struct request *request, const struct document *document)
{
    time_t date;
    if (request->if_match ? !tags_match(request->if_match, document->etag, false)
                          : read_date(request->if_unmodified_since, &date) && date < document->modified)
        return 412;
    if (request->if_none_match ? tags_match(request->if_none_match, document->etag, true)
                               : read_date(request->if_modified_since, &date) && date >= document->modified)
        return 304;
    return 200;
}

/*
 * Parses a byte range: 0-499, 500- or -500. Returns 206 and sets `first` and `size`, or 416 if the range is
 * outside of the document, or 200 to send the whole: an invalid range and several ranges may be ignored.
 */
static int parse_range(const struct request *request, const struct document *document, off_t *first,
                       off_t *size)
{
    const char *text = request->range;
    if (!text || request->head || strncasecmp(text, "bytes=", 6) != 0)
        return 200;
    time_t date;
    if (request->if_range && strcmp(request->if_range, document->etag) != 0 &&
        !(read_date(request->if_range, &date) && date == document->modified))
        return 200; /* the file has changed: a part of it would not fit what the client has */
    text += 6;
    bool from_end = *text == '-';
    if (!isdigit((unsigned char)text[from_end]))
        return 200;
    char *end;
    long long number = strtoll(text + from_end, &end, 10),
              last = LLONG_MAX; /* strtoll() limits too large numbers to this */
    if (!from_end) {
        if (*end++ != '-')
            return 200;
        if (isdigit((unsigned char)*end))
            last = strtoll(end, &end, 10);
        if (last < number)
            return 200;
    }
    if (*end != '\0')
        return 200;
    if (from_end ? number == 0 || document->size == 0 : number >= document->size)
        return 416;
    *first = !from_end ? number : number < document->size ? document->size - number : 0;
    *size = (last < document->size ? last + 1 : document->size) - *first;
    return 206;
}

struct answer http_answer(const struct request *request, const struct document *document, char *text)
{
    if (document->directory)
        return answer_directory(request, document->path, text);
    struct answer answer = {.size = request->head ? 0 : document->size};
    char fields[128], *at;
    int status = check_conditions(request, document);
    if (status == 200)
        status = parse_range(request, document, &answer.offset, &answer.size);
    switch (status) {
    case 304:
        at = put(begin_head(text, 304), document->validators);
        answer.size = 0;
        break;
    case 412:
        return answer_page(request, 412, "", text);
    case 206:
        at = put(begin_head(text, 206), document->type);
        at += sprintf(at, "Content-Range: bytes %lld-%lld/%lld\r\nContent-Length: %lld\r\n",
                      (long long)answer.offset, (long long)(answer.offset + answer.size - 1),
                      (long long)document->size, (long long)answer.size);
        at = put(at, document->validators);
        break;
    case 416:
        snprintf(fields, sizeof(fields), "Content-Range: bytes */%lld\r\n", (long long)document->size);
        return answer_page(request, 416, fields, text);
    default: /* nearly all answers: copy prepared text, format nothing */
        at = put(text, "HTTP/1.1 200 OK\r\n");
        memcpy(at, shared_fields, shared_length);
        at = put(at + shared_length, document->whole);
    }
    answer.length = (size_t)(end_head(at, request) - text);
    return answer;
}
