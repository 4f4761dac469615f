/*
 * pv.c: choosing a personality and its features, and the bridge from the CPU's hooks.
 *
 * Not here: what any hypervisor's interface looks like (one file per personality).
 */
#include "pv/pv.h"
#include "base/bits.h"
#include "base/host.h"
#include "base/nearest.h"
#include "base/trace.h"
#include <stdlib.h>
#include <string.h>

#define PERSONALITY(stem) extern const struct pv_personality pv_##stem;
#include "pv/personalities.def"
#undef PERSONALITY

static const struct pv_personality *const personalities[] = {
#define PERSONALITY(stem) &pv_##stem,
#include "pv/personalities.def"
#undef PERSONALITY
};

#define WALL_2000_NS (946684800ull * NS_PER_SEC)

/* ---- choosing -------------------------------------------------------------------------------- */

static unsigned count_features(const struct pv_personality *p)
{
    unsigned n = 0;
    while (p->features && p->features[n].name)
        n++;
    BUG_ON(n > PV_MAX_FEATURES);
    return n;
}

unsigned pv_feature_count(const struct pv *pv)
{
    return count_features(pv->p);
}

static const struct pv_personality *find_personality(const char *name, struct err *e)
{
    const char *names[ARRAY_SIZE(personalities) + 1] = { NULL };
    const char *near;

    for (size_t i = 0; i < ARRAY_SIZE(personalities); i++) {
        names[i] = personalities[i]->name;
        if (strcmp(name, names[i]) == 0)
            return personalities[i];
    }
    near = nearest(name, names);
    err_usage(e, "-pv: unknown personality '%s'", name);
    if (near)
        err_hint(e, "did you mean '%s'?", near);
    else
        err_hint(e, "-pv help lists them");
    return NULL;
}

/* The index of a feature; -1 with an error. */
static int find_feature(const struct pv_personality *p, const char *name, struct err *e)
{
    const char *names[PV_MAX_FEATURES + 1] = { NULL };
    unsigned count = count_features(p);
    const char *near;

    for (unsigned i = 0; i < count; i++) {
        names[i] = p->features[i].name;
        if (strcmp(name, names[i]) == 0)
            return (int)i;
    }
    near = nearest(name, names);
    err_usage(e, "-pv: personality '%s' has no feature '%s'", p->name, name);
    if (near)
        err_hint(e, "did you mean '%s'?", near);
    else
        err_hint(e, count ? "-pv help lists them" : "it takes no features");
    return -1;
}

static u32 default_features(const struct pv_personality *p, unsigned cpus)
{
    u32 on = 0;
    for (unsigned i = 0; i < count_features(p); i++)
        if (p->features[i].def || (p->features[i].def_smp && cpus > 1))
            on |= BIT(i);
    return on;
}

/* Applies one "+name" or "-name"; `asked` collects what was switched on by name. */
static bool apply_item(const struct pv_personality *p, const char *item, u32 *on, u32 *asked,
                       struct err *e)
{
    u32 bits;
    int n;

    if (item[0] != '+' && item[0] != '-') {
        err_usage(e, "-pv: '%s' is neither +FEATURE nor -FEATURE", item);
        return err_hint(e, "write -pv %s,+%s or -pv %s,-%s", p->name, item, p->name, item);
    }
    if (strcmp(item + 1, "all") == 0 && count_features(p)) {
        bits = (u32)mask64(count_features(p));
    } else {
        n = find_feature(p, item + 1, e);
        if (n < 0)
            return false;
        bits = BIT(n);
    }
    *on = item[0] == '+' ? *on | bits : *on & ~bits;
    *asked = item[0] == '+' ? *asked | bits : *asked & ~bits;
    return true;
}

/* A feature without what it needs would do nothing: dropped when it was on by default, refused when
 * it was asked for. */
static bool resolve_needs(const struct pv_personality *p, u32 *on, u32 asked, struct err *e)
{
    for (unsigned i = 0; i < count_features(p); i++) {
        const struct pv_feature *f = &p->features[i];
        if (!(*on & BIT(i)) || !f->needs || (*on & f->needs))
            continue;
        if (asked & BIT(i)) {
            err_usage(e, "-pv: %s needs %s", f->name, p->features[__builtin_ctz(f->needs)].name);
            return err_hint(e, "switch that on too, or leave +%s out", f->name);
        }
        *on &= ~BIT(i);
    }
    return true;
}

