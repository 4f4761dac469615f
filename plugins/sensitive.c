/*
 * sensitive.c: where a guest executes sensitive instructions, and how often: what a hypervisor
 * would have to trap, translate or replace (Popek and Goldberg 1974). Sensitive are the privileged
 * ones, and those of IA-32 that read or change privileged state without a fault at CPL 3 (Robin and
 * Irvine 2000): a guest that runs deprivileged gets wrong answers from them. Exits are what the
 * board and the personality were asked for.
 */
#include "machine/parallax-plugin.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SITES 16384u /* a power of two */

static const char *const unprivileged[] = {
    "sgdt",  "sidt", "sldt",  "smsw",  "str",   "pushf", "pushfd", "pushfq", "popf", "popfd",
    "popfq", "lar",  "lsl",   "verr",  "verw",  "cli",   "sti",    "in",     "out",  "insb",
    "insd",  "insw", "outsb", "outsd", "outsw", "ins",   "outs",   NULL,
};

static const char *const reasons[PARALLAX_EXITS] = {"port",  "mmio", "msr",
                                                    "cpuid", "cr8",  "hypercall"};

struct state {
    const struct parallax_host *host;
    struct parallax *self;
    size_t top;
    uint64_t exits[16][PARALLAX_EXITS], exit_ns[16][PARALLAX_EXITS];
    size_t sites;
    struct site {
        uint64_t address;
        const char *name; /* NULL: free */
        unsigned cpl;
        bool privileged;
        struct parallax_counter *count;
        uint64_t sum;
    } site[SITES];
};

static const char *create(const struct parallax_host *host, struct parallax *self,
                          const char *const *values, void **state)
{
    char *end = NULL;
    unsigned long top = values[0] ? strtoul(values[0], &end, 10) : 20;
    if (values[0] && (!top || *end))
        return "top= is a number from 1";
    struct state *s = calloc(1, sizeof *s);
    if (!s)
        return "out of memory";
    s->host = host;
    s->self = self;
    s->top = top;
    *state = s;
    return NULL;
}

static bool is_sensitive(const struct parallax_insn *in)
{
    if (in->flags & PARALLAX_PRIVILEGED)
        return true;
    for (unsigned i = 0; unprivileged[i]; i++)
        if (!strcmp(unprivileged[i], in->mnemonic))
            return true;
    return false;
}

/* The place of an instruction; NULL: the table is full. */
static struct site *site_of(struct state *s, const struct parallax_insn *in, unsigned cpl)
{
    size_t h = (size_t)((in->address * 0x9e3779b97f4a7c15u) >> 32);
    for (;; h++) {
        struct site *t = &s->site[h % SITES];
        if (t->name &&
            (t->address != in->address || t->cpl != cpl || strcmp(t->name, in->mnemonic)))
            continue;
        if (!t->name) {
            if (s->sites == SITES - 1)
                return NULL;
            s->sites++;
            *t = (struct site){.address = in->address,
                               .name = in->mnemonic,
                               .cpl = cpl,
                               .privileged = in->flags & PARALLAX_PRIVILEGED,
                               .count = s->host->counter(s->self)};
        }
        return t;
    }
}

static void block(void *state, struct parallax_vcpu *vcpu, const struct parallax_block *b)
{
    struct state *s = state;
    (void)vcpu;
    for (unsigned i = 0; i < b->count; i++) {
        struct site *t = is_sensitive(&b->insn[i]) ? site_of(s, &b->insn[i], b->cpl) : NULL;
        if (t)
            s->host->count(b->probes, i, t->count, 1);
    }
}

static void on_exit_of_guest(void *state, struct parallax_vcpu *vcpu, const struct parallax_exit *x)
{
    struct state *s = state;
    unsigned cpu = s->host->vcpu_number(vcpu);
    if (!x->done)
        return;
    s->exits[cpu][x->reason]++;
    s->exit_ns[cpu][x->reason] += x->ended_ns - x->began_ns;
}

static int more_first(const void *a, const void *b)
{
    const struct site *x = a, *y = b;
    if (x->sum != y->sum)
        return x->sum < y->sum ? 1 : -1;
    return x->address < y->address ? -1 : x->address > y->address;
}

static void print_exits(const struct state *s)
{
    for (unsigned r = 0; r < PARALLAX_EXITS; r++) {
        uint64_t n = 0, ns = 0;
        for (unsigned cpu = 0; cpu < 16; cpu++) {
            n += s->exits[cpu][r];
            ns += s->exit_ns[cpu][r];
        }
        s->host->print(s->self, "exits %-10s %12" PRIu64 " %10.3f ms\n", reasons[r], n,
                       (double)ns / 1e6);
    }
}

static void finish(void *state)
{
    struct state *s = state;
    uint64_t sum[2] = {0};
    for (size_t i = 0; i < SITES; i++)
        if (s->site[i].name) {
            s->site[i].sum = s->host->counter_sum(s->site[i].count);
            sum[s->site[i].privileged] += s->site[i].sum;
        }
    s->host->print(s->self,
                   "privileged %" PRIu64 "\nsensitive and unprivileged %" PRIu64 "\nsites %zu\n",
                   sum[1], sum[0], s->sites);
    print_exits(s);
    qsort(s->site, SITES, sizeof *s->site, more_first);
    for (size_t i = 0; i < s->top && i < SITES && s->site[i].sum; i++)
        s->host->print(s->self, "%016" PRIx64 " cpl %u %-8s %12" PRIu64 "%s\n", s->site[i].address,
                       s->site[i].cpl, s->site[i].name, s->site[i].sum,
                       s->site[i].privileged ? "" : " unprivileged");
    free(s);
}

static const struct parallax_param params[] = {{"top", "print so many places (default 20)"},
                                               {NULL, NULL}};

const struct parallax_plugin parallax_plugin = {.version = PARALLAX_PLUGIN_VERSION,
                                                .name = "sensitive",
                                                .doc = "where sensitive instructions are executed",
                                                .params = params,
                                                .create = create,
                                                .block = block,
                                                .exit = on_exit_of_guest,
                                                .finish = finish};
