/* A minimal program of a user: include the header, link the library, complete one operation. */
#include <errno.h>
#include <liburing.h>
#include <stdio.h>
#include <string.h>

/* Prints the file that the library was loaded from, by /proc/self/maps. */
static void print_loaded(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[4096];

    while (maps && fgets(line, sizeof(line), maps)) {
        char *path = strchr(line, '/');

        if (path && strstr(path, "/liburing")) {
            printf("loaded %s", path);
            break;
        }
    }
    if (maps)
        fclose(maps);
}

int main(void)
{
    struct io_uring ring;
    struct io_uring_cqe *cqe;
    int error = io_uring_queue_init(4, &ring, 0);

    if (error < 0) { /* many kernels count the rings of a user as locked memory */
        fprintf(stderr, "io_uring_queue_init: %s\n",
                error == -ENOMEM ? "too little locked memory: raise RLIMIT_MEMLOCK (ulimit -l)"
                                 : strerror(-error));
        return 2;
    }
    io_uring_prep_nop(io_uring_get_sqe(&ring));
    if (io_uring_submit(&ring) != 1 || io_uring_wait_cqe(&ring, &cqe) < 0 || cqe->res != 0)
        return 3;
    io_uring_cqe_seen(&ring, cqe);
    io_uring_queue_exit(&ring);
    print_loaded();
#ifdef IO_URING_VERSION_MAJOR /* since 2.4 */
    printf("header %d.%d\nlibrary %d.%d\n", IO_URING_VERSION_MAJOR, IO_URING_VERSION_MINOR,
           io_uring_major_version(), io_uring_minor_version());
#endif
    return 0;
}
