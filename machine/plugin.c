/* plugin.c: plugins in shared objects: loading, the calls that they get, the services that they
 * have. The interface is parallax-plugin.h; what is below it, observe.h. */
#include "machine/plugin.h"
#include "base/nearest.h"
#include "cpu/excp.h"
#include "machine/disas.h"
#include "machine/vm_impl.h"
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define COUNTERS_AT_ONCE 512u

/* Counters lie together by CPU, so that CPUs do not write into each other's lines. */
struct counters {
    struct counters *next;
    unsigned used;
    struct parallax_counter {
        struct counters *in;
        unsigned at;
    } counter[COUNTERS_AT_ONCE];
    u64 value[VM_MAX_CPUS][COUNTERS_AT_ONCE] __attribute__((aligned(64)));
};

struct parallax {
    struct plugins *all;
    struct vm *vm;
    const struct parallax_plugin *plugin; /* NULL: not loaded */
    bool runs;                            /* it was created, and not finished */
    const char *path;
    void *library, *state;
    struct observer observer;
    struct counters *counters;
    FILE *out;
    const char *out_path; /* NULL: standard error */
};

struct plugins {
    pthread_mutex_t lock; /* `block` and `vcpu` come one at a time */
    unsigned count;
    struct parallax plugin[PLUGINS_MAX];
};

/* For `count` and `call`, while `block` runs. */
struct parallax_probes {
    struct cpu *cpu;
    const struct block *block;
    struct probe_list *list;
};

/* The opaque type of the interface. */
static struct parallax_vcpu *vcpu_out(struct cpu *cpu)
{
    return (struct parallax_vcpu *)(void *)cpu;
}

static struct cpu *vcpu_in(struct parallax_vcpu *v)
{
    return (struct cpu *)(void *)v;
}

/* ---- services -------------------------------------------------------------------------------- */

static struct parallax_counter *new_counter(struct parallax *p)
{
    struct counters *c = p->counters;
    if (!c || c->used == COUNTERS_AT_ONCE) {
        c = aligned_alloc(64, sizeof *c);
        BUG_ON(!c);
        memset(c, 0, sizeof *c);
        c->next = p->counters;
        p->counters = c;
    }
    struct parallax_counter *new = &c->counter[c->used];
    *new = (struct parallax_counter){.in = c, .at = c->used++};
    return new;
}

static u64 counter_of(const struct parallax_counter *c, unsigned vcpu)
{
    return vcpu < VM_MAX_CPUS ? c->in->value[vcpu][c->at] : 0;
}

static u64 counter_sum(const struct parallax_counter *c)
{
    u64 sum = 0;
    for (unsigned i = 0; i < VM_MAX_CPUS; i++)
        sum += c->in->value[i][c->at];
    return sum;
}

static bool add_probe(struct parallax_probes *at, unsigned n, struct probe_action a)
{
    if (at->list->count == PROBES_MAX || n >= at->block->count)
        return false;
    at->list->at[at->list->count++] = (struct probe_request){n, a};
    return true;
}

static bool count(struct parallax_probes *at, unsigned n, struct parallax_counter *c, int32_t add)
{
    return add_probe(at, n,
                     (struct probe_action){.count = &c->in->value[at->cpu->id][c->at], .add = add});
}

/* RIP and the count of instructions are exact while a plugin is told of an instruction. */
static void tell_of(struct cpu *cpu, const struct insn *in)
{
    ((struct vcpu *)cpu->vm)->at = in;
    if (in)
        cpu->rip = insn_rip(cpu, in);
}

static void do_call(const struct probe_action *a, struct cpu *cpu, const struct insn *in)
{
    tell_of(cpu, in);
    ((parallax_call *)a->fn)(a->opaque, vcpu_out(cpu));
    tell_of(cpu, NULL);
}

static bool call(struct parallax_probes *at, unsigned n, parallax_call *fn, void *data)
{
    return add_probe(
        at, n, (struct probe_action){.call = do_call, .opaque = data, .fn = (void (*)(void))fn});
}

static void disassemble(const struct parallax_block *b, unsigned n, char *text, size_t size)
{
    char line[DISAS_TEXT];
    const struct parallax_insn *in = &b->insn[n];
    disas(in->bytes, in->length, in->address, b->bits, line);
    snprintf(text, size, "%s", line);
}

