/*
 * measure.h: one measured run of a guest under one personality, in a child process: what
 * `parallax compare` repeats.
 */
#pragma once

#include "base/stats.h"
#include "frontends/config.h"

#define MEASURE_FEATURES 32
#define MEASURE_PHASES 16

/* A part of the run that the guest marks by lines on COM1 or port E9h, PARALLAX-BEGIN NAME and
 * PARALLAX-END NAME; all of one name together. With several CPUs the counts of one that is in the
 * middle of a slice may lag by it. */
struct measured_phase {
    char name[32];
    u64 times, wall_ns, cpu_ns, insns;
    struct stats stats;
};

/* What stands for disks and network cards: as the options say, or all emulated, or all virtio. */
enum devices { DEVICES_AS_GIVEN, DEVICES_EMULATED, DEVICES_VIRTIO };

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
    unsigned phase_count;
    struct measured_phase phase[MEASURE_PHASES];
    char last_line[160];  /* of the console */
    unsigned console_len; /* its first bytes */
    char console[24 * 1024];
};

struct measure_job {
    const struct config *config;
    const char *pv;
    const char *accel; /* NULL: as the options say */
    enum devices devices;
    bool no_evidence; /* it need not show what its personality does */
    bool exact; /* under -icount, for counts that repeat */
    bool only_create; /* no run: are options and files right? */
    void (*tick)(void *opaque, u64 elapsed_ns);
    void *opaque;
};

/* False when the host or the options are at fault; what the guest did is in `m`. */
bool measure_run(const struct measure_job *job, struct measured *m, struct err *e);
/* Why this run cannot count, with a hint; true when it can. */
bool measure_check(const struct measure_job *job, const struct measured *m, struct err *e);
