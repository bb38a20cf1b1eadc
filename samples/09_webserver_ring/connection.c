/*
 * The state machine of a connection. `pending` counts its requests in flight; its struct may be reused only
 * when there are none.
 *
 *   IDLE       waiting for a request or the rest of one
 *   OPENING    the requested file is being opened, for this connection or another one
 *   ANSWERING  sending the head and the file block by block, with linked READ and SEND
 *   DRAINING   the last answer was sent; whatever the client still sends is discarded
 *   CLOSING    the requests in flight were cancelled and have to complete
 *
 * The structs are a static array, so no memory can leak. When all are in use, no connection is accepted until
 * one closes.
 */
#define _GNU_SOURCE
#include "connection.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "files.h"
#include "http.h"
#include "ring.h"

#define OUTPUT_BYTES ((size_t)64 * 1024)
#define COPIED_BYTES ((off_t)4096) /* up to this size it is cheaper to append cached content to the head */

/* Milliseconds. */
#define REQUEST_PATIENCE (10 * 1000) /* for a whole request, from its first byte on */
#define IDLE_PATIENCE    (30 * 1000) /* for its first byte */
#define ANSWER_PATIENCE  (10 * 1000) /* for the client to accept OUTPUT_BYTES, or the rest of the answer */
#define DRAIN_PATIENCE   (5 * 1000)  /* for the client to close */
#define LEAST_PATIENCE   (2 * 1000)  /* for it to send or to close, when nobody else can be accepted */

enum state { FREE, IDLE, OPENING, ANSWERING, DRAINING, CLOSING };

#define NO_BUFFER UINT16_MAX

struct connection {
    _Alignas(1 << KIND_BITS) enum state state;
    int socket;
    unsigned pending;
    bool receiving;  /* a RECEIVE is in flight */
    bool cancelled;  /* it was cancelled */
    bool own_memory; /* there was no provided buffer left: the next RECEIVE is into `input` */
    bool ended;      /* the client sends no more */
    bool linger; /* it may still be sending: closing at once would reset the connection and lose the answer */
    bool reading; /* a READ and its SEND are in flight */
    bool cut;     /* the READ was short, so its linked SEND was cancelled */
    long long deadline;
    long long waiting_since; /* in the states IDLE and DRAINING */
    size_t accepted;         /* bytes of the answer, since the deadline was set */

    size_t input_length;            /* bytes in `input` */
    size_t head_length;             /* bytes of these in the request being answered */
    uint16_t held_first, held_last; /* provided buffers whose content does not fit into `input` yet */
    struct request request;
    struct file *file;
    struct connection *next_waiting;

    off_t offset, remaining; /* of the next block in the file, and bytes still to read */
    size_t wanted;           /* bytes of the block being read */
    size_t output_length, sent;
    struct iovec parts[2]; /* the head, and the cached content of the file */
    struct msghdr message;

    char input[HTTP_MAX_HEAD];
    char output[OUTPUT_BYTES];
};

static struct connection connections[MAX_CONNECTIONS];
static struct connection *free_list[MAX_CONNECTIONS]; /* a stack of those that are FREE */
static bool stopping;
long long now;
unsigned free_connections;

/* For each provided buffer that a connection holds: its unread bytes, and the connection's next buffer. */
static struct {
    uint16_t next, from, length;
} held[PROVIDED_BUFFERS];

static void advance(struct connection *c);
static void close_connection(struct connection *c);

/* ---- receiving ---- */

static void start_receiving(struct connection *c)
{
    if (c->receiving || c->ended)
        return;
    size_t from = c->state == IDLE ? c->input_length : 0; /* DRAINING discards what it receives */
    ops->receive(c->socket, c->input + from, sizeof(c->input) - from, c->own_memory, c);
    c->receiving = true;
    c->cancelled = false;
    c->pending++;
}

static void stop_receiving(struct connection *c)
{
    if (c->receiving && !c->cancelled)
        ops->cancel(RECEIVE, c);
    c->cancelled = true;
}