static unsigned vcpu_number(struct parallax_vcpu *v)
{
    return vcpu_in(v)->id;
}

static unsigned vcpus(struct parallax *p)
{
    return p->vm->cpus;
}

static u64 instructions(struct parallax_vcpu *v)
{
    const struct cpu *cpu = vcpu_in(v);
    const struct vcpu *vcpu = cpu->vm;
    return cpu_icount(cpu) + (vcpu->at ? vcpu->at->idx : 0);
}

static const struct parallax_register *find_register(const char *name)
{
    return (const struct parallax_register *)(const void *)reg_find(name, strlen(name));
}

static u64 read_register(struct parallax_vcpu *v, const struct parallax_register *r)
{
    return reg_read64(vcpu_in(v), (const struct reg *)(const void *)r);
}

static bool write_register(struct parallax_vcpu *v, const struct parallax_register *r, u64 value)
{
    const struct reg *reg = (const struct reg *)(const void *)r;
    const union vec vec = {.q = {value}};
    return reg_is_part(reg) && reg_write(vcpu_in(v), reg, &vec);
}

static size_t read_memory(struct parallax_vcpu *v, u64 address, void *to, size_t bytes)
{
    return debug_read(vcpu_in(v), address, to, bytes);
}

static size_t write_memory(struct parallax_vcpu *v, u64 address, const void *from, size_t bytes)
{
    return debug_write(vcpu_in(v), address, from, bytes);
}

static void print(struct parallax *p, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vfprintf(p->out, format, ap);
    va_end(ap);
}

static void write_bytes(struct parallax *p, const void *bytes, size_t n)
{
    fwrite(bytes, 1, n, p->out);
}

static void stop(struct parallax *p)
{
    vm_stop(p->vm);
}

static const struct parallax_host services = {
    .counter = new_counter,
    .counter_of = counter_of,
    .counter_sum = counter_sum,
    .count = count,
    .call = call,
    .disassemble = disassemble,
    .vcpu_number = vcpu_number,
    .vcpus = vcpus,
    .instructions = instructions,
    .find_register = find_register,
    .read_register = read_register,
    .write_register = write_register,
    .read_memory = read_memory,
    .write_memory = write_memory,
    .print = print,
    .write = write_bytes,
    .stop = stop,
};

/* ---- what they are told ---------------------------------------------------------------------- */

static unsigned flags_of(const struct insn *in)
{
    const struct insn_row *row = insn_row(in);
    unsigned own = row->cls == CTRL ? PARALLAX_JUMP : row->cls == SYSTEM ? PARALLAX_SYSTEM : 0;
    bool memory = row->cls == CTRL ? in->mem || row->ops->stack : block_touches_memory(in);
    return own | (memory ? PARALLAX_MEMORY : 0) | (row->attr & A_CPL0 ? PARALLAX_PRIVILEGED : 0);
}

static void at_block(void *opaque, struct cpu *cpu, const struct block *b, gva_t lin,
                     struct probe_list *l)
{
    struct parallax *p = opaque;
    struct parallax_probes probes = {cpu, b, l};
    struct parallax_insn insn[BLOCK_MAX_INSNS];
    u8 bytes[OBSERVED_CODE];
    const struct parallax_block out = {.address = lin,
                                       .physical = b->gpa,
                                       .bytes = b->bytes,
                                       .count = b->count,
                                       .bits = reg_code_bits(cpu),
                                       .cpl = cpu->cpl,
                                       .insn = insn,
                                       .probes = &probes};
    observe_code(cpu, b, bytes);
    for (unsigned i = 0; i < b->count; i++) {
        const struct insn *in = &b->insn[i];
        insn[i] = (struct parallax_insn){.address = lin + in->off,
                                         .bytes = bytes + in->off,
                                         .mnemonic =
                                             in->row == ROW_INVALID ? "(bad)" : insn_row(in)->name,
                                         .length = in->len,
                                         .flags = (u8)flags_of(in)};
    }
    pthread_mutex_lock(&p->all->lock);
    p->plugin->block(p->state, vcpu_out(cpu), &out);
    pthread_mutex_unlock(&p->all->lock);
}

