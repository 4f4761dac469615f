/*
 * child.h: runs a function in a process of its own, so that CPU time and memory are its own and a
 * crash is contained; the result comes back through a pipe.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"

struct child_job {
    void (*run)(const void *arg, void *result); /* in the child; fills the zeroed result */
    const void *arg;
    void *result;
    size_t size;
    void (*tick)(void *opaque, u64 elapsed_ns); /* in the parent, some times a second; or NULL */
    void *opaque;
};

/* False when the child died or the host gave none. */
bool child_run(const struct child_job *job, struct err *e);
