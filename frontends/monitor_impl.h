/* monitor_impl.h: the monitor's parts: monitor.c table, help and running a line; monitor_run.c run
 * control; monitor_point.c points; monitor_mem.c memory and expressions; monitor_cpu.c,
 * monitor_paging.c and monitor_machine.c what `info` shows and orders to devices; monitor_port.c
 * who gives commands. */
#pragma once

#include "frontends/debugger.h"
#include "frontends/monitor.h"
#include "frontends/symbols.h"
#include "machine/expr.h"

#define MONITOR_SESSIONS 4u
#define MONITOR_LINE 1024u /* bytes of a line, most */

struct session;

struct monitor {
    struct debugger *d;
    struct vm *vm;
    FILE *out; /* of the command that runs */
    unsigned cpu;
    struct symbols symbols;
    struct expr_names names;
    unsigned depth; /* of `source` in each other */
    u64 x_next;     /* where `x` without an address goes on */
    /* What `finish` and `step N` still have to do when the machine stops. */
    bool finishing;
    bool was_return; /* the instruction that runs now is a RET or the like */
    u64 finish_sp;
    unsigned run_to; /* the point of `next`, `until` and `finish`; 0: none */
    bool arrived;    /* the machine stopped there */
    u64 steps;
    struct session *session[MONITOR_SESSIONS];
};

/* A command: its arguments, without blanks at both ends. False with an error. */
typedef bool monitor_fn(struct monitor *m, const char *args, struct err *e);

struct cpu *monitor_cpu(const struct monitor *m);

/* ---- arguments ------------------------------------------------------------------------------- */

/* An expression at *p, which moves behind it. */
bool monitor_value(struct monitor *m, const char **p, u64 *v, struct err *e);
/* The same as the whole rest. */
bool monitor_only_value(struct monitor *m, const char *p, u64 *v, struct err *e);
/* A character that may be there, with blanks around it. */
bool monitor_char(const char **p, char c);
/* A word up to a blank; returns its length and moves behind it and the blanks. */
size_t monitor_word(const char **p, const char **word);
bool monitor_no_more(const char *p, struct err *e);

/* ---- text ------------------------------------------------------------------------------------ */

/* " <start_kernel+0x12>", or nothing. */
const char *monitor_symbol(const struct monitor *m, u64 addr, char text[128]);
/* Prints an instruction; returns its length, 0 where there is none. */
unsigned monitor_insn(struct monitor *m, FILE *out, gva_t at);
/* Where the CPU is: CS:IP in real mode, the instruction. */
void monitor_where(struct monitor *m, FILE *out);

/* ---- input ----------------------------------------------------------------------------------- */

/* The key that QEMU calls so, or that prints the character. */
bool monitor_key(const char *name, size_t len, u8 *usage);

/* ---- run control ----------------------------------------------------------------------------- */

/* The machine has stopped: false when it goes on by itself, because of `finish` or `step N`. */
bool monitor_has_stopped(struct monitor *m, enum vm_stop why);
/* Why, in a line or two. */
void monitor_say_why(struct monitor *m, enum vm_stop why, bool ended, FILE *out);

/* monitor_port.c */
void monitor_close_sessions(struct monitor *m);
/* Text for all who listen. */
void monitor_tell_all(struct monitor *m, const char *text);

/* clang-format off */
#define CMD(name, short_, args, fn, help) monitor_fn fn;
#define INFO(name, args, fn, help) monitor_fn fn;
#include "frontends/monitor.def"
/* clang-format on */