static const struct pv_personality *parse(char *spec, unsigned cpus, u32 *on, struct err *e)
{
    char *next = spec;
    const struct pv_personality *p = find_personality(strsep(&next, ","), e);
    u32 asked = 0;

    if (!p)
        return NULL;
    *on = default_features(p, cpus);
    while (next)
        if (!apply_item(p, strsep(&next, ","), on, &asked, e))
            return NULL;
    return resolve_needs(p, on, asked, e) ? p : NULL;
}

struct pv *pv_create(const char *spec, const struct pv_env *env, struct err *e)
{
    char *copy = strdup(spec ? spec : "none");
    const struct pv_personality *p;
    struct pv *pv;
    u32 on = 0;

    BUG_ON(!copy);
    p = parse(copy, env->cpus, &on, e);
    free(copy);
    if (!p)
        return NULL;
    pv = calloc(1, p->size);
    BUG_ON(!pv);
    pv->p = p;
    pv->env = *env;
    pv->on = on;
    if (!pv->env.wall_base_ns)
        pv->env.wall_base_ns = env->clock->mode == CLOCK_ICOUNT
                                   ? WALL_2000_NS
                                   : host_wall_ns() - clock_now_ns(env->clock);
    pv_reset(pv);
    return pv;
}

bool pv_spec_is(const char *spec, const char *name)
{
    size_t n = strlen(name);

    spec = spec ? spec : "none";
    return !strncmp(spec, name, n) && (!spec[n] || spec[n] == ',');
}

void pv_destroy(struct pv *pv)
{
    if (!pv)
        return;
    if (pv->p->destroy)
        pv->p->destroy(pv);
    free(pv);
}

void pv_reset(struct pv *pv)
{
    pv->host_polls = true;
    if (pv->p->reset)
        pv->p->reset(pv);
}

static void help_features(FILE *out, const struct pv_personality *p)
{
    for (unsigned i = 0; i < count_features(p); i++) {
        const struct pv_feature *f = &p->features[i];
        fprintf(out, "    %s%-20s %s\n", f->def ? "+" : f->def_smp ? "*" : "-", f->name, f->doc);
        if (f->evidence)
            fprintf(out, "     %-20s (seen in the guest: %s)\n", "", f->evidence);
    }
}

void pv_help(FILE *out)
{
    fputs("-pv NAME[,+FEATURE|-FEATURE...]: the hypervisor that the guest sees. Items apply in\n"
          "order; +all and -all switch every feature. Below, + is on by default, * with several\n"
          "CPUs, and the text says what a feature short-circuits.\n\n",
          out);
    for (size_t i = 0; i < ARRAY_SIZE(personalities); i++) {
        fprintf(out, "  %-8s %s\n", personalities[i]->name, personalities[i]->doc);
        help_features(out, personalities[i]);
    }
}

/* ---- shared by personalities ----------------------------------------------------------------- */

u32 pv_cpuid_bits(const struct pv *pv)
{
    u32 bits = 0;
    for (unsigned i = 0; i < pv_feature_count(pv); i++)
        if (pv_has(pv, i))
            bits |= pv->p->features[i].cpuid_bit;
    return bits;
}

u64 pv_wall_ns(struct pv *pv)
{
    return pv->env.wall_base_ns + clock_now_ns(pv->env.clock);
}

const struct pv_hypercall *pv_find_hypercall(struct pv *pv, u32 nr)
{
    const struct pv_hypercall *rows = pv->p->hypercalls;

    for (unsigned i = 0; rows && rows[i].name; i++) {
        if (rows[i].nr != nr)
            continue;
        pv->calls[i]++;
        return &rows[i];
    }
    pv->calls_unknown++;
    return NULL;
}

/* ---- the bridge ------------------------------------------------------------------------------ */

bool pv_cpuid(struct pv *pv, u32 leaf, u32 subleaf, u32 r[4])
{
    if (!pv->p->signature[0])
        return false;
    if (leaf == 1) {
        r[2] |= BIT(31);
        return true;
    }
    if (leaf < 0x40000000 || leaf > 0x4fffffff || !pv->p->cpuid)
        return false;
    if (!pv->p->cpuid(pv, leaf, subleaf, r))
        return false;
    TRACE(pv_cpuid, leaf, subleaf, r[0], r[1], r[2], r[3]);
    return true;
}

