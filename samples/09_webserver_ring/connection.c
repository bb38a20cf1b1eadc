/*
 * What happens to a connection, as a state machine. Its state says what it is about; what it waits for are
 * the requests that it has in flight, and `pending` counts them: only when there are none may its place be
 * reused.
 *
 *   IDLE       a request has to arrive, or the rest of it
 *   OPENING    the file that it names is being opened, by this connection or by another
 *   ANSWERING  the head of the answer is sent, and the file block by block: READ and SEND in one go
 *   DRAINING   it was told that this was the last answer; what it still sends is thrown away
 *   CLOSING    everything in flight has been cancelled, and has to come back
 *
 * Memory is a fixed number of places: none is allocated, so none can leak. Where all are taken, no connection
 * is accepted until one ends.
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
#define COPIED_BYTES ((off_t)4096) /* up to here it is cheaper to copy a kept content behind the head */

/* Milliseconds. */
#define REQUEST_PATIENCE (10 * 1000) /* for a whole request, from its first byte on */
#define IDLE_PATIENCE    (30 * 1000) /* for its first byte */
#define ANSWER_PATIENCE  (10 * 1000) /* for a piece of the answer to be taken */
#define DRAIN_PATIENCE   (5 * 1000)  /* for the client to close */

enum state { FREE, IDLE, OPENING, ANSWERING, DRAINING, CLOSING };

#define NO_BUFFER UINT16_MAX

struct connection {
    _Alignas(1 << KIND_BITS) enum state state;
    int socket;
    unsigned pending;
    bool receiving; /* a RECEIVE is in flight, and who cancels it does so once */
    bool cancelled;
    bool own_memory; /* lent buffers have run out: the next RECEIVE is into `input` */
    bool ended;      /* the client sends no more */
    bool linger; /* it may still be sending: closing at once would reset the connection and lose the answer */
    bool reading; /* a READ and its SEND are in flight */
    bool cut;     /* the READ brought less, so that its SEND is not done */
    long long deadline;

    size_t input_length;            /* bytes in `input`, */
    size_t head_length;             /* of which the request being answered takes so many */
    uint16_t held_first, held_last; /* lent buffers whose content has no place in `input` yet */
    struct request request;
    struct file *file;
    struct connection *next_waiting;

    off_t offset, remaining; /* of the file: where the next block begins, and how much there is to read */
    size_t wanted;           /* the block being read */
    size_t output_length, sent;
    struct iovec parts[2]; /* the head, and what is kept of the file */
    struct msghdr message;

    char input[HTTP_MAX_HEAD];
    char output[OUTPUT_BYTES];
};

static struct connection connections[MAX_CONNECTIONS];
static struct connection *places[MAX_CONNECTIONS]; /* those that are free, the next one to be taken on top */
static bool stopping;
long long now;
unsigned free_places;

/* A lent buffer that is held: what is in it, and the next one of the same connection. */
static struct {
    uint16_t next, from, length;
} held[LENT_BUFFERS];

static void advance(struct connection *c);
static void close_connection(struct connection *c);

/* ---- receiving ---- */

static void start_receiving(struct connection *c)
{
    if (c->receiving || c->ended)
        return;
    bool keep = c->state == IDLE; /* when draining, it is only to be thrown away */
    size_t from = keep ? c->input_length : 0;
    ring_receive(c->socket, c->input + from, sizeof(c->input) - from, c->own_memory, c);
    c->receiving = true;
    c->cancelled = false;
    c->pending++;
}

static void stop_receiving(struct connection *c)
{
    if (c->receiving && !c->cancelled)
        ring_cancel(RECEIVE, c);
    c->cancelled = true;
}

/* Moves what is held to where requests are read from, as far as there is room. */
static void take_held(struct connection *c)
{
    while (c->held_first != NO_BUFFER && c->input_length < sizeof(c->input)) {
        uint16_t number = c->held_first;
        size_t room = sizeof(c->input) - c->input_length;
        size_t part = held[number].length < room ? held[number].length : room;
        memcpy(c->input + c->input_length, ring_buffer(number) + held[number].from, part);
        c->input_length += part;
        held[number].from += (uint16_t)part;
        held[number].length -= (uint16_t)part;
        if (held[number].length > 0)
            return;
        c->held_first = held[number].next;
        ring_return(number);
    }
}

static void drop_held(struct connection *c)
{
    for (; c->held_first != NO_BUFFER; c->held_first = held[c->held_first].next)
        ring_return(c->held_first);
}

/* The client has sent more than can be looked at now. It is held; until it is used no more is asked for. */
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
    take_held(c);
    if (c->held_first != NO_BUFFER)
        stop_receiving(c);
}

