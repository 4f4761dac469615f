/* mem.c: the slow paths of exec.h's memory accesses: segmentation, canonical addresses, alignment,
 * page crossing, MMIO, stores to code, data breakpoints. SDM vol. 3A 5.3, 6.15 (#AC), 17.2. */
#include "base/trace.h"
#include "cpu/debug.h"
#include "cpu/exec.h"
#include "cpu/observe.h"
#include "cpu/smp.h"
#include "cpu/tap.h"

u64 ea_offset(const struct cpu *cpu, const struct insn *in)
{
    u64 off = cpu->gpr[in->base] + (cpu->gpr[in->index] << in->scale) + (u64)(s64)in->disp;
    return off & mask64(in->asz * 8u);
}

/* Segment of the fault for a 64-bit address: the stack's faults are #SS. */
static bool uses_stack(const struct insn *in)
{
    return in && (in->seg == SEG_SS ||
                  (in->mem && in->seg == SEG_NONE && (in->base == RSP || in->base == RBP)));
}

static _Noreturn void segment_fault(struct cpu *cpu, const struct insn *in, unsigned seg)
{
    excp_fault_err(cpu, in, seg == SEG_SS ? EXC_SS : EXC_GP, 0);
}

/* The checks of legacy and compatibility mode, SDM vol. 3A 5.3 to 5.5. */
static void check_segment(struct cpu *cpu, const struct insn *in, unsigned seg, u32 off,
                          unsigned size, enum access kind)
{
    const struct seg *s = &cpu->seg[seg];
    u32 last = off + (size - 1);
    bool code = s->attr & BIT(3);

    if (s->attr & SEG_UNUSABLE)
        segment_fault(cpu, in, seg);
    if (kind == ACCESS_WRITE ? code || !(s->attr & BIT(1)) : code && !(s->attr & BIT(1)))
        segment_fault(cpu, in, seg);
    if (!code && s->attr & BIT(2)) { /* expand-down: valid above the limit */
        u32 top = s->attr & SEG_DB ? 0xffffffffu : 0xffffu;
        if (off <= s->limit || last > top || last < off)
            segment_fault(cpu, in, seg);
    } else if (last > s->limit || last < off) {
        segment_fault(cpu, in, seg);
    }
}

gva_t seg_addr(struct cpu *cpu, const struct insn *in, unsigned seg, u64 off, unsigned size,
               enum access kind)
{
    if (cpu->key & KEY_CODE64) {
        gva_t va = off + (seg == SEG_FS || seg == SEG_GS ? cpu->seg[seg].base : 0);
        if (unlikely(!cpu_canonical(cpu, va) || !cpu_canonical(cpu, va + size - 1)))
            segment_fault(cpu, in,
                          seg == SEG_SS || (seg == SEG_NONE && uses_stack(in)) ? SEG_SS : SEG_DS);
        return va;
    }
    check_segment(cpu, in, seg, (u32)off, size, kind);
    return (u32)(cpu->seg[seg].base + off);
}

gva_t mem_addr(struct cpu *cpu, const struct insn *in, unsigned size, enum access kind)
{
    return seg_addr(cpu, in, in->seg, ea_offset(cpu, in), size, kind);
}

/* ---- translation --------------------------------------------------------------------------------
 */

static enum tlb_mode data_mode(const struct cpu *cpu)
{
    return (enum tlb_mode)(cpu->data - cpu->tlb.l1);
}

/* Translates one byte's page for data; raises #PF. sys: implicit supervisor access. */
static struct tlb_fill translate(struct cpu *cpu, const struct insn *in, gva_t va, enum access kind,
                                 bool sys)
{
    struct walk_access wa = {
        .kind = kind,
        .user = !sys && cpu->cpl == 3,
        .ac = !sys && cpu->eflags & EFLAGS_AC,
        .set_ad = true,
    };
    struct tlb_fill f;
    stat_count(&cpu->stats, STAT_TLB_MISS, SERVED_LEAF);
    tlb_lookup(&cpu->tlb, cpu->phys, &cpu->paging, va, kind, sys ? TLB_KERNEL : data_mode(cpu), wa,
               &f);
    if (!f.ok)
        excp_page_fault(cpu, in, va, f.pfec);
    return f;
}

static gva_t va_next(const struct cpu *cpu, gva_t va, unsigned n)
{
    return cpu->key & KEY_CODE64 ? va + n : (u32)(va + n);
}

/* Alignment that #AC asks for, SDM vol. 3A table 6-7: operands of several parts go by their parts.
 */
