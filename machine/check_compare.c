/*
 * check_compare.c: what two machines in step must have equal.
 *
 * The six arithmetic flags are the exception: an instruction may leave some undefined, and there
 * the engines need not agree: README.md.
 */
#include "base/bits.h"
#include "cpu/block.h"
#include "machine/check_impl.h"
#include <string.h>

/* ---- registers ------------------------------------------------------------------------------- */

struct field {
    const char *name;
    u32 offset, bytes;
};

#define FIELD(name, member)                                                                        \
    {                                                                                              \
        name, offsetof(struct cpu, member), sizeof(((struct cpu *)0)->member)                      \
    }

static const struct field fields[] = {
    FIELD("rip", rip),
    FIELD("rax", gpr[RAX]),
    FIELD("rcx", gpr[RCX]),
    FIELD("rdx", gpr[RDX]),
    FIELD("rbx", gpr[RBX]),
    FIELD("rsp", gpr[RSP]),
    FIELD("rbp", gpr[RBP]),
    FIELD("rsi", gpr[RSI]),
    FIELD("rdi", gpr[RDI]),
    FIELD("r8", gpr[R8]),
    FIELD("r9", gpr[R9]),
    FIELD("r10", gpr[R10]),
    FIELD("r11", gpr[R11]),
    FIELD("r12", gpr[R12]),
    FIELD("r13", gpr[R13]),
    FIELD("r14", gpr[R14]),
    FIELD("r15", gpr[R15]),
    FIELD("eflags", eflags),
    FIELD("cpl", cpl),
    FIELD("interrupt shadow", shadow),
    FIELD("halted", halted),
    FIELD("nmi blocked", nmi_blocked),
    FIELD("pending requests", req),
    FIELD("pending debug traps", dr6_pending),
    FIELD("mode", key),
    FIELD("es", seg[SEG_ES]),
    FIELD("cs", seg[SEG_CS]),
    FIELD("ss", seg[SEG_SS]),
    FIELD("ds", seg[SEG_DS]),
    FIELD("fs", seg[SEG_FS]),
    FIELD("gs", seg[SEG_GS]),
    FIELD("ldtr", ldtr),
    FIELD("tr", tr),
    FIELD("gdtr base", gdtr.base),
    FIELD("gdtr limit", gdtr.limit),
    FIELD("idtr base", idtr.base),
    FIELD("idtr limit", idtr.limit),
    FIELD("cr0", cr0),
    FIELD("cr2", cr2),
    FIELD("cr3", cr3),
    FIELD("cr4", cr4),
    FIELD("xcr0", xcr0),
    FIELD("efer", efer),
    FIELD("debug registers", dr),
    FIELD("star", star),
    FIELD("lstar", lstar),
    FIELD("cstar", cstar),
    FIELD("sfmask", sfmask),
    FIELD("kernel gs base", kernel_gs_base),
    FIELD("tsc_aux", tsc_aux),
    FIELD("sysenter_cs", sysenter_cs),
    FIELD("sysenter_esp", sysenter_esp),
    FIELD("sysenter_eip", sysenter_eip),
    FIELD("tsc offset", tsc_offset),
    FIELD("apic base", apic_base),
    FIELD("vector registers", vec),
    FIELD("mxcsr", mxcsr),
    FIELD("x87 control word", x87.cw),
    FIELD("x87 status word", x87.sw),
    FIELD("x87 tags", x87.empty),
    FIELD("x87 opcode", x87.fop),
    FIELD("x87 instruction pointer", x87.fip),
    FIELD("x87 operand pointer", x87.fdp),
};

static void differ(struct check *c, const char *what, u64 ours, u64 theirs)
{
    c->what = what;
    snprintf(c->detail, sizeof c->detail, "%llx interpreted, %llx translated",
             (unsigned long long)ours, (unsigned long long)theirs);
}

/* The first differing word of a longer field is shown. */
static bool compare_field(struct check *c, const struct field *f)
{
    const u8 *a = (const u8 *)c->vm[0]->cpu + f->offset, *b = (const u8 *)c->vm[1]->cpu + f->offset;
    if (!memcmp(a, b, f->bytes))
        return true;
    unsigned n = f->bytes < 8 ? f->bytes : 8, i = 0;
    while (!memcmp(a + i, b + i, n))
        i += n;
    u64 ours = 0, theirs = 0;
    memcpy(&ours, a + i, n);
    memcpy(&theirs, b + i, n);
    differ(c, f->name, ours, theirs);
    return false;
}

