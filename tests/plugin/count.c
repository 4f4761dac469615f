/*
 * count.c: everything that a plugin can be told, counted, for run.sh: the same numbers must come
 * from either engine. Compiled twice: with COUNT_ACCESSES it looks at memory, too, which takes
 * other ways.
 */
#include "machine/parallax-plugin.h"
#include <stdlib.h>
#include <string.h>

#define CPUS 16u

struct state {
    const struct parallax_host *host;
    struct parallax *self;
    struct parallax_counter *insns, *blocks, *privileged;
    const struct parallax_register *rip, *rsp;
    bool calls;
    struct {
        uint64_t calls, faults, registers, reads, writes, accesses, began, exits[PARALLAX_EXITS];
        uint64_t interrupts[3], idle, resumed;
    } n[CPUS];
    uint64_t started, ended, wrong;
};

static const char *create(const struct parallax_host *host, struct parallax *self,
                          const char *const *values, void **state)
{
    struct state *s = calloc(1, sizeof *s);
    s->host = host;
    s->self = self;
    s->calls = values[0] && !strcmp(values[0], "on");
    s->insns = host->counter(self);
    s->blocks = host->counter(self);
    s->privileged = host->counter(self);
    s->rip = host->find_register("rip");
    s->rsp = host->find_register("rsp");
    s->wrong += host->find_register("no such register") != NULL;
    *state = s;
    return NULL;
}

/* In front of an instruction, all before it are done and counted, and so is this one already. */
static void on_insn(void *state, struct parallax_vcpu *vcpu)
{
    struct state *s = state;
    unsigned cpu = s->host->vcpu_number(vcpu);
    uint64_t rip = s->host->read_register(vcpu, s->rip), rsp = s->host->read_register(vcpu, s->rsp);
    s->n[cpu].calls++;
    s->n[cpu].registers = s->n[cpu].registers * 31 + rip + rsp;
    s->wrong += s->host->counter_of(s->insns, cpu) != s->host->instructions(vcpu) + 1;
    s->wrong += s->host->write_register(vcpu, s->rip, rip); /* not a general register */
    s->wrong += !s->host->write_register(vcpu, s->rsp, rsp);
}

static void on_block(void *state, struct parallax_vcpu *vcpu, const struct parallax_block *b)
{
    struct state *s = state;
    uint8_t bytes[15];
    char text[64];
    unsigned sum = 0;
    s->host->count(b->probes, 0, s->blocks, 1);
    for (unsigned i = 0; i < b->count; i++) {
        const struct parallax_insn *in = &b->insn[i];
        s->wrong += in->address != b->address + sum;
        sum += in->length;
        s->host->count(b->probes, i, s->insns, 1);
        if (in->flags & PARALLAX_PRIVILEGED)
            s->host->count(b->probes, i, s->privileged, 1);
        if (s->calls)
            s->host->call(b->probes, i, on_insn, s);
    }
    s->wrong += sum != b->bytes;
    s->wrong += s->host->count(b->probes, b->count, s->insns, 1); /* there is no such instruction */
    s->host->disassemble(b, 0, text, sizeof text);
    s->wrong += !*text;
    if (s->host->read_memory(vcpu, b->address, bytes, b->insn[0].length) == b->insn[0].length)
        s->wrong += memcmp(bytes, b->insn[0].bytes, b->insn[0].length) != 0;
}

#ifdef COUNT_ACCESSES
static void on_access(void *state, struct parallax_vcpu *vcpu, const struct parallax_access *a)
{
    struct state *s = state;
    unsigned cpu = s->host->vcpu_number(vcpu);
    *(a->write ? &s->n[cpu].writes : &s->n[cpu].reads) += a->size;
    s->n[cpu].accesses = s->n[cpu].accesses * 31 + a->address + a->pc;
}
#endif

static void on_exit_of_guest(void *state, struct parallax_vcpu *vcpu, const struct parallax_exit *x)
{
    struct state *s = state;
    unsigned cpu = s->host->vcpu_number(vcpu);
    if (!x->done) {
        s->n[cpu].began++;
        return;
    }
    s->n[cpu].exits[x->reason]++;
    s->wrong += x->ended_ns < x->began_ns;
}

static void on_interrupt(void *state, struct parallax_vcpu *vcpu, enum parallax_interrupt what,
                         unsigned vector)
{
    struct state *s = state;
    s->n[s->host->vcpu_number(vcpu)].interrupts[what]++;
    s->wrong += vector > 255;
}

static void on_vcpu(void *state, struct parallax_vcpu *vcpu, enum parallax_vcpu_event what)
{
    struct state *s = state;
    unsigned cpu = s->host->vcpu_number(vcpu);
    s->started += what == PARALLAX_VCPU_START;
    s->ended += what == PARALLAX_VCPU_END;
    s->n[cpu].idle += what == PARALLAX_VCPU_IDLE;
    s->n[cpu].resumed += what == PARALLAX_VCPU_RESUME;
}

static void finish(void *state)
{
    struct state *s = state;
    const struct parallax_host *h = s->host;
    unsigned cpus = h->vcpus(s->self);
    for (unsigned c = 0; c < cpus; c++) {
        h->print(s->self,
                 "cpu %u: insns %llu blocks %llu privileged %llu calls %llu registers %llx\n", c,
                 (unsigned long long)h->counter_of(s->insns, c),
                 (unsigned long long)h->counter_of(s->blocks, c),
                 (unsigned long long)h->counter_of(s->privileged, c),
                 (unsigned long long)s->n[c].calls, (unsigned long long)s->n[c].registers);
        h->print(s->self, "cpu %u: read %llu wrote %llu bytes, accesses %llx, idle %llu\n", c,
                 (unsigned long long)s->n[c].reads, (unsigned long long)s->n[c].writes,
                 (unsigned long long)s->n[c].accesses, (unsigned long long)s->n[c].idle);
        uint64_t exits = 0;
        for (unsigned r = 0; r < PARALLAX_EXITS; r++) {
            h->print(s->self, "cpu %u: exits %u: %llu\n", c, r,
                     (unsigned long long)s->n[c].exits[r]);
            exits += s->n[c].exits[r];
        }
        for (unsigned i = 0; i < 3; i++)
            h->print(s->self, "cpu %u: interrupts %u: %llu\n", c, i,
                     (unsigned long long)s->n[c].interrupts[i]);
        s->wrong += exits != s->n[c].began;
        s->wrong += s->n[c].idle - s->n[c].resumed > 1;
    }
    s->wrong += s->started != cpus || s->ended != cpus;
    h->print(s->self, "instructions %llu wrong %llu\n",
             (unsigned long long)h->counter_sum(s->insns), (unsigned long long)s->wrong);
    free(s);
}

static const struct parallax_param params[] = {{"calls", "on: call in front of every instruction"},
                                               {NULL, NULL}};

const struct parallax_plugin parallax_plugin = {.version = PARALLAX_PLUGIN_VERSION,
                                                .name = "count",
                                                .doc = "counts everything",
                                                .params = params,
                                                .create = create,
                                                .block = on_block,
#ifdef COUNT_ACCESSES
                                                .access = on_access,
#endif
                                                .exit = on_exit_of_guest,
                                                .interrupt = on_interrupt,
                                                .vcpu = on_vcpu,
                                                .finish = finish};