/* Moves held data to `input`, as far as there is room. */
static void consume_held(struct connection *c)
{
    while (c->held_first != NO_BUFFER && c->input_length < sizeof(c->input)) {
        uint16_t number = c->held_first;
        size_t room = sizeof(c->input) - c->input_length;
        size_t part = held[number].length < room ? held[number].length : room;
        memcpy(c->input + c->input_length, ops->buffer(number) + held[number].from, part);
        c->input_length += part;
        held[number].from += (uint16_t)part;
        held[number].length -= (uint16_t)part;
        if (held[number].length > 0)
            return;
        c->held_first = held[number].next;
        ops->give_back(number);
    }
}

static void drop_held(struct connection *c)
{
    for (; c->held_first != NO_BUFFER; c->held_first = held[c->held_first].next)
        ops->give_back(c->held_first);
}

/* Appends a buffer to the held ones. While some data does not fit into `input`, receiving is stopped. */
static void hold(struct connection *c, uint16_t number, size_t length)
{
    held[number].next = NO_BUFFER;
    held[number].from = 0;
    held[number].length = (uint16_t)length;
    if (c->held_first == NO_BUFFER)
        c->held_first = number;
    else
        held[c->held_last].next = number;
    c->held_last = number;
    consume_held(c);
    if (c->held_first != NO_BUFFER)
        stop_receiving(c);
}

void connection_received(struct connection *c, int result, unsigned flags)
{
    bool useful = c->state != DRAINING && c->state != CLOSING;
    if (result > 0 && c->state == IDLE && c->input_length == 0)
        c->deadline = now + REQUEST_PATIENCE;
    if (!(flags & CQE_MORE)) {
        c->receiving = false;
        c->own_memory = result == -ENOBUFS;
        c->pending--;
    }
    if (flags & CQE_BUFFER) {
        uint16_t number = (uint16_t)(flags >> BUFFER_SHIFT);
        if (result > 0 && useful)
            hold(c, number, (size_t)result);
        else
            ops->give_back(number);
    } else if (result > 0 && useful) {
        c->input_length += (size_t)result;
    }
    if (result == 0) {
        c->ended = true;
    } else if (result < 0 && result != -ENOBUFS && result != -ECANCELED && !is_transient(result)) {
        c->ended = true; /* reset by the client: an answer in flight will fail by itself */
        if (c->state == IDLE)
            close_connection(c);
    }
    if (c->state == IDLE || c->state == DRAINING || c->state == CLOSING)
        advance(c);
}

/* ---- answering ---- */

/* Queues the next piece of the answer. False: everything is sent. */
static bool send_more(struct connection *c)
{
    if (c->sent == c->output_length)
        c->sent = c->output_length = 0;
    const char *content = c->remaining > 0 ? c->file->content : NULL;
    size_t room = OUTPUT_BYTES - c->output_length;
    if (content && c->remaining <= COPIED_BYTES && room >= COPIED_BYTES) {
        memcpy(c->output + c->output_length, content + c->offset, (size_t)c->remaining);
        c->output_length += (size_t)c->remaining;
        c->remaining = 0;
        content = NULL;
    }
    if (content) {
        c->parts[0] = (struct iovec){c->output + c->sent, c->output_length - c->sent};
        c->parts[1] = (struct iovec){(char *)content + c->offset, (size_t)c->remaining};
        c->message = (struct msghdr){.msg_iov = c->parts, .msg_iovlen = 2};
        ops->send_message(c->socket, &c->message, c);
        c->pending++;
    } else if (c->sent == 0 && c->remaining > 0 && room > 0) {
        c->wanted = c->remaining < (off_t)room ? (size_t)c->remaining : room;
        ops->read_and_send(c->file->descriptor, c->output + c->output_length, c->wanted, c->offset, c->socket,
                           c->output, c->output_length + c->wanted, c);
        c->reading = true;
        c->pending += ops->skips_success ? 1 : 2;
    } else if (c->sent < c->output_length) {
        ops->send(c->socket, c->output + c->sent, c->output_length - c->sent, c);
        c->pending++;
    } else {
        return false;
    }
    return true;
}

