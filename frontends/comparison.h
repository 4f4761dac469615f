/*
 * comparison.h: a comparison: its sides, what was measured of each, and the values that every report
 * makes of that.
 *
 * A side is one way to run the guest: a personality with its features, devices, engine. Sides run in
 * turn, and each is compared with one other, its reference.
 */
#pragma once

#include "frontends/measure.h"
#include "frontends/samples.h"

#define MAX_SIDES 128

enum side_kind {
    SIDE_PLAIN,   /* a personality as it was named */
    SIDE_NOTHING, /* the same with every feature off: what detection alone does */
    SIDE_WITHOUT, /* with all but one feature */
    SIDE_ONLY,    /* with one feature alone */
};

struct side {
    char name[96]; /* "kvm", "kvm,-pv-eoi", "kvm virtio interp" */
    char pv[160];  /* for -pv */
    const char *accel; /* NULL: as the options say */
    enum devices devices;
    enum side_kind kind;
    char feature[24];      /* of WITHOUT and ONLY */
    unsigned reference;    /* the side that its ratios refer to; its own number: none */
    struct measured *runs; /* of cmp->runs */
    unsigned count;        /* of them done */
    struct measured *exact; /* one more, under -icount; NULL: none */
};

struct comparison {
    const struct config *config;
    unsigned runs;    /* of each side at most */
    unsigned warmups; /* runs of each that do not count */
    unsigned count;
    struct side side[MAX_SIDES];
    char note[200]; /* why there are no exact counts; "": there are */
};

/* ---- compare_sides.c ------------------------------------------------------------------------- */

struct side_options {
    const char *pv_list, *devices; /* as the options say; NULL: default */
    bool each_feature, each_engine;
};

/* The plain sides. False: the words are wrong. */
bool sides_make(struct comparison *cmp, const struct side_options *o, struct err *e);
/* The sides of -each-feature for plain side n, whose features `m` tells. */
bool sides_add_features(struct comparison *cmp, unsigned n, const struct measured *m, struct err *e);
/* Takes the last side away. */
void sides_drop_last(struct comparison *cmp);

/* ---- comparison.c: values -------------------------------------------------------------------- */

enum value {
    VALUE_WALL,
    VALUE_CPU,
    VALUE_INSNS,
    VALUE_EXITS, /* served by leaving the block */
    VALUE_EXIT_CYCLES,
    VALUE_RSS,
    VALUE_CLASS,        /* executions of class `arg` */
    VALUE_CLASS_EXITS,  /* those that left the block */
    VALUE_CLASS_CYCLES, /* host cycles of these */
    VALUE_PHASE_WALL,   /* of phase `arg` */
    VALUE_PHASE_CPU,
    VALUE_PHASE_INSNS,
    VALUE_PHASE_EXITS,
};

double measured_value(const struct measured *m, enum value v, unsigned arg);
struct summary side_summary(const struct comparison *cmp, unsigned side, enum value v, unsigned arg);
/* The value of the exact run, or, if there is none, the median of the others. */
double side_count(const struct comparison *cmp, unsigned side, enum value v, unsigned arg);
/* The median's ratio to the reference's, with its 95 % interval; ratio 0: there is none. */
struct interval side_ratio(const struct comparison *cmp, unsigned side, enum value v, unsigned arg);
/* How often a feature did its work, in the run that tells most; on: it is switched on. */
u64 side_feature(const struct comparison *cmp, unsigned side, const char *feature, bool *on);
/* Names of phases in the order in which they were first seen; NULL beyond the last. */
const char *comparison_phase(const struct comparison *cmp, unsigned n);
/* Classes that any side executed, those with the most first; returns how many. */
unsigned comparison_classes(const struct comparison *cmp, enum value v, unsigned classes[STAT_COUNT]);