bool pv_msr_read(struct pv *pv, struct cpu *cpu, u32 msr, u64 *value, bool *handled)
{
    *handled = pv->p->msr_read && pv->p->msr_read(pv, cpu, msr, value);
    if (*handled)
        TRACE(pv_msr, (unsigned)cpu->id, "read", msr, *value);
    return *handled;
}

bool pv_msr_write(struct pv *pv, struct cpu *cpu, u32 msr, u64 value, bool *handled)
{
    bool gp = false;

    *handled = pv->p->msr_write && pv->p->msr_write(pv, cpu, msr, value, &gp);
    if (*handled)
        TRACE(pv_msr, (unsigned)cpu->id, "write", msr, value);
    return *handled && !gp;
}

/* Where interfaces have their arguments: RBX, RCX, RDX, RSI, RDI. */
static void read_arguments(const struct cpu *cpu, u64 arg[5])
{
    static const u8 reg[5] = {RBX, RCX, RDX, RSI, RDI};

    if (unlikely(trace_on[TRACE_pv_hypercall]))
        for (unsigned i = 0; i < 5; i++)
            arg[i] = cpu->gpr[reg[i]];
}

static void trace_call(const struct cpu *cpu, u64 nr, const u64 arg[5])
{
    TRACE(pv_hypercall, (unsigned)cpu->id, nr, arg[0], arg[1], arg[2], arg[3], arg[4],
          cpu->gpr[RAX]);
}

bool pv_hypercall(struct pv *pv, struct cpu *cpu)
{
    u64 nr = cpu->gpr[RAX], arg[5] = {0};

    read_arguments(cpu, arg);
    bool ok = pv->p->hypercall && pv->p->hypercall(pv, cpu);
    trace_call(cpu, nr, arg);
    return ok;
}

u64 pv_null_call(struct pv *pv, struct cpu *cpu, const u64 arg[4])
{
    (void)pv, (void)cpu, (void)arg;
    return 0;
}

bool pv_known(struct pv *pv, u64 nr, struct known_call *k)
{
    const struct pv_hypercall *rows = pv->p->call ? pv->p->hypercalls : NULL;

    for (unsigned i = 0; rows && rows[i].name; i++) {
        if (rows[i].nr != nr)
            continue;
        *k = (struct known_call){&rows[i], rows[i].fn == pv_null_call, &pv->calls[i]};
        return true;
    }
    return false;
}

void pv_call(struct pv *pv, struct cpu *cpu, const struct pv_hypercall *row)
{
    u64 nr = cpu->gpr[RAX], arg[5] = {0};

    read_arguments(cpu, arg);
    pv->calls[row - pv->p->hypercalls]++;
    pv->p->call(pv, cpu, row);
    trace_call(cpu, nr, arg);
}

enum pv_port pv_port(struct pv *pv, struct cpu *cpu, u16 port, unsigned size, bool string)
{
    return pv->p->port ? pv->p->port(pv, cpu, port, size, string) : PV_PORT_ORDINARY;
}

bool pv_pmc(struct pv *pv, struct cpu *cpu, u32 index, u64 *value)
{
    return pv->p->pmc && pv->p->pmc(pv, cpu, index, value);
}

int pv_intr_ack(struct pv *pv, struct cpu *cpu)
{
    return pv->p->intr_ack ? pv->p->intr_ack(pv, cpu) : -1;
}

bool pv_place(struct pv *pv, const struct pv_place *place)
{
    return pv->p->place && pv->p->place(pv, place);
}

void pv_tsc_changed(struct pv *pv, struct cpu *cpu)
{
    if (pv->p->tsc_changed)
        pv->p->tsc_changed(pv, cpu);
}

void pv_enter(struct pv *pv, struct cpu *cpu)
{
    if (pv->p->enter)
        pv->p->enter(pv, cpu);
}

void pv_leave(struct pv *pv, struct cpu *cpu, bool halted)
{
    if (pv->p->leave)
        pv->p->leave(pv, cpu, halted);
}