static void at_access(void *opaque, struct cpu *cpu, const struct insn *in, gva_t va, unsigned size,
                      bool write)
{
    const struct parallax *p = opaque;
    const struct parallax_access a = {.address = va,
                                      .pc = in ? cpu->gpr[REG_RIP] + in->off : reg_pc(cpu),
                                      .size = size,
                                      .write = write};
    ((struct vcpu *)cpu->vm)->at = in;
    p->plugin->access(p->state, vcpu_out(cpu), &a);
    ((struct vcpu *)cpu->vm)->at = NULL;
}

static void at_exit(void *opaque, struct cpu *cpu, const struct parallax_exit *x)
{
    const struct parallax *p = opaque;
    p->plugin->exit(p->state, vcpu_out(cpu), x);
}

static void at_event(void *opaque, struct cpu *cpu, enum observed_event what, unsigned vector)
{
    const struct parallax *p = opaque;
    p->plugin->interrupt(p->state, vcpu_out(cpu), (enum parallax_interrupt)what, vector);
}
_Static_assert((int)OBSERVED_INTERRUPT == PARALLAX_INTERRUPT &&
                   (int)OBSERVED_SOFT_INT == PARALLAX_SOFT_INTERRUPT,
               "they are the same");

static void at_vcpu(void *opaque, struct cpu *cpu, enum parallax_vcpu_event what)
{
    struct parallax *p = opaque;
    pthread_mutex_lock(&p->all->lock);
    p->plugin->vcpu(p->state, vcpu_out(cpu), what);
    pthread_mutex_unlock(&p->all->lock);
}

static void tell_all(struct parallax *p, enum parallax_vcpu_event what)
{
    for (unsigned n = 0; p->plugin->vcpu && n < p->vm->cpus; n++)
        at_vcpu(p, p->vm->vcpu[n].cpu, what);
}

/* ---- loading --------------------------------------------------------------------------------- */

static bool find_plugin(struct parallax *p, struct err *e)
{
    char path[4096]; /* without a slash it would be looked for among the system's libraries */
    snprintf(path, sizeof path, "%s%s", strchr(p->path, '/') ? "" : "./", p->path);
    p->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!p->library)
        return err_usage(e, "-plugin: %s", dlerror());
    const struct parallax_plugin *found = dlsym(p->library, "parallax_plugin");
    if (!found)
        return err_usage(e, "-plugin: %s is no plugin: it has no 'parallax_plugin'", p->path);
    if (found->version != PARALLAX_PLUGIN_VERSION) {
        err_usage(e, "-plugin: %s is made for version %u of the interface, this is version %u",
                  p->path, found->version, PARALLAX_PLUGIN_VERSION);
        return err_hint(e, "compile it with this version's parallax-plugin.h");
    }
    if (!found->name || !found->create || !found->finish)
        return err_usage(e, "-plugin: %s lacks a name, `create` or `finish`", p->path);
    p->plugin = found;
    return true;
}

static bool unknown_key(const struct parallax *p, const char *key, struct err *e)
{
    const char *keys[PLUGIN_ARGS_MAX + 2] = {"out"};
    for (unsigned i = 0; p->plugin->params && p->plugin->params[i].key && i < PLUGIN_ARGS_MAX; i++)
        keys[i + 1] = p->plugin->params[i].key;
    const char *near = nearest(key, keys);
    err_usage(e, "-plugin: '%s' has no argument '%s'", p->plugin->name, key);
    return near ? err_hint(e, "did you mean '%s'?", near)
                : err_hint(e, "-plugin %s,help lists what it takes", p->path);
}

/* The values in the order of the plugin's own table. */
static bool sort_values(struct parallax *p, const struct plugin_options *o,
                        const char *values[PLUGIN_ARGS_MAX], struct err *e)
{
    for (unsigned i = 0; i < o->count; i++) {
        const char *key = o->arg[i].key, **at = NULL;
        for (unsigned k = 0; p->plugin->params && p->plugin->params[k].key && k < PLUGIN_ARGS_MAX;
             k++)
            if (!strcmp(key, p->plugin->params[k].key))
                at = &values[k];
        if (!strcmp(key, "out"))
            at = &p->out_path;
        if (!at)
            return unknown_key(p, key, e);
        if (*at)
            return err_usage(e, "-plugin: %s: '%s' is given twice", p->plugin->name, key);
        *at = o->arg[i].value;
    }
    return true;
}