static unsigned natural_alignment(unsigned size)
{
    switch (size) {
    case 6: return 4;  /* m16:32, pseudo-descriptor */
    case 10: return 8; /* 80-bit reals, m16:64 */
    case 14:           /* FSTENV and FSAVE with 16-bit operands */
    case 94: return 2;
    case 28: /* and with 32-bit ones */
    case 108: return 4;
    default: return size <= 8 ? size : 1;
    }
}

/* What must hold before any data access that missed the fast path. */
static void check_access(struct cpu *cpu, const struct insn *in, gva_t va, unsigned size,
                         enum access kind)
{
    if (cpu->key & KEY_CODE64 &&
        unlikely(!cpu_canonical(cpu, va) || !cpu_canonical(cpu, va + size - 1)))
        segment_fault(cpu, in, uses_stack(in) ? SEG_SS : SEG_DS);
    if (cpu->cpl == 3 && cpu->cr0 & CR0_AM && cpu->eflags & EFLAGS_AC &&
        va & (natural_alignment(size) - 1))
        excp_fault_err(cpu, in, EXC_AC, 0);
    if (unlikely(cpu->dr[7] & 0xff))
        debug_check_data(cpu, va, size, kind == ACCESS_WRITE);
    if (unlikely(cpu->taps != NULL))
        tap_data(cpu, va, size, kind == ACCESS_WRITE);
}

/* The local APIC counts by register. */
static bool is_apic(const struct cpu *cpu, gpa_t gpa)
{
    return (gpa & PAGE_MASK) == (cpu->apic_base & PAGE_MASK);
}

static void count_mmio(struct cpu *cpu, u64 since)
{
    stat_count(&cpu->stats, STAT_MMIO, SERVED_IO);
    cpu->stats.cycles[STAT_MMIO] += host_cycles() - since;
}

u64 mem_read_phys(struct cpu *cpu, gpa_t gpa, unsigned size)
{
    if (phys_host(cpu->phys, gpa))
        return phys_read(cpu->phys, gpa, size);
    if (cpu->hooks->mmio_begin)
        cpu->hooks->mmio_begin(cpu->vm, gpa, size, false);
    u64 v = phys_read(cpu->phys, gpa, size);
    if (cpu->hooks->mmio_end)
        cpu->hooks->mmio_end(cpu->vm, v);
    return v;
}

void mem_write_phys(struct cpu *cpu, gpa_t gpa, u64 v, unsigned size)
{
    if (phys_host(cpu->phys, gpa)) {
        phys_write(cpu->phys, gpa, v, size);
        return;
    }
    if (cpu->hooks->mmio_begin)
        cpu->hooks->mmio_begin(cpu->vm, gpa, size, true);
    phys_write(cpu->phys, gpa, v, size);
    if (cpu->hooks->mmio_end)
        cpu->hooks->mmio_end(cpu->vm, v);
}

/* The block goes on behind an access of the APIC, unless nothing sensitive shall be served so. */
static void leave_after_apic(struct cpu *cpu)
{
    if (unlikely(cpu->exits_only))
        cpu_nudge(cpu);
}

static u64 io_read(struct cpu *cpu, gpa_t gpa, unsigned size)
{
    if (is_apic(cpu, gpa)) {
        leave_after_apic(cpu);
        return mem_read_phys(cpu, gpa, size);
    }
    u64 t = host_cycles();
    u64 v = mem_read_phys(cpu, gpa, size);
    count_mmio(cpu, t);
    return v;
}

/* Stores that have no host pointer: MMIO, ROM, or RAM that holds code. */
static void io_write(struct cpu *cpu, gpa_t gpa, u64 v, unsigned size)
{
    bool apic = is_apic(cpu, gpa), counts = !apic && !phys_host(cpu->phys, gpa);
    u64 t = counts ? host_cycles() : 0;
    mem_write_phys(cpu, gpa, v, size);
    if (apic)
        leave_after_apic(cpu);
    if (counts)
        count_mmio(cpu, t);
}

static bool crosses_page(gva_t va, unsigned size)
{
    return (va & ~PAGE_MASK) + size > PAGE_SIZE;
}

static u64 read_checked(struct cpu *cpu, const struct insn *in, gva_t va, unsigned size, bool sys)
{
    if (unlikely(crosses_page(va, size))) {
        unsigned n = (unsigned)(PAGE_SIZE - (va & ~PAGE_MASK));
        struct tlb_fill a = translate(cpu, in, va, ACCESS_READ, sys);
        struct tlb_fill b = translate(cpu, in, va_next(cpu, va, n), ACCESS_READ, sys);
        u64 v = 0;
        for (unsigned i = 0; i < size; i++)
            v |= mem_read_phys(cpu, i < n ? a.gpa + i : b.gpa + (i - n), 1) << (8 * i);
        return v;
    }
    struct tlb_fill f = translate(cpu, in, va, ACCESS_READ, sys);
    return f.host ? mem_ld(f.host, size) : io_read(cpu, f.gpa, size);
}

