/*
 * report.h: what every report shares: tables as wide as they need be, colours and progress on a
 * terminal only, numbers for people, what there is to say of host and program in a JSON file.
 */
#pragma once

#include "base/err.h"
#include "base/stats.h"
#include "base/types.h"
#include "frontends/json.h"
#include <stdio.h>

struct vm;

#define PARALLAX_VERSION "0.1.0"
#define TABLE_COLUMNS 16

/* A table of text: the first column is left-aligned, the others right-aligned. */
struct table {
    char ***rows; /* NULL: a rule */
    size_t count, cap;
    unsigned columns;
    bool failed;
};

void table_init(struct table *t, unsigned columns);
/* One cell per column, NULL: empty. */
void table_row(struct table *t, const char *const *cells);
void table_rule(struct table *t);
/* The first row is the heading. */
void table_print(const struct table *t, FILE *out);
void table_free(struct table *t);

/* Columns of the terminal; 80 when `out` is none. */
unsigned report_width(FILE *out);
/* "12", "3.46 k", "1.20 M": three to four digits. */
const char *report_number(char buf[16], double v);
const char *report_ns(char buf[16], double ns); /* "1.23 ms" */

/* A growing text; after memory ran out `failed`, and empty. */
struct report_text {
    char *text;
    size_t len, cap;
    bool failed;
};
void report_printf(struct report_text *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
bool report_text_write(const char *path, const struct report_text *t, struct err *e);
void report_text_free(struct report_text *t);
/* A bar of `share` (0 to 1) of `columns` columns, in eighths. */
const char *report_bar(char buf[128], double share, unsigned columns);

/* Progress: one line on standard error, rewritten; nothing unless it is a terminal. */
void progress_show(const char *fmt, ...) PRINTF_LIKE(1, 2);
void progress_clear(void);

/* Early answer to "can this report be written?", so that it is not refused after minutes. */
bool report_check_writable(const char *path, struct err *e);
bool report_write_json(const char *path, const struct json *j, struct err *e);
/* Members: program, version, host, command. */
void report_json_header(struct json *j, int argc, char **argv);
/* Members of a finished run: classes with count, served, cycles; features of the personality. */
void report_json_stats(struct json *j, const struct stats *st);
/* Sensitive instructions and exits by class. */
void report_classes(const struct stats *st, FILE *out);
void report_stats(struct vm *vm, u64 wall_ns, u64 cpu_ns, bool icount, FILE *out);
void report_json_vm(struct json *j, struct vm *vm, u64 wall_ns, u64 cpu_ns, bool icount);
