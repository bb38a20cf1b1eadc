/* A connection, from accept to close. */
#ifndef CONNECTION_H
#define CONNECTION_H

#include <stdbool.h>

struct connection; /* the owner of its requests: see ring_owner() */
struct file;

extern long long now; /* milliseconds, when the last completions were read */
extern unsigned free_connections;

void connections_init(void);

/* Begins a connection on an accepted socket; free_connections must not be 0. */
void connection_open(int socket);

/* Handle the completions of kind RECEIVE, READ, SEND and SHUTDOWN. */
void connection_received(struct connection *c, int result, unsigned flags);
void connection_read(struct connection *c, int result);
void connection_sent(struct connection *c, int result);
void connection_shut_down(struct connection *c);

/* Answers all connections that wait for a file. */
void connections_file_ready(struct file *file);

/* Ends connections whose deadline has passed. */
void connections_expire(void);

/* Ends the connection that has waited longest for its client, if that was over two seconds. */
void connections_make_room(void);

/* Closes idle connections now, and the others after their answer. */
void connections_stop(void);

#endif