static void write_checked(struct cpu *cpu, const struct insn *in, gva_t va, u64 v, unsigned size,
                          bool sys)
{
    if (unlikely(crosses_page(va, size))) {
        unsigned n = (unsigned)(PAGE_SIZE - (va & ~PAGE_MASK));
        struct tlb_fill a = translate(cpu, in, va, ACCESS_WRITE, sys);
        struct tlb_fill b = translate(cpu, in, va_next(cpu, va, n), ACCESS_WRITE, sys);
        for (unsigned i = 0; i < size; i++)
            mem_write_phys(cpu, i < n ? a.gpa + i : b.gpa + (i - n), v >> (8 * i) & 0xff, 1);
        return;
    }
    struct tlb_fill f = translate(cpu, in, va, ACCESS_WRITE, sys);
    if (f.host)
        mem_st(f.host, v, size);
    else
        io_write(cpu, f.gpa, v, size);
}

/* A first-level miss that the second level answers; see tlb_refill. */
static u8 *refill(struct cpu *cpu, gva_t va, unsigned size, enum access kind, enum tlb_mode mode,
                  gpa_t *gpa)
{
    *gpa = TLB_UNKNOWN;
    if (crosses_page(va, size))
        return NULL;
    return tlb_refill(&cpu->tlb, cpu->phys, va, kind, mode, gpa);
}

u64 mem_read_slow(struct cpu *cpu, const struct insn *in, gva_t va, unsigned size)
{
    gpa_t gpa;
    const u8 *h = refill(cpu, va, size, ACCESS_READ, data_mode(cpu), &gpa);
    u64 v;
    if (likely(h != NULL)) {
        v = mem_ld(h, size);
    } else if (gpa != TLB_UNKNOWN) {
        v = io_read(cpu, gpa, size);
    } else {
        check_access(cpu, in, va, size, ACCESS_READ);
        v = read_checked(cpu, in, va, size, false);
    }
    observe_access(cpu, in, va, size, false);
    return v;
}

void mem_write_slow(struct cpu *cpu, const struct insn *in, gva_t va, u64 v, unsigned size)
{
    gpa_t gpa;
    u8 *h = refill(cpu, va, size, ACCESS_WRITE, data_mode(cpu), &gpa);
    if (likely(h != NULL)) {
        mem_st(h, v, size);
    } else if (gpa != TLB_UNKNOWN) {
        io_write(cpu, gpa, v, size);
    } else {
        check_access(cpu, in, va, size, ACCESS_WRITE);
        write_checked(cpu, in, va, v, size, false);
    }
    observe_access(cpu, in, va, size, true);
}

u64 mem_read_sys_slow(struct cpu *cpu, const struct insn *in, gva_t va, unsigned size)
{
    gpa_t gpa;
    const u8 *h = refill(cpu, va, size, ACCESS_READ, TLB_KERNEL, &gpa);
    if (likely(h != NULL))
        return mem_ld(h, size);
    return read_checked(cpu, in, va, size, true);
}

void mem_write_sys_slow(struct cpu *cpu, const struct insn *in, gva_t va, u64 v, unsigned size)
{
    gpa_t gpa;
    u8 *h = refill(cpu, va, size, ACCESS_WRITE, TLB_KERNEL, &gpa);
    if (likely(h != NULL)) {
        mem_st(h, v, size);
        return;
    }
    write_checked(cpu, in, va, v, size, true);
}

/* ---- byte ranges ----------------------------------------------------------------------------- */

/* The one or two pages of [va, va + len). */
struct span {
    struct tlb_fill part[2];
    unsigned len[2];
};

static struct span translate_span(struct cpu *cpu, const struct insn *in, gva_t va, unsigned len,
                                  enum access kind)
{
    BUG_ON(!len || len > PAGE_SIZE);
    struct span s = {.len = {len, 0}};
    check_access(cpu, in, va, len, kind);
    s.part[0] = translate(cpu, in, va, kind, false);
    if (crosses_page(va, len)) {
        s.len[0] = (unsigned)(PAGE_SIZE - (va & ~PAGE_MASK));
        s.len[1] = len - s.len[0];
        s.part[1] = translate(cpu, in, va_next(cpu, va, s.len[0]), kind, false);
    }
    return s;
}

