/* monitor_paging.c: info pt, mem, tlb: linear memory by THE walker (mmu/walk.h). */
#include "frontends/monitor_impl.h"

#include <inttypes.h>

#define RANGES_MAX 1000u    /* printed */
#define WALKS_MAX 1000000u /* some tables map themselves, a hundred million times */

static const char *const kinds[] = {"no", "32-bit", "PAE", "4-level", "5-level"};

/* ---- one address ----------------------------------------------------------------------------- */

static void print_entry(FILE *out, const char *name, const struct walk_step *s, bool last)
{
    u64 e = s->entry;

    fprintf(out, "  %-5s entry at %#" PRIx64 " is %016" PRIx64 ": ", name, s->entry_gpa, e);
    if (!(e & 1)) {
        fprintf(out, "not present\n");
        return;
    }
    fprintf(out, "%s %s%s%s%s%s%s\n", e & 4 ? "user" : "supervisor",
            e & 2 ? "writable" : "read-only", e >> 63 ? " no-execute" : "",
            e & 0x20 ? " accessed" : "", last && e & 0x40 ? " dirty" : "",
            last && e & 0x100 ? " global" : "",
            !last      ? ""
            : e & 0x80 ? " large"
                       : "");
}

static const char *level_name(enum paging kind, unsigned step)
{
    static const char *const four[] = {"PML5", "PML4", "PDPT", "PD", "PT"};
    unsigned levels = kind == PAGING_5LEVEL   ? 5
                      : kind == PAGING_4LEVEL ? 4
                      : kind == PAGING_PAE    ? 2
                                              : 2;

    return step < levels ? four[5 - levels + step] : "?";
}

/* Would an access be allowed? Why not. */
static void print_access(struct monitor *m, gva_t va, struct walk_access a, const char *what)
{
    struct cpu *cpu = monitor_cpu(m);
    struct walk_result w;

    walk(cpu->phys, &cpu->paging, va, a, &w);
    fprintf(m->out, "  %-17s ", what);
    if (w.ok)
        fprintf(m->out, "allowed\n");
    else if (w.pfec & PFEC_RSVD)
        fprintf(m->out, "#PF error %#x: a reserved bit is set\n", w.pfec);
    else if (!(w.pfec & PFEC_P))
        fprintf(m->out, "#PF error %#x: not present\n", w.pfec);
    else if (a.user && !w.user)
        fprintf(m->out, "#PF error %#x: a supervisor's page\n", w.pfec);
    else if (!a.user && w.user && a.kind == ACCESS_EXEC && cpu->paging.smep)
        fprintf(m->out, "#PF error %#x: a user's page, and SMEP is on\n", w.pfec);
    else if (!a.user && w.user && a.kind != ACCESS_EXEC && cpu->paging.smap)
        fprintf(m->out, "#PF error %#x: a user's page, and SMAP is on\n", w.pfec);
    else
        fprintf(m->out, "#PF error %#x: %s\n", w.pfec,
                a.kind == ACCESS_EXEC ? "a no-execute page" : "a read-only page");
}

