/* The connections of one ring. */
#ifndef SERVER_H
#define SERVER_H

/* Serves until SIGTERM or SIGINT, both blocked by the caller: then ends what has been begun, and returns. */
void server_run(int listener);

#endif
