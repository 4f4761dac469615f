/* debug.c: see debug.h. */
#include "cpu/debug.h"

enum { DR_EXEC = 0, DR_WRITE = 1, DR_IO = 2, DR_RW = 3 };

static unsigned dr_type(const struct cpu *cpu, unsigned n)
{
    return cpu->dr[7] >> (16 + 4 * n) & 3;
}

static unsigned dr_len(const struct cpu *cpu, unsigned n)
{
    static const u8 len[] = {1, 2, 8, 4};
    return len[cpu->dr[7] >> (18 + 4 * n) & 3];
}

static bool dr_enabled(const struct cpu *cpu, unsigned n)
{
    return cpu->dr[7] >> (2 * n) & 3;
}

static bool dr_overlaps(const struct cpu *cpu, unsigned n, u64 at, unsigned size)
{
    unsigned len = dr_len(cpu, n);
    u64 base = cpu->dr[n] & ~(u64)(len - 1);
    return base < at + size && at < base + len;
}

void debug_check_data(struct cpu *cpu, gva_t va, unsigned size, bool write)
{
    for (unsigned n = 0; n < 4; n++) {
        unsigned type = dr_type(cpu, n);
        if (dr_enabled(cpu, n) && (type == DR_RW || (type == DR_WRITE && write)) &&
            dr_overlaps(cpu, n, va, size))
            cpu->dr6_pending |= DR6_B(n);
    }
}

void debug_check_io(struct cpu *cpu, u16 port, unsigned size)
{
    if (!(cpu->cr4 & CR4_DE))
        return;
    for (unsigned n = 0; n < 4; n++)
        if (dr_enabled(cpu, n) && dr_type(cpu, n) == DR_IO && dr_overlaps(cpu, n, port, size))
            cpu->dr6_pending |= DR6_B(n);
}

u32 debug_check_exec(const struct cpu *cpu, gva_t lin)
{
    u32 hit = 0;
    for (unsigned n = 0; n < 4; n++)
        if (dr_enabled(cpu, n) && dr_type(cpu, n) == DR_EXEC && cpu->dr[n] == lin)
            hit |= DR6_B(n);
    return hit;
}

void debug_report(struct cpu *cpu, u32 conditions)
{
    cpu->dr[6] = (cpu->dr[6] & ~(u64)0xf) | conditions;
}

bool debug_wanted(const struct cpu *cpu)
{
    return cpu->eflags & EFLAGS_TF || cpu->dr[7] & 0xff;
}
