/* gdb_impl.h: the gdb stub's parts: gdb.c packets, gdb_query.c questions, gdb_desc.c registers,
 * gdb_point.c breakpoints, gdb_agent.c their conditions. */
#pragma once

#include "frontends/debugger.h"
#include "frontends/endpoint.h"
#include "frontends/gdb.h"

#define GDB_PACKET_MAX 0x4000u /* what we take and send at once, in bytes between $ and # */
#define GDB_DESC_MAX 128u      /* registers of a description */
#define GDB_XML_MAX 32768u

/* Which description gdb holds. */
enum gdb_arch { GDB_I8086, GDB_I386, GDB_X86_64 };

struct gdb_desc_reg {
    const struct reg *reg; /* NULL: there is none, it reads as 0 */
    u16 bits;              /* as gdb sees it */
    bool in_g;             /* sent with all others */
};

struct gdb {
    struct debugger *d;
    struct endpoint *port; /* NULL: fuzzing */
    enum gdb_arch arch;
    struct gdb_desc_reg regs[GDB_DESC_MAX];
    unsigned reg_count;
    bool told_arch; /* that it does not fit the mode any more */
    char xml[GDB_XML_MAX];
    unsigned thread; /* of g, m ...: 0 to cpus - 1 */
    bool waits;      /* gdb waits for the machine to stop */
    bool no_ack;
    bool physical; /* memory is physical (QEMU's PhyMemMode) */
    unsigned sstep;
    gdb_monitor_fn *monitor;
    void *monitor_opaque;
    /* the packet that comes in */
    enum { GDB_IDLE, GDB_BODY, GDB_SUM1, GDB_SUM2 } state;
    u8 in[GDB_PACKET_MAX + 1];
    size_t in_len;
    bool in_too_long, escaped;
    u8 sum, said;
    /* the one that goes out */
    char out[2 * GDB_PACKET_MAX + 8];
    size_t out_len;
    bool reply_later; /* the answer is the next stop */
};

/* QEMU's bits of single-stepping */
#define SSTEP_ENABLE 1u
#define SSTEP_NOIRQ 2u
#define SSTEP_NOTIMER 4u

struct cpu *gdb_cpu(struct gdb *g);

/* ---- answers --------------------------------------------------------------------------------- */

void gdb_put(struct gdb *g, const char *text);
void gdb_putf(struct gdb *g, const char *fmt, ...) PRINTF_LIKE(2, 3);
void gdb_put_hex(struct gdb *g, const void *bytes, size_t len);
void gdb_put_binary(struct gdb *g, const void *bytes, size_t len);
/* "Enn" */
void gdb_error(struct gdb *g, unsigned n);
/* Sends what was put as one packet. */
void gdb_send(struct gdb *g);

/* ---- parsing --------------------------------------------------------------------------------- */

/* A hexadecimal number of 1 to 16 digits; false: none. */
bool gdb_hex(const char **p, u64 *v);
/* The character, and moves on. */
bool gdb_char(const char **p, char c);
/* Pairs of digits; returns how many bytes there were, at most `max`. */
size_t gdb_hex_bytes(const char **p, u8 *bytes, size_t max);
/* A thread's number: *n from 0; -1 for all and any. False: no such. */
bool gdb_thread(struct gdb *g, const char **p, int *n);

/* ---- parts ----------------------------------------------------------------------------------- */

/* gdb_desc.c: makes regs and xml for the mode of the first CPU. */
void gdb_describe(struct gdb *g);
enum gdb_arch gdb_arch_of(const struct cpu *cpu);
const char *gdb_arch_name(enum gdb_arch a);
void gdb_read_reg(struct gdb *g, unsigned n, u8 bytes[32]);
bool gdb_write_reg(struct gdb *g, unsigned n, const u8 bytes[32]);

/* gdb_query.c: q, Q and v packets but vCont; an empty answer to those unknown. */
void gdb_query(struct gdb *g, const char *p);
void gdb_set(struct gdb *g, const char *p);

/* gdb_point.c: Z and z. */
void gdb_point(struct gdb *g, const char *p, bool insert);
void gdb_remove_points(struct gdb *g);

/* gdb_agent.c: bytecode of a condition. A program that is wrong is true: gdb decides then. */
bool gdb_agent_eval(const struct gdb_desc_reg *regs, unsigned reg_count, struct cpu *cpu,
                    const u8 *code, size_t len);
