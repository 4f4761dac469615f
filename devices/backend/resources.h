/*
 * resources.h: what options name and devices ask for by that name: streams (-chardev), sources of
 * random numbers (-object rng-random), folders of the host (-fsdev).
 *
 * Not here: disks (block/drive.h) and networks (net.h).
 */
#pragma once

#include "base/err.h"
#include "base/rng.h"
#include "base/types.h"

struct chardev;

struct stream_entry {
    const char *id;
    struct chardev *chr;
};

struct entropy_entry {
    const char *id;
    const char *file; /* a character device; NULL: what the host's kernel gives */
};

struct share_entry {
    const char *id, *path;
    bool readonly;
    bool mapped; /* owners, modes and special files are kept in extended attributes */
};

/* Strings and streams are the caller's and outlive the devices. */
struct resources {
    const struct stream_entry *streams;
    unsigned stream_count;
    const struct entropy_entry *entropies;
    unsigned entropy_count;
    const struct share_entry *shares;
    unsigned share_count;
    struct rng *seeded; /* where random numbers are to be the same in every run; else NULL */
};

/* NULL with an error that names what is there; `res` NULL has nothing. */
struct chardev *resources_stream(const struct resources *res, const char *id, struct err *e);
const struct entropy_entry *resources_entropy(const struct resources *res, const char *id,
                                              struct err *e);
const struct share_entry *resources_share(const struct resources *res, const char *id,
                                          struct err *e);
