/* monitor_cpu.c: info registers, fpu, sse, msr, cpuid, gdt, ldt, idt, tss, cpus. */
#include "base/bits.h"
#include "cpu/flags.h"
#include "cpu/fpu.h"
#include "cpu/model.h"
#include "cpu/seg.h"
#include "frontends/monitor_impl.h"

#include <inttypes.h>
#include <math.h>

static u64 value(struct monitor *m, const char *name)
{
    return reg_read64(monitor_cpu(m), reg_find(name, strlen(name)));
}

/* ---- registers ------------------------------------------------------------------------------- */

static void print_flags(FILE *out, u32 eflags)
{
    static const struct {
        u32 bit;
        const char *name;
    } flags[] = {
        {EFLAGS_CF, "CF"}, {EFLAGS_PF, "PF"},   {EFLAGS_AF, "AF"},   {EFLAGS_ZF, "ZF"},
        {EFLAGS_SF, "SF"}, {EFLAGS_TF, "TF"},   {EFLAGS_IF, "IF"},   {EFLAGS_DF, "DF"},
        {EFLAGS_OF, "OF"}, {EFLAGS_NT, "NT"},   {EFLAGS_RF, "RF"},   {EFLAGS_VM, "VM"},
        {EFLAGS_AC, "AC"}, {EFLAGS_VIF, "VIF"}, {EFLAGS_VIP, "VIP"}, {EFLAGS_ID, "ID"},
    };

    fprintf(out, "eflags %08x", eflags);
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
        if (eflags & flags[i].bit)
            fprintf(out, " %s", flags[i].name);
    fprintf(out, " IOPL=%u\n", eflags >> 12 & 3);
}

static void print_seg(FILE *out, const char *name, const struct seg *s)
{
    fprintf(out, "%-4s %04x base %016" PRIx64 " limit %08x attr %04x", name, s->sel, s->base,
            s->limit, s->attr);
    if (s->attr & SEG_UNUSABLE)
        fprintf(out, " unusable");
    else if (s->attr & SEG_S)
        fprintf(out, " %s DPL %u%s", s->attr & BIT(3) ? "code" : "data", SEG_DPL(s->attr),
                s->attr & SEG_L    ? " 64-bit"
                : s->attr & SEG_DB ? " 32-bit"
                                   : " 16-bit");
    fputc('\n', out);
}

