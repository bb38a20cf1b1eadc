/* What happens to a connection, from its socket's first byte to its close. */
#ifndef CONNECTION_H
#define CONNECTION_H

#include <errno.h>
#include <stdbool.h>

struct connection; /* the owner of the requests that are about it: see ring_owner() */
struct file;

extern long long now; /* milliseconds, as of the last completions */
extern unsigned free_places;

void connections_init(void);

/* Takes a free place, of which there has to be one, for a socket that was accepted. */
void connection_open(int socket);

/* Take the completions of kind RECEIVE, READ, SEND and SHUTDOWN. */
void connection_received(struct connection *c, int result, unsigned flags);
void connection_read(struct connection *c, int result);
void connection_sent(struct connection *c, int result);
void connection_shut_down(struct connection *c);

/* Tells all that wait for a file that it is ready. */
void connections_file_ready(struct file *file);

/* Ends what takes too long. */
void connections_expire(void);

/* Lets go who has asked for nothing yet, and everybody else with his answer. */
void connections_stop(void);

/* Errors that say no more than "once again". */
static inline bool is_passing(int error)
{
    return error == -EINTR || error == -EAGAIN;
}

#endif