static bool compare_x87(struct check *c)
{
    static const char *const names[8] = {"x87 R0", "x87 R1", "x87 R2", "x87 R3",
                                         "x87 R4", "x87 R5", "x87 R6", "x87 R7"};
    const struct f80 *a = c->vm[0]->cpu->x87.st, *b = c->vm[1]->cpu->x87.st;
    for (unsigned i = 0; i < 8; i++) {
        if (a[i].mant == b[i].mant && a[i].se == b[i].se)
            continue;
        bool mant = a[i].mant != b[i].mant;
        differ(c, names[i], mant ? a[i].mant : a[i].se, mant ? b[i].mant : b[i].se);
        return false;
    }
    return true;
}

/* ---- flags ----------------------------------------------------------------------------------- */

/*
 * Did the last block leave this flag undefined, or to what came before? Then the engines may differ
 * in it. Not asked of a block that an exception may have cut short.
 */
static bool flag_is_open(const struct check *c, u32 flag)
{
    const struct cpu *cpu = c->vm[0]->cpu;
    const struct block *b = cpu->block;
    if (!b || b->dead || cpu->excp.vector != CHECK_NO_EXCEPTION)
        return true;
    for (unsigned i = b->count; i-- > 0;) {
        const struct insn_row *r = insn_row(&b->insn[i]);
        if (r->fl_undef & flag)
            return true;
        if (r->fl_write & flag) /* sometimes, if it reads it too */
            return r->fl_read & flag;
    }
    return true;
}

/* Where a flag is open both go on with the interpreter's, so that no difference comes of it. */
static bool compare_flags(struct check *c)
{
    struct flags *a = &c->vm[0]->cpu->flags, *b = &c->vm[1]->cpu->flags;
    u32 differing = flags_get(a) ^ flags_get(b);
    for (u32 rest = differing; rest; rest &= rest - 1)
        if (!flag_is_open(c, rest & -rest)) {
            differ(c, "arithmetic flags", flags_get(a), flags_get(b));
            return false;
        }
    if (differing)
        *b = *a;
    return true;
}

bool check_compare(struct check *c)
{
    const struct cpu *a = c->vm[0]->cpu, *b = c->vm[1]->cpu;
    if (cpu_icount(a) != cpu_icount(b)) {
        differ(c, "instruction count", cpu_icount(a), cpu_icount(b));
        return false;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(fields); i++)
        if (!compare_field(c, &fields[i]))
            return false;
    return compare_x87(c) && compare_flags(c);
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Guest-physical address of a byte of the RAM's mapping. */
static gpa_t gpa_of(const struct phys *p, u64 at)
{
    return at < p->ram_low_bytes ? at : at - p->ram_low_bytes + 4 * GIB;
}

static bool compare_page(struct check *c, u64 at)
{
    u8 *a = c->vm[0]->phys.ram + at, *b = c->vm[1]->phys.ram + at;
    for (unsigned i = 0; i < PAGE_SIZE; i += 8) {
        u64 ours = ld_le64(a + i), theirs = ld_le64(b + i);
        if (ours == theirs)
            continue;
        differ(c, "memory", ours, theirs);
        size_t n = strlen(c->detail);
        c->in_ram = true;
        c->ram_at = gpa_of(&c->vm[0]->phys, at + i);
        snprintf(c->detail + n, sizeof c->detail - n, " at physical address %llx",
                 (unsigned long long)c->ram_at);
        return false;
    }
    return true;
}

bool check_compare_ram(struct check *c)
{
    const struct phys *a = &c->vm[0]->phys, *b = &c->vm[1]->phys;
    for (u64 at = 0; at < a->ram_bytes; at += PAGE_SIZE)
        if (memcmp(a->ram + at, b->ram + at, PAGE_SIZE) && !compare_page(c, at))
            return false;
    c->compared = cpu_icount(c->vm[0]->cpu);
    return true;
}
