/* timeline.c: see timeline.h. Times are microseconds with three decimals since the begin. */
#include "machine/timeline.h"
#include "base/host.h"
#include "machine/vm_impl.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct timeline {
    struct vm *vm;
    struct observer observer;
    FILE *f;
    const char *path;
    u64 begin_ns;
    u64 idle_since[VM_MAX_CPUS]; /* 0: it is not */
};

static double us(const struct timeline *t, u64 ns)
{
    return (double)(ns - t->begin_ns) / 1000;
}

/* The head of an event that lasted, up to its arguments. stdio keeps what one call prints together.
 */
#define SPAN "{\"ph\":\"X\",\"pid\":1,\"tid\":%u,\"ts\":%.3f,\"dur\":%.3f,"

static void at_exit(void *opaque, struct cpu *cpu, const struct parallax_exit *x)
{
    static const struct {
        const char *category, *format;
    } kinds[PARALLAX_EXITS] = {
        [PARALLAX_EXIT_PORT] = {"exit", "port %" PRIx64 "h"},
        [PARALLAX_EXIT_MMIO] = {"exit", "mmio %" PRIx64 "h"},
        [PARALLAX_EXIT_MSR] = {"exit", "msr %" PRIx64 "h"},
        [PARALLAX_EXIT_CPUID] = {"exit", "cpuid %" PRIx64 "h"},
        [PARALLAX_EXIT_CR8] = {"exit", "cr%" PRIx64},
        [PARALLAX_EXIT_HYPERCALL] = {"hypercall", "hypercall %" PRIu64},
    };
    const struct timeline *t = opaque;
    char name[48];
    if (!x->done)
        return;
    snprintf(name, sizeof name, kinds[x->reason].format, x->number);
    fprintf(t->f, SPAN "\"cat\":\"%s\",\"name\":\"%s\",\"args\":{\"%s\":\"%#" PRIx64 "\"}},\n",
            cpu->id, us(t, x->began_ns), us(t, x->ended_ns) - us(t, x->began_ns),
            kinds[x->reason].category, name,
            x->reason == PARALLAX_EXIT_HYPERCALL ? "result"
            : x->write                           ? "write"
                                                 : "read",
            x->value);
}

static void at_event(void *opaque, struct cpu *cpu, enum observed_event what, unsigned vector)
{
    const struct timeline *t = opaque;
    char name[64];
    if (what == OBSERVED_EXCEPTION || vector == EXC_NMI)
        snprintf(name, sizeof name, "%s", vm_exception_name(vector));
    else
        snprintf(name, sizeof name, "%s %02xh", what == OBSERVED_SOFT_INT ? "int" : "interrupt",
                 vector);
    fprintf(t->f,
            "{\"ph\":\"i\",\"s\":\"t\",\"pid\":1,\"tid\":%u,\"ts\":%.3f,\"cat\":\"interrupt\","
            "\"name\":\"%s\","
            "\"args\":{\"rip\":\"%#" PRIx64 "\"}},\n",
            cpu->id, us(t, host_now_ns()), name, cpu->rip);
}

static void at_translated(void *opaque, struct cpu *cpu, const struct jit_piece *p, u64 began_ns)
{
    const struct timeline *t = opaque;
    u64 now = host_now_ns();
    fprintf(t->f,
            SPAN "\"cat\":\"translation\",\"name\":\"translate %s\",\"args\":{\"guest\":\"%#" PRIx64
                 "\",\"host_bytes\":%" PRIu64 "}},\n",
            cpu->id, us(t, began_ns), us(t, now) - us(t, began_ns), p->what, p->lin, p->bytes);
}

static void print_idle(struct timeline *t, unsigned cpu)
{
    u64 since = t->idle_since[cpu];
    t->idle_since[cpu] = 0;
    if (since)
        fprintf(t->f, SPAN "\"cat\":\"idle\",\"name\":\"halted\"},\n", cpu, us(t, since),
                us(t, host_now_ns()) - us(t, since));
}

static void at_vcpu(void *opaque, struct cpu *cpu, enum parallax_vcpu_event what)
{
    struct timeline *t = opaque;
    if (what == PARALLAX_VCPU_IDLE)
        t->idle_since[cpu->id] = host_now_ns();
    else
        print_idle(t, cpu->id);
}

/* Metadata: the names of the threads. `name` may hold anything. */
static void print_names(struct timeline *t, const char *name)
{
    fprintf(t->f,
            "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n"
            "{\"ph\":\"M\",\"pid\":1,\"name\":\"process_name\",\"args\":{\"name\":\"parallax ");
    for (; *name; name++)
        fputc(*name < ' ' || *name > '~' || strchr("\"\\", *name) ? '?' : *name, t->f);
    fprintf(t->f, "\"}},\n");
    for (unsigned n = 0; n < t->vm->cpus; n++)
        fprintf(t->f,
                "{\"ph\":\"M\",\"pid\":1,\"tid\":%u,\"name\":\"thread_name\",\"args\":{\"name\":"
                "\"vCPU %u\"}},\n",
                n, n);
}

struct timeline *timeline_begin(struct vm *vm, const char *path, const char *name, struct err *e)
{
    struct timeline *t = calloc(1, sizeof *t);
    if (!t) {
        err_host(e, "out of memory for the timeline");
        return NULL;
    }
    t->f = fopen(path, "we");
    if (!t->f) {
        err_host(e, "-timeline: %s: cannot be written: %s", path, strerror(errno));
        free(t);
        return NULL;
    }
    t->vm = vm;
    t->path = path;
    t->begin_ns = host_now_ns();
    t->observer = (struct observer){.opaque = t,
                                    .exit = at_exit,
                                    .event = at_event,
                                    .translated = at_translated,
                                    .vcpu = at_vcpu};
    print_names(t, name);
    observe_begin(vm, &t->observer);
    for (unsigned n = 0; n < vm->cpus; n++)
        t->idle_since[n] = observe_is_idle(&vm->vcpu[n]) ? t->begin_ns : 0;
    return t;
}

bool timeline_end(struct timeline *t, struct err *e)
{
    if (!t)
        return true;
    observe_end(t->vm, &t->observer);
    for (unsigned n = 0; n < t->vm->cpus; n++)
        print_idle(t, n);
    /* The list may not end with a comma; this one is the total. */
    fprintf(t->f,
            "{\"ph\":\"M\",\"pid\":1,\"name\":\"process_labels\",\"args\":{\"labels\":\"%" PRIu64
            " instructions\"}}\n]}\n",
            vm_icount(t->vm));
    bool ok = !ferror(t->f);
    ok &= !fclose(t->f);
    if (!ok)
        err_host(e, "-timeline: %s could not be written (is the disk full?)", t->path);
    free(t);
    return ok;
}
