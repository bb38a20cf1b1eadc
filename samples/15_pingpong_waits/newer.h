/* What older headers of liburing lack, by the names of the newest without IORING_; the manual pages describe
 * it. */
#ifndef NEWER_H
#define NEWER_H

#include <liburing.h>
#include <stdint.h>

#define FEAT_SQPOLL_NONFIXED    (1U << 7)
#define FEAT_EXT_ARG            (1U << 8)
#define FEAT_CQE_SKIP           (1U << 11)
#define FEAT_MIN_TIMEOUT        (1U << 15)
#define SETUP_R_DISABLED        (1U << 6)
#define SETUP_SINGLE_ISSUER     (1U << 12)
#define SETUP_DEFER_TASKRUN     (1U << 13)
#define SQE_CQE_SKIP_SUCCESS    (1U << 6)
#define ENTER_EXT_ARG           (1U << 3)
#define ENTER_EXT_ARG_REG       (1U << 6)
#define REGISTER_ENABLE_RINGS   12
#define REGISTER_MEM_REGION     34
#define MEM_REGION_TYPE_USER    1
#define MEM_REGION_REG_WAIT_ARG 1
#define REG_WAIT_TS             1

/* The argument of io_uring_enter() with ENTER_EXT_ARG. */
struct getevents_arg {
    uint64_t sigmask;
    uint32_t sigmask_sz, min_wait_usec;
    uint64_t ts;
};

/* What it reads from a registered region, with ENTER_EXT_ARG_REG. */
struct reg_wait {
    struct __kernel_timespec ts;
    uint32_t min_wait_usec, flags;
    uint64_t sigmask, unused[4];
};

#endif
