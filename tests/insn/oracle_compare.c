/*
 * oracle_compare.c: what of two results of the same instructions must be equal, and the first thing
 * that is not. See oracle.h.
 */
#include "base/bits.h"
#include "cpu/cpu.h"
#include "tests/insn/oracle.h"
#include "tests/insn/oracle_exceptions.h"
#include <stdio.h>

static unsigned print_bytes(char *p, size_t size, const u8 *b, unsigned n)
{
    unsigned len = 0;
    while (n-- > 0)
        len += (unsigned)snprintf(p + len, size - len, "%02x", b[n]);
    return len;
}

/* The differing bytes of a field, highest first: before, host, ours. */
static void print_field(char *p, size_t size, const char *name, const u8 *before, const u8 *host,
                        const u8 *ours, unsigned n)
{
    int len = snprintf(p, size, "%s before ", name);
    len += (int)print_bytes(p + len, size - (size_t)len, before, n);
    len += snprintf(p + len, size - (size_t)len, " host ");
    len += (int)print_bytes(p + len, size - (size_t)len, host, n);
    len += snprintf(p + len, size - (size_t)len, " ours ");
    print_bytes(p + len, size - (size_t)len, ours, n);
}

static void differ(struct oracle_comparison *m, const char *what, const void *before,
                   const void *host, const void *ours, unsigned n)
{
    int len;

    if (m->what)
        return;
    m->what = what;
    len = snprintf(m->detail, sizeof m->detail, "trap %u ", m->host->trap);
    print_field(m->detail + len, sizeof m->detail - (size_t)len, what, before, host, ours, n);
}

static u64 defined_flags(const struct oracle_case *c, bool trapped)
{
    const struct insn_row *r = &insn_rows[c->row];
    u64 mask = EFLAGS_ARITH | EFLAGS_DF | EFLAGS_NT | EFLAGS_AC | EFLAGS_ID;

    if (c->count > 1)
        return mask & ~c->undefined;
    if (c->flags_dead && !trapped)
        return mask;
    if (trapped && r->cls == STRING) /* how far a repeat came shows in RCX */
        return mask & ~(u64)EFLAGS_ARITH;
    return trapped ? mask : mask & ~(u64)r->fl_undef;
}

/* Whether a page of the host's kernel is present is no matter of ours. */
static u32 error_of(const struct oracle_result *r)
{
    return r->trap == EXC_PF && r->cr2 >> 63 ? r->error & ~1u : r->error;
}

static void compare_trap(struct oracle_comparison *m)
{
    const struct oracle_result *h = m->host, *o = m->ours;

    if (h->trap != o->trap) {
        m->what = "trap";
        snprintf(m->detail, sizeof m->detail,
                 "trap host %u (error %x cr2 %llx) ours %u (error %x cr2 %llx)", h->trap, h->error,
                 (unsigned long long)h->cr2, o->trap, o->error, (unsigned long long)o->cr2);
        return;
    }
    if (h->trap == EXC_PF && h->cr2 != o->cr2)
        differ(m, "cr2", &h->cr2, &h->cr2, &o->cr2, 8);
    if ((h->trap == EXC_PF || h->trap == EXC_GP || h->trap == EXC_SS) && error_of(h) != error_of(o))
        differ(m, "error code", &h->error, &h->error, &o->error, 4);
    if (h->rip != o->rip)
        differ(m, "rip", &h->rip, &h->rip, &o->rip, 8);
}

static void compare_gprs(struct oracle_comparison *m)
{
    static const char *const names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                          "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

    for (unsigned i = 0; i < (m->c->code == 64 ? 16u : 8u); i++) {
        const u64 *b = &m->c->before.gpr[i], *h = &m->host->after.gpr[i],
                  *o = &m->ours->after.gpr[i];
        if (*h != *o)
            differ(m, names[i], b, h, o, 8);
    }
}

static void compare_flags(struct oracle_comparison *m)
{
    bool trapped = m->host->trap != ORACLE_NO_TRAP;
    u64 mask = defined_flags(m->c, trapped);
    u64 b = m->c->before.flags, h = m->host->after.flags & mask, o = m->ours->after.flags & mask;

    if (h != o)
        differ(m, "flags", &b, &h, &o, 3);
}

static void differ_if(struct oracle_comparison *m, const char *what, const void *before,
                      const void *host, const void *ours, unsigned n)
{
    if (memcmp(host, ours, n))
        differ(m, what, before, host, ours, n);
}

/* AMD's FXSAVE stores the pointers only when an exception is pending; they are of the instruction
 * under test when it was not so before. */
static bool pointers_are_visible(const struct oracle_comparison *m)
{
    const u8 *b = m->c->before.fx, *h = m->host->after.fx;
    return m->c->count == 1 && m->host->trap == ORACLE_NO_TRAP && h[2] & 0x80 && !(b[2] & 0x80) &&
           is_x87_arithmetic(&insn_rows[m->c->row]);
}

static void compare_fx(struct oracle_comparison *m)
{
    const u8 *b = m->c->before.fx, *h = m->host->after.fx, *o = m->ours->after.fx;
    u16 mask = m->c->count > 1 ? 0xffff : x87_status_mask(m->c);

    if (memcmp(h, o, 2))
        differ(m, "x87 control", b, h, o, 2);
    if ((ld_le16(h + 2) ^ ld_le16(o + 2)) & mask)
        differ(m, "x87 status", b + 2, h + 2, o + 2, 2);
    if (h[4] != o[4])
        differ(m, "x87 tags", b + 4, h + 4, o + 4, 1);
    if (pointers_are_visible(m)) {
        differ_if(m, "x87 opcode", b + 6, h + 6, o + 6, 2);
        differ_if(m, "x87 instruction pointer", b + 8, h + 8, o + 8, m->c->code / 8);
        if (m->c->in.mem)
            differ_if(m, "x87 operand pointer", b + 16, h + 16, o + 16, m->c->code / 8);
    }
    for (unsigned i = 32; i < 160; i += 16)
        if (memcmp(h + i, o + i, 10))
            differ(m, "x87 register", b + i, h + i, o + i, 10);
    if (memcmp(h + 24, o + 24, 4))
        differ(m, "mxcsr", b + 24, h + 24, o + 24, 4);
    for (unsigned i = 160; i < (m->c->code == 64 ? 416u : 288u); i += 16)
        if (memcmp(h + i, o + i, 16))
            differ(m, "xmm", b + i, h + i, o + i, 16);
}

static void compare_upper_halves(struct oracle_comparison *m)
{
    for (unsigned i = 0; i < (m->c->code == 64 ? 16u : 8u); i++)
        differ_if(m, "ymm", m->c->before.upper[i], m->host->after.upper[i], m->ours->after.upper[i],
                  16);
}

static void compare_data(struct oracle_comparison *m)
{
    const u8 *b = m->c->data, *h = m->host->data, *o = m->ours->data;
    unsigned i = 0, bytes = oracle_pages(m->c) * PAGE_SIZE;

    if (m->what || !memcmp(h, o, bytes))
        return;
    while (h[i] == o[i])
        i++;
    i = i > bytes - 16 ? bytes - 16 : i;
    differ(m, "memory", b + i, h + i, o + i, 16);
}

void oracle_compare(struct oracle_comparison *m)
{
    m->what = NULL;
    compare_trap(m);
    compare_gprs(m);
    compare_flags(m);
    compare_fx(m);
    if (oracle_native_has_avx())
        compare_upper_halves(m);
    compare_data(m);
}
