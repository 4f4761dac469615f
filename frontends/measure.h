/*
 * measure.h: one measured run of a guest under one personality, in a child process: what
 * `parallax compare` repeats.
 */
#pragma once

#include "base/stats.h"
#include "frontends/config.h"

#define MEASURE_FEATURES 32

struct measured {
    struct err err;       /* exit_code != 0: the VM could not be created */
    enum vm_stop why;
    int exit_code;        /* of the program, had this been `parallax run` */
    bool seen;            /* the -until text */
    bool evidence;        /* the guest printed what shows that it uses the personality */
    u64 wall_ns, cpu_ns;  /* of vm_run */
    u64 insns, rss_bytes;
    struct stats stats;
    unsigned feature_count;
    struct {
        char name[24];
        bool on;
        u64 used;
    } features[MEASURE_FEATURES];
    char last_line[160];  /* of the console */
};

struct measure_job {
    const struct config *config;
    const char *pv;
    bool only_create; /* no run: are options and files right? */
    void (*tick)(void *opaque, u64 elapsed_ns);
    void *opaque;
};

/* False when the host or the options are at fault; what the guest did is in `m`. */
bool measure_run(const struct measure_job *job, struct measured *m, struct err *e);
/* Why this run cannot count, with a hint; true when it can. */
bool measure_check(const struct measure_job *job, const struct measured *m, struct err *e);