static bool open_out(struct parallax *p, struct err *e)
{
    p->out = p->out_path ? fopen(p->out_path, "we") : stderr;
    return p->out ||
           err_host(e, "-plugin: %s: cannot be written: %s", p->out_path, strerror(errno));
}

static bool start(struct parallax *p, const struct plugin_options *o, struct err *e)
{
    const char *values[PLUGIN_ARGS_MAX] = {0};
    if (!find_plugin(p, e) || !sort_values(p, o, values, e) || !open_out(p, e))
        return false;
    const char *wrong = p->plugin->create(&services, p, values, &p->state);
    if (wrong)
        return err_usage(e, "-plugin: %s: %s", p->plugin->name, wrong);
    p->runs = true;
    p->observer = (struct observer){.opaque = p,
                                    .block = p->plugin->block ? at_block : NULL,
                                    .access = p->plugin->access ? at_access : NULL,
                                    .exit = p->plugin->exit ? at_exit : NULL,
                                    .event = p->plugin->interrupt ? at_event : NULL,
                                    .vcpu = p->plugin->vcpu ? at_vcpu : NULL};
    observe_begin(p->vm, &p->observer);
    tell_all(p, PARALLAX_VCPU_START);
    for (unsigned n = 0; p->plugin->vcpu && n < p->vm->cpus; n++)
        if (observe_is_idle(&p->vm->vcpu[n]))
            at_vcpu(p, p->vm->vcpu[n].cpu, PARALLAX_VCPU_IDLE);
    return true;
}

struct plugins *plugins_load(struct vm *vm, const struct plugin_options *o, unsigned n,
                             struct err *e)
{
    struct plugins *all = calloc(1, sizeof *all);
    if (!all) {
        err_host(e, "out of memory for plugins");
        return NULL;
    }
    pthread_mutex_init(&all->lock, NULL);
    for (unsigned i = 0; i < n; i++) {
        struct parallax *p = &all->plugin[all->count++];
        *p = (struct parallax){.all = all, .vm = vm, .path = o[i].path};
        if (start(p, &o[i], e))
            continue;
        plugins_unload(all);
        return NULL;
    }
    return all;
}

bool plugin_help(const char *path, FILE *out, struct err *e)
{
    struct parallax p = {.path = path};
    bool ok = find_plugin(&p, e);
    if (ok) {
        fprintf(out, "%s: %s\n", p.plugin->name, p.plugin->doc ? p.plugin->doc : "");
        for (const struct parallax_param *k = p.plugin->params; k && k->key; k++)
            fprintf(out, "  %-14s %s\n", k->key, k->doc);
        fprintf(out, "  %-14s %s\n", "out", "file that it prints to (default standard error)");
    }
    if (p.library)
        dlclose(p.library);
    return ok;
}

bool plugins_finish(struct plugins *all, struct err *e)
{
    bool ok = true;
    for (unsigned i = 0; all && i < all->count; i++) {
        struct parallax *p = &all->plugin[i];
        if (!p->runs)
            continue;
        observe_end(p->vm, &p->observer);
        tell_all(p, PARALLAX_VCPU_END);
        p->plugin->finish(p->state);
        p->runs = false;
        bool lost = fflush(p->out) || ferror(p->out);
        if (p->out_path && fclose(p->out))
            lost = true;
        p->out = NULL;
        if (lost)
            ok = err_host(e, "-plugin: %s could not be written (is the disk full?)",
                          p->out_path ? p->out_path : "standard error");
    }
    return ok;
}

void plugins_unload(struct plugins *all)
{
    if (!all)
        return;
    plugins_finish(all, NULL);
    for (unsigned i = 0; i < all->count; i++) {
        struct parallax *p = &all->plugin[i];
        if (p->out && p->out_path)
            fclose(p->out);
        for (struct counters *next, *c = p->counters; c; c = next) {
            next = c->next;
            free(c);
        }
        if (p->library)
            dlclose(p->library);
    }
    pthread_mutex_destroy(&all->lock);
    free(all);
}