void mem_read_bytes(struct cpu *cpu, const struct insn *in, gva_t va, void *buf, unsigned len)
{
    const u8 *p = mem_fast_r(cpu, va, len);
    if (likely(p != NULL)) {
        memcpy(buf, p, len);
        return;
    }
    struct span s = translate_span(cpu, in, va, len, ACCESS_READ);
    u8 *out = buf;
    for (unsigned i = 0; i < 2; i++) {
        const struct tlb_fill *f = &s.part[i];
        if (s.len[i] && f->host)
            memcpy(out, f->host, s.len[i]);
        else
            for (unsigned n = 0; n < s.len[i]; n++)
                out[n] = (u8)mem_read_phys(cpu, f->gpa + n, 1);
        out += s.len[i];
    }
    observe_access(cpu, in, va, len, false);
}

static void write_bytes(struct cpu *cpu, const struct insn *in, gva_t va, const void *buf,
                        unsigned len)
{
    struct span s = translate_span(cpu, in, va, len, ACCESS_WRITE);
    const u8 *from = buf;
    for (unsigned i = 0; i < 2; i++) {
        const struct tlb_fill *f = &s.part[i];
        if (s.len[i] && f->host) {
            memcpy(f->host, from, s.len[i]);
            phys_wrote(cpu->phys, f->gpa,
                       s.len[i]); /* marked while the other part was translated? */
        } else
            for (unsigned n = 0; n < s.len[i]; n++)
                mem_write_phys(cpu, f->gpa + n, from[n], 1);
        from += s.len[i];
    }
}

void mem_write_bytes(struct cpu *cpu, const struct insn *in, gva_t va, const void *buf,
                     unsigned len)
{
    u8 *p = mem_fast_w(cpu, va, len);
    if (likely(p != NULL)) {
        memcpy(p, buf, len);
        return;
    }
    write_bytes(cpu, in, va, buf, len);
    observe_access(cpu, in, va, len, true);
}

void mem_probe_write(struct cpu *cpu, const struct insn *in, gva_t va, unsigned len)
{
    if (!mem_fast_w(cpu, va, len))
        translate_span(cpu, in, va, len, ACCESS_WRITE);
}

static void observe_rmw(struct cpu *cpu, const struct insn *in, gva_t va, unsigned size)
{
    observe_access(cpu, in, va, size, false);
    observe_access(cpu, in, va, size, true);
}

void *mem_rmw_slow(struct cpu *cpu, const struct insn *in, gva_t va, unsigned size,
                   struct mem_rmw *m)
{
    m->va = va;
    m->size = size;
    m->buffered = true;
    m->locked = false;
    if (unlikely(cpu->taps != NULL)) /* it reads, too */
        tap_data(cpu, va, size, false);
    struct span s = translate_span(cpu, in, va, size, ACCESS_WRITE);
    observe_rmw(cpu, in, va, size);
    if (!s.len[1] && s.part[0].host && !cpu->alone) {
        m->buffered = false;
        return s.part[0].host;
    }
    if (!s.len[1] && size <= 8) { /* one access of the full width, as MMIO expects */
        st_le(m->buf, mem_read_phys(cpu, s.part[0].gpa, size), size);
        return m->buf;
    }
    u8 *out = m->buf;
    for (unsigned i = 0; i < 2; i++)
        for (unsigned n = 0; n < s.len[i]; n++)
            *out++ = (u8)mem_read_phys(cpu, s.part[i].gpa + n, 1);
    return m->buf;
}

/* ---- LOCK -------------------------------------------------------------------------------------
 */

/*
 * An operand within an aligned word (of 8 bytes, or 16 where the host can) is operated on in a copy
 * of the word, which then replaces the word if that still is what it was. Any other is operated on
 * while the other CPUs stand still; not when a part of it is MMIO, where nothing but the device's
 * own lock is atomic.
 */

#ifdef __x86_64__
#define HAVE_CMPXCHG16 true
static bool compare_exchange_16(u8 *p, u64 old[2], const u8 *new)
{
    bool done;
    __asm__ volatile("lock cmpxchg16b %1"
                     : "=@ccz"(done), "+m"(*(u64(*)[2])(void *)p), "+a"(old[0]), "+d"(old[1])
                     : "b"(ld_le64(new)), "c"(ld_le64(new + 8))
                     : "memory");
    return done;
}
#else
#define HAVE_CMPXCHG16 false
static bool compare_exchange_16(u8 *p, u64 old[2], const u8 *new)
{
    (void)p, (void)old, (void)new;
    return true;
}
#endif