static void answer(struct connection *c, struct answer answer)
{
    c->state = ANSWERING;
    c->deadline = now + ANSWER_PATIENCE;
    c->accepted = 0;
    c->output_length = answer.length;
    c->sent = 0;
    c->offset = answer.offset;
    c->remaining = answer.size;
    send_more(c);
}

/* Answers with an error and closes the connection after it. */
static void refuse(struct connection *c, int status)
{
    c->request.keep_alive = false;
    c->head_length = c->input_length;
    c->linger = true;
    answer(c, http_refuse(&c->request, status, c->output));
}

static void answer_with_file(struct connection *c)
{
    int error = c->file->error;
    if (stopping)
        c->request.keep_alive = false;
    if (error == 0) {
        answer(c, http_answer(&c->request, &c->file->document, c->output));
        return;
    }
    int status = error == ENOENT || error == ENOTDIR || error == EXDEV || error == ELOOP ||
                         error == ENAMETOOLONG || error == ENXIO || error == ENODEV
                     ? 404
                 : error == EACCES || error == EPERM                     ? 403
                 : error == EMFILE || error == ENFILE || error == ENOMEM ? 503
                                                                         : 500;
    answer(c, http_refuse(&c->request, status, c->output));
}

static void start_answer(struct connection *c)
{
    char path[HTTP_MAX_PATH];
    int status = http_parse(c->input, c->head_length, &c->request, path);
    if (status != 0) {
        refuse(c, status);
        return;
    }
    c->file = files_take(path, now);
    if (!c->file) {
        refuse(c, 503);
    } else if (c->file->is_ready) {
        answer_with_file(c);
    } else {
        c->state = OPENING;
        c->next_waiting = c->file->waiting;
        c->file->waiting = c;
    }
}

void connections_file_ready(struct file *file)
{
    for (struct connection *c = file->waiting, *next; c; c = next) {
        next = c->next_waiting;
        answer_with_file(c);
    }
    files_release(file);
}

/* ---- opening, waiting, closing ---- */

static void await_request(struct connection *c)
{
    if (stopping && c->input_length == 0) {
        close_connection(c);
        return;
    }
    c->state = IDLE;
    c->request = (struct request){0}; /* an error before the next is parsed has nothing to do with the last */
    c->waiting_since = now;
    c->deadline = now + (c->input_length > 0 ? REQUEST_PATIENCE : IDLE_PATIENCE);
    advance(c);
}

void connections_init(void)
{
    for (size_t i = MAX_CONNECTIONS; i > 0; i--) /* the first one on top */
        free_list[free_connections++] = &connections[i - 1];
}

void connection_open(int socket)
{
    struct connection *c = free_list[--free_connections];
    memset(c, 0, offsetof(struct connection, input));
    c->held_first = NO_BUFFER;
    c->socket = socket;
    await_request(c);
}

static void close_connection(struct connection *c)
{
    if (c->state != CLOSING)
        drop_held(c);
    c->state = CLOSING;
    stop_receiving(c);
    if (c->pending > 0)
        return; /* the kernel may still read the file's content, or send from it, until they complete */
    if (c->file)
        files_release(c->file);
    ops->close_socket(c->socket);
    c->state = FREE;
    free_list[free_connections++] = c;
}

/* The whole answer is sent. */
static void finish_answer(struct connection *c)
{
    if (c->file)
        files_release(c->file);
    c->file = NULL;
    c->input_length -= c->head_length;
    memmove(c->input, c->input + c->head_length, c->input_length);
    if (c->request.keep_alive) {
        await_request(c);
    } else if (c->linger || c->input_length > 0 || c->held_first != NO_BUFFER) {
        c->state = DRAINING;
        c->waiting_since = now;
        c->deadline = now + DRAIN_PATIENCE;
        drop_held(c);
        ops->shutdown(c->socket, c);
        c->pending++;
        advance(c);
    } else {
        close_connection(c);
    }
}

