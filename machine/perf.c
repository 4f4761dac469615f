/* perf.c: see perf.h. */
#include "machine/perf.h"
#include "base/host.h"
#include "machine/vm_impl.h"

/* Is the exit one to the personality? The others are chips'. */
static bool is_personality(const struct parallax_exit *x)
{
    bool apic = x->number == 0x1b || (x->number >= 0x800 && x->number <= 0xbff);
    return x->reason == PARALLAX_EXIT_HYPERCALL || x->reason == PARALLAX_EXIT_CPUID ||
           (x->reason == PARALLAX_EXIT_MSR && !apic);
}

/* What the thread that runs a CPU is at. */
static enum perf_place place_of(const struct cpu *cpu, const void *pc)
{
    const struct vcpu *v = cpu->vm;
    enum jit_activity jit = cpu->jit ? jit_activity(cpu->jit, pc) : JIT_RESTS;
    if (jit == JIT_CODE)
        return PERF_TRANSLATED;
    if (v->exit.began_ns && !v->exit.done)
        return is_personality(&v->exit) ? PERF_PERSONALITY : PERF_DEVICES;
    if (jit == JIT_TRANSLATES)
        return PERF_TRANSLATION;
    return jit == JIT_CALLS ? PERF_HANDLERS : PERF_INTERPRETER;
}

/* In a signal handler. */
static void sample(void *opaque, const void *pc, unsigned samples)
{
    struct perf *p = opaque;
    const struct cpu *cpu = smp_current();
    enum perf_place place = cpu ? place_of(cpu, pc) : PERF_EVENTS;
    __atomic_fetch_add(&p->samples[place], samples, __ATOMIC_RELAXED);
}

/* It is there so that exits are noted in struct vcpu. */
static void at_exit(void *opaque, struct cpu *cpu, const struct parallax_exit *x)
{
    (void)opaque, (void)cpu, (void)x;
}

/* An exit that raised an exception was never answered. */
static void at_event(void *opaque, struct cpu *cpu, enum observed_event what, unsigned vector)
{
    (void)opaque, (void)what, (void)vector;
    ((struct vcpu *)cpu->vm)->exit.done = true;
}

void perf_thread(struct vcpu *v)
{
    struct perf *p = &v->vm->perf;
    struct sampler *s = &p->thread[v->cpu->id];
    if (!p->on)
        return;
    *s = (struct sampler){.fn = sample, .opaque = p};
    sampler_begin(s, NULL);
}

static void at_vcpu(void *opaque, struct cpu *cpu, enum parallax_vcpu_event what)
{
    struct perf *p = opaque;
    u64 now = host_now_ns(), since = p->idle_since[cpu->id];
    p->idle_since[cpu->id] = what == PARALLAX_VCPU_IDLE ? now : 0;
    if (what == PARALLAX_VCPU_RESUME && since)
        p->idle_ns[cpu->id] += now - since;
}

bool vm_perf_begin(struct vm *vm, struct err *e)
{
    struct perf *p = &vm->perf;
    *p = (struct perf){.vm = vm, .events = {.fn = sample, .opaque = p}};
    if (!sampler_begin(&p->events, e))
        return false;
    p->observer =
        (struct observer){.opaque = p, .exit = at_exit, .event = at_event, .vcpu = at_vcpu};
    observe_begin(vm, &p->observer);
    p->since_ns = host_now_ns();
    for (unsigned n = 0; n < vm->cpus; n++)
        p->idle_since[n] = observe_is_idle(&vm->vcpu[n]) ? p->since_ns : 0;
    p->on = true;
    return true;
}

static void stop_sampling(struct perf *p)
{
    p->on = false;
    sampler_end(&p->events);
    for (unsigned n = 0; n < p->vm->cpus; n++) {
        sampler_end(&p->thread[n]);
        at_vcpu(p, p->vm->vcpu[n].cpu, PARALLAX_VCPU_RESUME);
    }
    observe_end(p->vm, &p->observer);
}

unsigned vm_perf_end(struct vm *vm, struct vm_share share[VM_SHARES_MAX])
{
    static const struct vm_share shares[PERF_SHARES] = {
        [PERF_TRANSLATED] = {"translated code", 0,
                             "the guest's instructions, made into the host's"},
        [PERF_HANDLERS] = {"handlers", 0,
                           "called by translated code, for what it does not do itself"},
        [PERF_INTERPRETER] = {"interpreter", 0,
                              "decoding, cold and rare code, exceptions, page walks"},
        [PERF_TRANSLATION] = {"translation", 0, "making translated code"},
        [PERF_DEVICES] = {"devices", 0, "exits to chips: ports, MMIO, APIC"},
        [PERF_PERSONALITY] = {"personality", 0, "hypercalls, its MSRs and CPUID leaves"},
        [PERF_EVENTS] = {"events", 0,
                         "timers, streams, disks and networks between slices, displays"},
        [PERF_IDLE] = {"idle", 0, "vCPUs are halted"},
        [PERF_WAITS] = {"waiting", 0,
                        "vCPUs would run: for the host's processors, or for each other"},
    };
    struct perf *p = &vm->perf;
    double ns[PERF_SHARES] = {0}, sum = 0;
    stop_sampling(p);
    double all = (double)(host_now_ns() - p->since_ns) * (vm->threads ? vm->cpus : 1);
    for (unsigned i = 0; i < PERF_PLACES; i++)
        ns[i] = (double)(p->samples[i] * SAMPLE_NS);
    for (unsigned n = 0; n < vm->cpus; n++) /* on one thread, only when all are */
        ns[PERF_IDLE] += (double)p->idle_ns[n] / (vm->threads ? 1 : vm->cpus);
    for (unsigned i = 0; i < PERF_WAITS; i++)
        sum += ns[i];
    ns[PERF_WAITS] = all > sum ? all - sum : 0;
    sum += ns[PERF_WAITS];
    for (unsigned i = 0; i < PERF_SHARES; i++) {
        share[i] = shares[i];
        share[i].percent = 100 * ns[i] / sum;
    }
    return PERF_SHARES;
}
_Static_assert(PERF_SHARES <= VM_SHARES_MAX, "");