bool info_registers(struct monitor *m, const char *args, struct err *e)
{
    static const char *const general[] = {"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp",
                                          "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    static const char *const segs[] = {"es", "cs", "ss", "ds", "fs", "gs"};
    const struct cpu *cpu = monitor_cpu(m);
    bool wide = cpu_in_long_mode(cpu);

    if (!monitor_no_more(args, e))
        return false;
    for (unsigned i = 0; i < (wide ? 16u : 8u); i++)
        fprintf(m->out, "%-3s %0*" PRIx64 "%c", wide ? general[i] : general[i] + 1, wide ? 16 : 8,
                wide ? value(m, general[i]) : (u32)value(m, general[i]), i % 4 == 3 ? '\n' : ' ');
    fprintf(m->out, "%s %0*" PRIx64 "  CPL %u, %u-bit code%s%s\n", wide ? "rip" : "ip ",
            wide ? 16 : 8, cpu->rip, cpu->cpl, reg_code_bits(cpu), cpu->halted ? ", halted" : "",
            cpu->wait_sipi ? ", waits for start-up" : "");
    print_flags(m->out, cpu_get_eflags(cpu));
    for (unsigned i = 0; i < 6; i++)
        print_seg(m->out, segs[i], &cpu->seg[i]);
    print_seg(m->out, "ldtr", &cpu->ldtr);
    print_seg(m->out, "tr", &cpu->tr);
    fprintf(m->out, "gdtr base %016" PRIx64 " limit %04x\nidtr base %016" PRIx64 " limit %04x\n",
            cpu->gdtr.base, cpu->gdtr.limit, cpu->idtr.base, cpu->idtr.limit);
    fprintf(m->out, "cr0 %08" PRIx64 " cr2 %016" PRIx64 " cr3 %016" PRIx64 " cr4 %08" PRIx64 "\n",
            cpu->cr0, cpu->cr2, cpu->cr3, cpu->cr4);
    fprintf(m->out, "efer %04" PRIx64 " xcr0 %" PRIx64 " dr6 %08" PRIx64 " dr7 %08" PRIx64 "\n",
            cpu->efer, cpu->xcr0, cpu->dr[6], cpu->dr[7]);
    return true;
}

bool info_cpus(struct monitor *m, const char *args, struct err *e)
{
    unsigned current = m->cpu;

    if (!monitor_no_more(args, e))
        return false;
    for (m->cpu = 0; m->cpu < vm_cpus(m->vm); m->cpu++) {
        const struct cpu *cpu = monitor_cpu(m);

        fprintf(m->out, "%c CPU %u%s: ", m->cpu == current ? '*' : ' ', m->cpu,
                cpu->wait_sipi ? " (waits for start-up)"
                : cpu->halted  ? " (halted)"
                               : "");
        monitor_insn(m, m->out, reg_pc(cpu));
    }
    m->cpu = current;
    return true;
}

/* Roughly: what a double can show. */
static double to_double(const struct f80 *f)
{
    double v = ldexp((double)f->mant, (f->se & 0x7fff) - 16383 - 63);

    return f->se >> 15 ? -v : v;
}

bool info_fpu(struct monitor *m, const char *args, struct err *e)
{
    static const char *const tags[] = {"valid", "zero", "special", "empty"};
    struct cpu *cpu = monitor_cpu(m);
    const struct x87 *x = &cpu->x87;
    u16 tw = x87_tag_word(x);

    if (!monitor_no_more(args, e))
        return false;
    for (unsigned i = 0; i < 8; i++) {
        unsigned n = x87_phys(x, i);
        const struct f80 *f = &x->st[n];

        fprintf(m->out, "st%u (R%u) %04x_%016" PRIx64 " %s", i, n, f->se, f->mant,
                tags[tw >> (2 * n) & 3]);
        if (!(tw >> (2 * n) & 3))
            fprintf(m->out, " %.17g", to_double(f));
        fputc('\n', m->out);
    }
    fprintf(m->out, "control %04x status %04x (top %u) tags %04x\n", x->cw, x->sw, x87_top(x), tw);
    fprintf(m->out, "last instruction %04x:%" PRIx64 " opcode %03x, operand %04x:%" PRIx64 "\n",
            x->fcs, x->fip, x->fop, x->fds, x->fdp);
    return true;
}

bool info_sse(struct monitor *m, const char *args, struct err *e)
{
    const struct cpu *cpu = monitor_cpu(m);
    bool avx = cpu->xcr0 & XCR0_AVX;

    if (!monitor_no_more(args, e))
        return false;
    for (unsigned n = 0; n < (cpu_in_long_mode(cpu) ? 16u : 8u); n++) {
        const union vec *v = &cpu->vec[n];

        fprintf(m->out, "%cmm%-2u ", avx ? 'y' : 'x', n);
        if (avx)
            fprintf(m->out, "%016" PRIx64 "_%016" PRIx64 "_", v->q[3], v->q[2]);
        fprintf(m->out, "%016" PRIx64 "_%016" PRIx64 "\n", v->q[1], v->q[0]);
    }
    fprintf(m->out, "mxcsr %08x\n", cpu->mxcsr);
    return true;
}

bool info_msr(struct monitor *m, const char *args, struct err *e)
{
    const struct reg *r;
    u64 v;

    if (*args) {
        if (!monitor_only_value(m, args, &v, e))
            return false;
        u32 nr = (u32)v;
        struct quirks before = monitor_cpu(m)->quirks; /* it is not the guest who asks */
        bool there = msr_read(monitor_cpu(m), nr, &v);
        monitor_cpu(m)->quirks = before;
        if (!there)
            return err_usage(e, "the CPU has no MSR %#x", nr);
        fprintf(m->out, "%08x %016" PRIx64 "\n", nr, v);
        return true;
    }
    for (unsigned n = 0; (r = reg_at(n)) != NULL; n++)
        if (r->group == REGS_MSR && msr_read(monitor_cpu(m), r->arg, &v))
            fprintf(m->out, "%08x %-16s %016" PRIx64 "\n", r->arg, r->name + 4, v);
    return true;
}

static void print_leaf(struct monitor *m, u32 leaf, u32 subleaf)
{
    u32 r[4] = {0};

    cpuid_execute(monitor_cpu(m), leaf, subleaf, r);
    fprintf(m->out, "%08x.%u  %08x %08x %08x %08x  ", leaf, subleaf, r[0], r[1], r[2], r[3]);
    for (unsigned i = 0; i < 16; i++) {
        u8 c = (u8)(r[i / 4] >> (8 * (i & 3)));

        fputc(c >= ' ' && c < 127 ? c : '.', m->out);
    }
    fputc('\n', m->out);
}

bool info_cpuid(struct monitor *m, const char *args, struct err *e)
{
    static const u32 bases[] = {0, 0x40000000, 0x80000000};

    if (!monitor_no_more(args, e))
        return false;
    fprintf(m->out, "leaf        eax      ebx      ecx      edx\n");
    for (size_t i = 0; i < ARRAY_SIZE(bases); i++) {
        u32 r[4] = {0};

        cpuid_execute(monitor_cpu(m), bases[i], 0, r);
        if (r[0] < bases[i] || r[0] - bases[i] > 0xff) /* no leaves of this kind */
            continue;
        for (u32 leaf = bases[i]; leaf <= r[0]; leaf++)
            print_leaf(m, leaf, 0);
    }
    return true;
}

/* ---- tables ---------------------------------------------------------------------------------- */

static const char *system_type(unsigned type)
{
    static const char *const names[16] = {
        "reserved",
        "16-bit TSS",
        "LDT",
        "16-bit TSS, busy",
        "16-bit call gate",
        "task gate",
        "16-bit interrupt gate",
        "16-bit trap gate",
        "reserved",
        "TSS",
        "reserved",
        "TSS, busy",
        "call gate",
        "reserved",
        "interrupt gate",
        "trap gate",
    };

    return names[type];
}

static void print_desc(FILE *out, const struct desc *d)
{
    unsigned type = DESC_TYPE(d);

    if (!DESC_S(d)) {
        fprintf(out, "%s, DPL %u, base %08x limit %08x", system_type(type), DESC_DPL(d),
                desc_base(d), desc_limit(d));
    } else {
        fprintf(out, "%s%s%s, DPL %u, base %08x limit %08x, %s", type & 8 ? "code" : "data",
                type & 2 ? type & 8 ? " readable" : " writable" : "",
                type & 4 ? type & 8 ? " conforming" : " expand-down" : "", DESC_DPL(d),
                desc_base(d), desc_limit(d),
                DESC_L(d)    ? "64-bit"
                : DESC_DB(d) ? "32-bit"
                             : "16-bit");
    }
    fprintf(out, "%s\n", DESC_P(d) ? "" : ", not present");
}

/* Entries that are not zero. */
static void print_table(struct monitor *m, u64 base, u32 limit)
{
    struct cpu *cpu = monitor_cpu(m);

    for (u32 off = 0; off + 7 <= limit && off < 0x10000; off += 8) {
        u8 b[16] = {0};
        struct desc d;

        if (debug_read(cpu, base + off, b, 8) != 8) {
            fprintf(m->out, "%04x: not mapped\n", off);
            return;
        }
        d = (struct desc){.lo = ld_le32(b), .hi = ld_le32(b + 4)};
        if (!d.lo && !d.hi)
            continue;
        fprintf(m->out, "%04x: ", off);
        print_desc(m->out, &d);
        if (cpu_in_long_mode(cpu) && !DESC_S(&d)) { /* system descriptors have 16 bytes there */
            debug_read(cpu, base + off + 8, b, 4);
            fprintf(m->out, "      base bits 63-32: %08x\n", ld_le32(b));
            off += 8;
        }
    }
}

bool info_gdt(struct monitor *m, const char *args, struct err *e)
{
    const struct cpu *cpu = monitor_cpu(m);

    if (!monitor_no_more(args, e))
        return false;
    fprintf(m->out, "GDT at %#" PRIx64 ", limit %#x\n", cpu->gdtr.base, cpu->gdtr.limit);
    print_table(m, cpu->gdtr.base, cpu->gdtr.limit);
    return true;
}

bool info_ldt(struct monitor *m, const char *args, struct err *e)
{
    const struct cpu *cpu = monitor_cpu(m);

    if (!monitor_no_more(args, e))
        return false;
    if (cpu->ldtr.attr & SEG_UNUSABLE || SEL_IS_NULL(cpu->ldtr.sel)) {
        fprintf(m->out, "no LDT\n");
        return true;
    }
    fprintf(m->out, "LDT at %#" PRIx64 ", limit %#x\n", cpu->ldtr.base, cpu->ldtr.limit);
    print_table(m, cpu->ldtr.base, cpu->ldtr.limit);
    return true;
}

/* Real mode: four bytes each, CS:IP. */
static void print_vectors(struct monitor *m)
{
    const struct cpu *cpu = monitor_cpu(m);
    u8 b[4];

    for (unsigned v = 0; v < 256 && v * 4 + 3 <= cpu->idtr.limit; v++)
        if (debug_read(monitor_cpu(m), cpu->idtr.base + v * 4, b, 4) == 4 && ld_le32(b))
            fprintf(m->out, "%02x: %04x:%04x\n", v, ld_le16(b + 2), ld_le16(b));
}

static void print_gate(struct monitor *m, unsigned v, const u8 *b, bool wide)
{
    u32 lo = ld_le32(b), hi = ld_le32(b + 4);
    u64 offset = (lo & 0xffff) | (hi & 0xffff0000) | (wide ? (u64)ld_le32(b + 8) << 32 : 0);
    char symbol[128];

    if (!lo && !hi)
        return;
    fprintf(m->out, "%02x: %s, DPL %u, %04x:%#" PRIx64 "%s", v, system_type(hi >> 8 & 0xf),
            hi >> 13 & 3, lo >> 16, offset, monitor_symbol(m, offset, symbol));
    if (wide && hi & 7)
        fprintf(m->out, ", IST %u", hi & 7);
    fprintf(m->out, "%s\n", hi & BIT(15) ? "" : ", not present");
}

bool info_idt(struct monitor *m, const char *args, struct err *e)
{
    struct cpu *cpu = monitor_cpu(m);
    bool wide = cpu_in_long_mode(cpu);
    unsigned size = wide ? 16 : 8;
    u8 b[16];

    if (!monitor_no_more(args, e))
        return false;
    fprintf(m->out, "IDT at %#" PRIx64 ", limit %#x\n", cpu->idtr.base, cpu->idtr.limit);
    if (cpu_in_real(cpu)) {
        print_vectors(m);
        return true;
    }
    for (unsigned v = 0; v < 256 && v * size + size - 1 <= cpu->idtr.limit; v++)
        if (debug_read(cpu, cpu->idtr.base + v * size, b, size) == size)
            print_gate(m, v, b, wide);
    return true;
}

static u64 tss_word(struct monitor *m, unsigned off, unsigned size)
{
    u8 b[8] = {0};

    debug_read(monitor_cpu(m), monitor_cpu(m)->tr.base + off, b, size);
    return ld_le64(b);
}

bool info_tss(struct monitor *m, const char *args, struct err *e)
{
    const struct cpu *cpu = monitor_cpu(m);

    if (!monitor_no_more(args, e))
        return false;
    if (SEL_IS_NULL(cpu->tr.sel)) {
        fprintf(m->out, "no task\n");
        return true;
    }
    fprintf(m->out, "%s at %#" PRIx64 ", limit %#x\n", system_type(SEG_TYPE(cpu->tr.attr)),
            cpu->tr.base, cpu->tr.limit);
    if (cpu_in_long_mode(cpu)) {
        for (unsigned i = 0; i < 3; i++)
            fprintf(m->out, "rsp%u %016" PRIx64 "\n", i, tss_word(m, 4 + 8 * i, 8));
        for (unsigned i = 1; i < 8; i++)
            fprintf(m->out, "ist%u %016" PRIx64 "\n", i, tss_word(m, 0x1c + 8 * i, 8));
        fprintf(m->out, "I/O map at %#" PRIx64 "\n", tss_word(m, 0x66, 2));
    } else if (SEG_TYPE(cpu->tr.attr) & 8) {
        for (unsigned i = 0; i < 3; i++)
            fprintf(m->out, "ss%u:esp%u %04" PRIx64 ":%08" PRIx64 "\n", i, i,
                    tss_word(m, 8 + 8 * i, 2), tss_word(m, 4 + 8 * i, 4));
        fprintf(m->out, "I/O map at %#" PRIx64 "\n", tss_word(m, 0x66, 2));
    } else {
        for (unsigned i = 0; i < 3; i++)
            fprintf(m->out, "ss%u:sp%u %04" PRIx64 ":%04" PRIx64 "\n", i, i,
                    tss_word(m, 4 + 4 * i, 2), tss_word(m, 2 + 4 * i, 2));
    }
    return true;
}