static u64 *word_of(const u8 *p)
{
    return (u64 *)((uintptr_t)p & ~7ull);
}

static bool within_word(const u8 *p, unsigned size)
{
    if (size == 16)
        return HAVE_CMPXCHG16 && !((uintptr_t)p & 15);
    return ((uintptr_t)p & 7) + size <= 8;
}

/* Host address of an operand that lies in RAM as a whole; NULL: it does not. */
static u8 *locked_host(struct cpu *cpu, const struct insn *in, gva_t va, unsigned size,
                       struct mem_rmw *m)
{
    u8 *p = mem_fast_w(cpu, va, size);
    m->told = false;
    if (likely(p != NULL))
        return p;
    if (unlikely(cpu->taps != NULL))
        tap_data(cpu, va, size, false);
    struct span s = translate_span(cpu, in, va, size, ACCESS_WRITE);
    if (s.len[1])
        return NULL;
    m->told = !s.part[0].host;
    m->gpa = s.part[0].gpa;
    return m->told ? phys_host_w(cpu->phys, m->gpa) : s.part[0].host;
}

static bool is_ram(struct cpu *cpu, const struct insn *in, gva_t va, unsigned size)
{
    struct span s = translate_span(cpu, in, va, size, ACCESS_WRITE);
    return phys_host_w(cpu->phys, s.part[0].gpa) &&
           (!s.len[1] || phys_host_w(cpu->phys, s.part[1].gpa));
}

void *mem_rmw_locked(struct cpu *cpu, const struct insn *in, gva_t va, unsigned size,
                     struct mem_rmw *m)
{
    u8 *p = locked_host(cpu, in, va, size, m);
    if (unlikely(!p || !within_word(p, size))) {
        smp_stop(cpu->smp);
        cpu->alone = true;
        if (!is_ram(cpu, in, va, size)) {
            cpu->alone = false;
            smp_resume(cpu->smp);
        }
        return mem_rmw_slow(cpu, in, va, size, m);
    }
    observe_rmw(cpu, in, va, size);
    m->size = size;
    m->buffered = m->locked = true;
    m->host = p;
    if (size == 16) {
        m->old[0] = mem_ld(p, 8);
        m->old[1] = mem_ld(p + 8, 8);
        memcpy(m->buf, m->old, 16);
    } else {
        m->old[0] = __atomic_load_n(word_of(p), __ATOMIC_RELAXED);
        memcpy(m->buf, (u8 *)m->old + ((uintptr_t)p & 7), size);
    }
    return m->buf;
}

/* Replaces the word if nobody else has changed it. */
static bool locked_end(struct cpu *cpu, struct mem_rmw *m)
{
    bool done;
    if (m->size == 16) {
        done = compare_exchange_16(m->host, m->old, m->buf);
    } else {
        u64 word = m->old[0];
        memcpy((u8 *)&word + ((uintptr_t)m->host & 7), m->buf, m->size);
        done = __atomic_compare_exchange_n(word_of(m->host), &m->old[0], word, false,
                                           __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
    }
    if (done && m->told)
        phys_wrote(cpu->phys, m->gpa, m->size);
    return done;
}

bool mem_rmw_end_slow(struct cpu *cpu, const struct insn *in, struct mem_rmw *m)
{
    if (m->locked)
        return locked_end(cpu, m);
    if (m->size <= 8)
        write_checked(cpu, in, m->va, ld_le(m->buf, m->size), m->size, false);
    else
        write_bytes(cpu, in, m->va, m->buf, m->size);
    if (cpu->alone) {
        cpu->alone = false;
        smp_resume(cpu->smp);
    }
    return true;
}

/* ---- stack ----------------------------------------------------------------------------------- */

void stack_push(struct cpu *cpu, const struct insn *in, u64 v, unsigned size)
{
    u64 sp = (cpu->gpr[RSP] - size) & stack_mask(cpu);
    mem_write(cpu, in, seg_addr(cpu, in, SEG_SS, sp, size, ACCESS_WRITE), v, size);
    set_sp(cpu, sp);
}

u64 stack_pop(struct cpu *cpu, const struct insn *in, unsigned size)
{
    u64 sp = cpu->gpr[RSP] & stack_mask(cpu);
    u64 v = mem_read(cpu, in, seg_addr(cpu, in, SEG_SS, sp, size, ACCESS_READ), size);
    set_sp(cpu, sp + size);
    return v;
}
