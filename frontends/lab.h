/*
 * lab.h: `parallax lab`: exercises of a course, and who checks their answers. docs/labs has the
 * tasks and what a student begins with; README.md there says how an answer is given.
 *
 * Right answers stand nowhere: each checker runs the machine, and compares.
 */
#pragma once

#include "base/err.h"
#include "base/stats.h"
#include "machine/vm.h"
#include <stdio.h>

/* argv: what follows the word lab. Returns the exit code: 0 solved, 1 not yet, 2 usage. */
int lab_command(int argc, char **argv);

/* ---- for checkers ---------------------------------------------------------------------------- */

struct lab_verdict {
    FILE *out;
    unsigned right, wrong;
};

/* One point of the answer, and whether it is right. hint: what to look at if not; may be NULL. */
PRINTF_LIKE(4, 5)
bool lab_judge(struct lab_verdict *v, bool right, const char *hint, const char *fmt, ...);

#define LAB_TEXT 4096u

/* What a student's guest did, under -icount: it repeats. */
struct lab_run {
    enum vm_stop why;
    u64 insns;
    struct stats stats;
    char said[LAB_TEXT]; /* on port E9h; cut off if longer */
    size_t len;
};

struct lab_machine {
    const char *kernel;
    const char *pv;    /* NULL: none */
    bool pv_exits;     /* -pv-inline off */
    const char *accel; /* NULL: interp */
};

bool lab_run(const struct lab_machine *m, struct lab_run *r, struct err *e);

/* Each takes the answer's words, as many as its row in lab.c says. False: the answer could not be
 * judged. */
bool lab_hypercall(char *const *answer, struct lab_verdict *v, struct err *e);
bool lab_tlb(char *const *answer, struct lab_verdict *v, struct err *e);
bool lab_popek(char *const *answer, struct lab_verdict *v, struct err *e);
bool lab_count(char *const *answer, struct lab_verdict *v, struct err *e);
bool lab_device(char *const *answer, struct lab_verdict *v, struct err *e);

struct dev_class;
/* Of lab_device; cls NULL: there is none of the name. */
void lab_judge_device(const struct dev_class *cls, struct lab_verdict *v);
