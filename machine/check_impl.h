/* check_impl.h: shared by check.c and check_report.c only. */
#pragma once

#include "machine/check.h"
#include "machine/vm_impl.h"

#define CHECK_NO_EXCEPTION 0xff /* excp.vector, until a slice raises one */

/* Two machines in step, and where they are. */
struct check {
    struct vm *vm[2]; /* interpreter, translator */
    u64 start;        /* instructions executed when the running slice began */
    gva_t start_rip;  /* linear */
    const char *what; /* the first difference; NULL: none */
    char detail[160]; /* its values, or where it is in memory */
    gpa_t ram_at;     /* of a difference in memory */
    bool in_ram;
    u64 compared;     /* instruction count of the last comparison of memory */
    u64 slices;
};

/* Compares everything but memory; sets what and detail. False: a difference. */
bool check_compare(struct check *c);
/* Compares RAM; sets what, detail and ram_at. */
bool check_compare_ram(struct check *c);
/* Registers side by side. */
void check_report(const struct check *c, FILE *out);
/* The instruction that runs next. */
void check_print_next(struct vm *vm, FILE *out);
