/* The connections of one ring. */
#ifndef SERVER_H
#define SERVER_H

/* Serves until SIGTERM or SIGINT, which the caller has blocked; then finishes answers in progress and
 * returns. */
void server_run(int listener);

#endif