/* Does what is possible for a connection that waits for its client. */
static void advance(struct connection *c)
{
    switch (c->state) {
    case IDLE:
        consume_held(c);
        c->head_length = http_head_length(c->input, c->input_length);
        if (c->head_length > 0)
            start_answer(c);
        else if (c->input_length == sizeof(c->input))
            refuse(c, memchr(c->input, '\n', c->input_length) ? 431 : 414);
        else if (!c->ended)
            start_receiving(c);
        else if (c->input_length > 0)
            refuse(c, 400);
        else
            close_connection(c);
        break;
    case DRAINING:
        start_receiving(c);
        if (c->ended)
            close_connection(c);
        break;
    case CLOSING:
        close_connection(c);
        break;
    default:
        break;
    }
}

/* `size` bytes of the file were read into `output`. */
static void loaded(struct connection *c, size_t size)
{
    c->output_length += size;
    c->offset += (off_t)size;
    c->remaining -= (off_t)size;
    c->reading = false;
}

void connection_sent(struct connection *c, int result)
{
    c->pending--;
    if (c->state == CLOSING) {
        close_connection(c);
        return;
    }
    if (c->reading) /* no completion of the linked READ (CQE_SKIP_SUCCESS): it succeeded */
        loaded(c, c->wanted);
    if (result == -ECANCELED && c->cut) {
        c->cut = false; /* the bytes that were read are sent below */
        result = 0;
    }
    if (c->remaining < 0 || (result < 0 && !is_transient(result))) {
        close_connection(c);
        return;
    }
    if (result > 0) {
        size_t rest = c->output_length - c->sent, part = (size_t)result < rest ? (size_t)result : rest;
        c->sent += part;
        c->offset += (off_t)((size_t)result - part); /* the rest was cached content */
        c->remaining -= (off_t)((size_t)result - part);
        c->accepted += (size_t)result;
        if (c->accepted >= OUTPUT_BYTES) { /* not for fewer: a byte now and then must not keep a connection */
            c->deadline = now + ANSWER_PATIENCE;
            c->accepted = 0;
        }
    }
    if (!send_more(c))
        finish_answer(c);
}

/* With skips_success, READ completes only if it was short or failed. */
void connection_read(struct connection *c, int result)
{
    c->cut = result != (int)c->wanted;
    if (!ops->skips_success)
        c->pending--;
    if (result > 0) {
        loaded(c, (size_t)result);
    } else {
        c->reading = false;
        c->remaining =
            -1; /* the file has shrunk or cannot be read: close early, so that the client notices */
    }
    if (ops->skips_success)
        connection_sent(c, -ECANCELED);
}

void connection_shut_down(struct connection *c)
{
    c->pending--;
    advance(c);
}

/* Ends a connection whose deadline has passed, with 408 if a request has begun to arrive. */
static void enforce_deadline(struct connection *c)
{
    if (c->state == IDLE && c->input_length > 0) {
        refuse(c, 408);
        return;
    }
    if (c->state == OPENING)
        return; /* not the client's fault */
    c->cancelled = false;
    if (c->state == ANSWERING || c->state == CLOSING)
        ops->cancel(SEND, c);
    close_connection(c);
}

void connections_expire(void)
{
    for (size_t i = 0; i < MAX_CONNECTIONS; i++)
        if (connections[i].state != FREE &&
            (connections[i].deadline < now || connections[i].state == CLOSING))
            enforce_deadline(&connections[i]);
}

void connections_make_room(void)
{
    struct connection *oldest = NULL;
    for (struct connection *c = connections; c < connections + MAX_CONNECTIONS; c++)
        if ((c->state == IDLE || c->state == DRAINING) &&
            (!oldest || c->waiting_since < oldest->waiting_since))
            oldest = c;
    if (oldest && oldest->waiting_since + LEAST_PATIENCE < now)
        close_connection(oldest);
}

void connections_stop(void)
{
    stopping = true;
    for (size_t i = 0; i < MAX_CONNECTIONS; i++)
        if (connections[i].state == IDLE && connections[i].input_length == 0)
            close_connection(&connections[i]);
}