bool info_pt(struct monitor *m, const char *args, struct err *e)
{
    struct cpu *cpu = monitor_cpu(m);
    const struct paging_state *ps = &cpu->paging;
    struct walk_result w;
    u64 va;

    if (!monitor_only_value(m, args, &va, e))
        return false;
    fprintf(m->out, "%#" PRIx64 ": %s paging", va, kinds[ps->kind]);
    if (ps->kind == PAGING_NONE) {
        fprintf(m->out, ", it is the physical address\n");
        return true;
    }
    fprintf(m->out, ", CR3 %#" PRIx64 "\n", ps->cr3);
    if (cpu_in_long_mode(cpu) && !cpu_canonical(cpu, va)) {
        fprintf(m->out, "  not canonical: #GP\n");
        return true;
    }
    walk(cpu->phys, ps, va, (struct walk_access){.kind = ACCESS_READ, .ac = true}, &w);
    if (ps->kind == PAGING_PAE)
        fprintf(m->out, "  PDPTE %" PRIu64 " is %016" PRIx64 "\n", va >> 30 & 3,
                ps->pdpte[va >> 30 & 3]);
    for (unsigned i = 0; i < w.levels; i++)
        print_entry(m->out, level_name(ps->kind, i), &w.step[i], i + 1 == w.levels && w.ok);
    if (w.ok)
        fprintf(m->out, "  physical %#" PRIx64 ", a page of %llu KiB\n",
                w.gpa & cpu->phys->a20_mask, w.page_bytes / KIB);
    print_access(m, va, (struct walk_access){.kind = ACCESS_READ}, "supervisor read");
    print_access(m, va, (struct walk_access){.kind = ACCESS_WRITE}, "supervisor write");
    print_access(m, va, (struct walk_access){.kind = ACCESS_EXEC}, "supervisor fetch");
    print_access(m, va, (struct walk_access){.kind = ACCESS_READ, .user = true}, "user read");
    print_access(m, va, (struct walk_access){.kind = ACCESS_WRITE, .user = true}, "user write");
    print_access(m, va, (struct walk_access){.kind = ACCESS_EXEC, .user = true}, "user fetch");
    return true;
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* Bytes that one entry of a table stands for, by the number of entries that lead to it. */
static u64 entry_bytes(enum paging kind, unsigned levels)
{
    switch (kind) {
    case PAGING_32: return levels <= 1 ? 4 * MIB : PAGE_SIZE;
    case PAGING_PAE: return levels == 0 ? GIB : levels == 1 ? 2 * MIB : PAGE_SIZE;
    case PAGING_4LEVEL: return 1ull << (12 + 9 * (4 - (levels ? levels : 1)));
    case PAGING_5LEVEL: return 1ull << (12 + 9 * (5 - (levels ? levels : 1)));
    default: return 1ull << 32;
    }
}

struct range {
    gva_t from, to; /* inclusive */
    gpa_t gpa;
    bool user, write, exec, global;
};

static void print_range(FILE *out, const struct range *r, bool physical)
{
    fprintf(out, "%016" PRIx64 "-%016" PRIx64, r->from, r->to);
    if (physical)
        fprintf(out, " -> %012" PRIx64, r->gpa);
    fprintf(out, " %c%c%c%s\n", r->user ? 'u' : 's', r->write ? 'w' : 'r', r->exec ? 'x' : '-',
            physical && r->global ? " global" : "");
}

static bool continues(const struct range *r, const struct range *next, bool physical)
{
    return r->to + 1 == next->from && r->user == next->user && r->write == next->write &&
           r->exec == next->exec &&
           (!physical ||
            (r->gpa + (next->from - r->from) == next->gpa && r->global == next->global));
}

/* The next address with something other than what is at va; false at the end of the space. */
static bool advance(const struct cpu *cpu, gva_t *va, u64 bytes)
{
    unsigned bits = cpu->paging.kind == PAGING_5LEVEL ? 57 : 48;
    gva_t next = (*va & ~(bytes - 1)) + bytes;

    if (!cpu_in_long_mode(cpu)) {
        *va = next;
        return next <= 0xffffffff;
    }
    if (next >> (bits - 1) == 1) /* the hole in the middle */
        next = ~0ull << (bits - 1);
    *va = next;
    return next != 0;
}

/* From an address on. */
static bool list(struct monitor *m, gva_t va, bool physical)
{
    struct cpu *cpu = monitor_cpu(m);
    struct range open = {0};
    bool any = false;
    unsigned printed = 0, walks = 0;
    u64 bytes;

    if (cpu->paging.kind == PAGING_NONE) {
        fprintf(m->out, "no paging: linear addresses are physical ones\n");
        return true;
    }
    do {
        struct walk_result w;

        walk(cpu->phys, &cpu->paging, va, (struct walk_access){.kind = ACCESS_READ, .ac = true},
             &w);
        bytes = w.ok ? w.page_bytes : entry_bytes(cpu->paging.kind, w.levels);
        if (!w.ok)
            continue;
        struct range r = {va, va + bytes - 1, w.gpa, w.user, w.write, w.exec, w.global};
        if (any && continues(&open, &r, physical)) {
            open.to = r.to;
            continue;
        }
        if (any && ++printed <= RANGES_MAX)
            print_range(m->out, &open, physical);
        open = r;
        any = true;
    } while (advance(cpu, &va, bytes) && ++walks < WALKS_MAX);
    if (any && ++printed <= RANGES_MAX)
        print_range(m->out, &open, physical);
    if (printed > RANGES_MAX)
        fprintf(m->out, "... and %u more\n", printed - RANGES_MAX);
    if (walks == WALKS_MAX)
        fprintf(m->out, "... up to %#" PRIx64 ": give an address to go on from\n", va);
    return true;
}

static bool list_from(struct monitor *m, const char *args, bool physical, struct err *e)
{
    u64 va = 0;

    if (*args && !monitor_only_value(m, args, &va, e))
        return false;
    return list(m, va & PAGE_MASK, physical);
}

bool info_mem(struct monitor *m, const char *args, struct err *e)
{
    return list_from(m, args, false, e);
}

bool info_tlb(struct monitor *m, const char *args, struct err *e)
{
    return list_from(m, args, true, e);
}