void connection_received(struct connection *c, int result, unsigned flags)
{
    bool useful = c->state != DRAINING && c->state != CLOSING;
    if (result > 0 && c->state == IDLE && c->input_length == 0)
        c->deadline = now + REQUEST_PATIENCE;
    if (!(flags & GOES_ON)) {
        c->receiving = false;
        c->own_memory = result == -ENOBUFS;
        c->pending--;
    }
    if (flags & HAS_BUFFER) {
        uint16_t number = (uint16_t)(flags >> BUFFER_SHIFT);
        if (result > 0 && useful)
            hold(c, number, (size_t)result);
        else
            ring_return(number);
    } else if (result > 0 && useful) {
        c->input_length += (size_t)result;
    }
    if (result == 0) {
        c->ended = true;
    } else if (result < 0 && result != -ENOBUFS && result != -ECANCELED && !is_passing(result)) {
        c->ended = true; /* reset: an answer in flight will find that out for itself */
        if (c->state == IDLE)
            close_connection(c);
    }
    if (c->state == IDLE || c->state == DRAINING || c->state == CLOSING)
        advance(c);
}

/* ---- answering ---- */

/* Queues the next piece of the answer. False: there is none. */
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
        ring_send_message(c->socket, &c->message, c);
        c->pending++;
    } else if (c->sent == 0 && c->remaining > 0 && room > 0) {
        c->wanted = c->remaining < (off_t)room ? (size_t)c->remaining : room;
        ring_read_and_send(c->file->descriptor, c->output + c->output_length, c->wanted, c->offset, c->socket,
                           c->output, c->output_length + c->wanted, c);
        c->reading = true;
        c->pending += ring_is_modern ? 1 : 2;
    } else if (c->sent < c->output_length) {
        ring_send(c->socket, c->output + c->sent, c->output_length - c->sent, c);
        c->pending++;
    } else {
        return false;
    }
    c->deadline = now + ANSWER_PATIENCE;
    return true;
}

static void answer(struct connection *c, struct answer answer)
{
    c->state = ANSWERING;
    c->output_length = answer.length;
    c->sent = 0;
    c->offset = answer.offset;
    c->remaining = answer.size;
    send_more(c);
}

/* Answers a request that is not understood or will not be carried out, as the last one. */
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

/* ---- the life of a connection ---- */

static void await_request(struct connection *c)
{
    if (stopping && c->input_length == 0) {
        close_connection(c);
        return;
    }
    c->state = IDLE;
    c->deadline = now + (c->input_length > 0 ? REQUEST_PATIENCE : IDLE_PATIENCE);
    advance(c);
}

void connections_init(void)
{
    for (size_t i = MAX_CONNECTIONS; i > 0; i--) /* the first place is on top */
        places[free_places++] = &connections[i - 1];
}

void connection_open(int socket)
{
    struct connection *c = places[--free_places];
    memset(c, 0, offsetof(struct connection, input));
    c->held_first = NO_BUFFER;
    c->socket = socket;
    await_request(c);
}

static void close_connection(struct connection *c)
{
    if (c->state != CLOSING) {
        if (c->file)
            files_release(c->file);
        drop_held(c);
        c->state = CLOSING;
    }
    stop_receiving(c);
    if (c->pending > 0)
        return;
    ring_close_socket(c->socket);
    c->state = FREE;
    places[free_places++] = c;
}

/* The answer is sent. */
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
        c->deadline = now + DRAIN_PATIENCE;
        drop_held(c);
        ring_shutdown(c->socket, c);
        c->pending++;
        advance(c);
    } else {
        close_connection(c);
    }
}

/* Goes on with a connection that waits for its client. */
static void advance(struct connection *c)
{
    switch (c->state) {
    case IDLE:
        take_held(c);
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

/* So much of the file is in the buffer. */
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
    if (c->reading) /* the READ before it has said nothing: it went well */
        loaded(c, c->wanted);
    if (result == -ECANCELED && c->cut) {
        c->cut = false; /* what has been read all the same is sent by itself */
        result = 0;
    }
    if (c->remaining < 0 || (result < 0 && !is_passing(result))) {
        close_connection(c);
        return;
    }
    if (result > 0) {
        size_t rest = c->output_length - c->sent, part = (size_t)result < rest ? (size_t)result : rest;
        c->sent += part;
        c->offset += (off_t)((size_t)result - part); /* what is more was of the kept content */
        c->remaining -= (off_t)((size_t)result - part);
    }
    if (!send_more(c))
        finish_answer(c);
}

/* Where the ring is modern, this comes only if the file did not give as much as was asked for. */
void connection_read(struct connection *c, int result)
{
    c->cut = result != (int)c->wanted;
    if (!ring_is_modern)
        c->pending--;
    if (result > 0) {
        loaded(c, (size_t)result);
    } else {
        c->reading = false;
        c->remaining = -1; /* it has shrunk, or fails: the client will know by the connection's early end */
    }
    if (ring_is_modern)
        connection_sent(c, -ECANCELED);
}

void connection_shut_down(struct connection *c)
{
    c->pending--;
    advance(c);
}

/* Ends what takes too long, in a way that depends on what the client owes us. */
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
        ring_cancel(SEND, c);
    close_connection(c);
}

void connections_expire(void)
{
    for (size_t i = 0; i < MAX_CONNECTIONS; i++)
        if (connections[i].state != FREE &&
            (connections[i].deadline < now || connections[i].state == CLOSING))
            enforce_deadline(&connections[i]);
}

void connections_stop(void)
{
    stopping = true;
    for (size_t i = 0; i < MAX_CONNECTIONS; i++)
        if (connections[i].state == IDLE && connections[i].input_length == 0)
            close_connection(&connections[i]);
}
