/* debug.c: points, and what becomes of a hit. See debug.h; the CPU's side is cpu/tap.h. */
#include "base/bits.h"
#include "cpu/block.h"
#include "machine/expr.h"
#include "machine/vm_impl.h"
#include <stdlib.h>

/* ---- points ---------------------------------------------------------------------------------- */

static const char *const kind_names[DEBUG_KINDS] = {
    "nothing", "step", "breakpoint", "watchpoint", "read watchpoint", "access watchpoint",
    "port",    "msr",  "exception",  "mode",       "hypercall",
};

const char *debug_kind_name(enum debug_kind k)
{
    return kind_names[k];
}

static bool is_data(enum debug_kind k)
{
    return k == DEBUG_WRITE || k == DEBUG_READ || k == DEBUG_ACCESS;
}

void debug_init(struct debug *d)
{
    *d = (struct debug){0};
}

static void release(struct debug_point *p)
{
    expr_free(p->cond);
    if (p->release)
        p->release(p->opaque);
    free(p);
}

void debug_destroy(struct debug *d)
{
    struct debug_point *next;
    for (struct debug_point *p = d->points; p; p = next) {
        next = p->next;
        release(p);
    }
}

static bool has_room(const struct debug *d, const struct debug_point *p, struct err *e)
{
    unsigned all = 0, data = 0;
    for (const struct debug_point *q = d->points; q; q = q->next) {
        all++;
        data += is_data(q->kind);
    }
    if (all < DEBUG_POINTS && (!is_data(p->kind) || data < TLB_WATCH_MAX))
        return true;
    return err_usage(e, "there are %u %s already", is_data(p->kind) ? data : all,
                     is_data(p->kind) ? "watchpoints" : "points");
}

struct debug_point *debug_add(struct vm *vm, const struct debug_point *p, struct err *e)
{
    struct debug *d = &vm->debug;
    struct debug_point *new = has_room(d, p, e) ? malloc(sizeof *new) : NULL, **at = &d->points;
    if (!new) {
        expr_free(p->cond);
        return NULL;
    }
    *new = *p;
    new->id = ++d->last_id;
    new->next = NULL;
    while (*at)
        at = &(*at)->next;
    *at = new;
    d->changed = true;
    return new;
}

struct debug_point *debug_find(struct vm *vm, unsigned id)
{
    struct debug_point *p = vm->debug.points;
    while (p && p->id != id)
        p = p->next;
    return p;
}

struct debug_point *debug_first(struct vm *vm)
{
    return vm->debug.points;
}

void debug_remove(struct vm *vm, struct debug_point *p)
{
    struct debug_point **at = &vm->debug.points;
    while (*at && *at != p)
        at = &(*at)->next;
    if (!*at)
        return;
    *at = p->next;
    release(p);
    vm->debug.changed = true;
}

void debug_changed(struct vm *vm)
{
    vm->debug.changed = true;
}

/* ---- hits ------------------------------------------------------------------------------------ */

/*T:820 Is this the point?
 *
 * A breakpoint with a condition is hit much more often than it stops. The condition is compiled to
 * a tree once and evaluated here, on the CPU's own thread, without leaving the run loop.
 */
/* Does the point stop the CPU, of which v->debug.stop says what it does? A condition that cannot be
 * evaluated holds. */
static bool stops(struct vcpu *v, struct debug_point *p)
{
    struct debug_stop *s = &v->debug.stop;
    u64 value = 1;
    if (p->cond && expr_eval(p->cond, v->cpu, s, &value, NULL) && !value)
        return false;
    if (p->test && !p->test(p->opaque, v->cpu))
        return false;
    u64 hit = __atomic_add_fetch(&p->hits, 1, __ATOMIC_RELAXED);
    if (p->ignore && hit <= p->ignore)
        return false;
    s->id = p->id;
    s->kind = p->kind;
    return true;
}

/* The first point of a kind that has the number and stops. `stop` is filled as far as it is known.
 */
static bool hit(struct vcpu *v, enum debug_kind kind, struct debug_stop stop)
{
    stop.cpu = v->cpu;
    if (v->cpu->tapped) /* by something else: that is reported */
        return false;
    v->debug.stop = stop;
    for (struct debug_point *p = v->vm->debug.points; p; p = p->next)
        if (p->kind == kind && p->enabled && p->first <= stop.addr && stop.addr <= p->last &&
            stops(v, p))
            return true;
    v->debug.stop.kind = DEBUG_NOTHING;
    return false;
}

static bool passes(const struct vcpu *v, gva_t lin)
{
    return v->debug.passed == lin && v->debug.passed_icount == cpu_icount(v->cpu);
}

/* Runs often: conditions that do not hold have to be cheap. */
static bool at_code(void *opaque, struct cpu *cpu, gva_t lin)
{
    struct vcpu *v = opaque;
    const struct debug *d = &v->vm->debug;
    if (cpu->tapped)
        return false;
    for (unsigned i = 0; i < d->code_count; i++) {
        if (d->code[i]->first != lin || passes(v, lin))
            continue;
        v->debug.stop = (struct debug_stop){.addr = lin, .cpu = cpu};
        if (stops(v, d->code[i]))
            return true;
    }
    v->debug.stop.kind = DEBUG_NOTHING;
    return false;
}

static bool wants(enum debug_kind kind, bool write)
{
    return kind == DEBUG_ACCESS || kind == (write ? DEBUG_WRITE : DEBUG_READ);
}

/* The bytes at the beginning of a point's range. */
static u64 watched_value(struct cpu *cpu, const struct debug_point *p)
{
    u8 b[8] = {0};
    u64 size = p->last - p->first + 1;
    debug_read(cpu, p->first, b, size && size < 8 ? size : 8);
    return ld_le64(b);
}

static bool touches(const struct debug_point *p, const struct debug_access *a)
{
    return is_data(p->kind) && p->enabled && wants(p->kind, a->write) &&
           p->first <= a->va + (a->size - 1) && a->va <= p->last;
}

/* Conditions are for the state after the instruction: debug_confirm. */
static bool at_data(void *opaque, struct cpu *cpu, gva_t va, unsigned size, bool write)
{
    struct vcpu *v = opaque;
    struct debug_access a = {va, size, write};
    bool any = false;
    if (cpu->tapped == TAPPED_NO)
        v->debug.accesses = 0;
    if (cpu->tapped == TAPPED || v->debug.accesses == DEBUG_ACCESSES)
        return false;
    for (struct debug_point *p = v->vm->debug.points; p; p = p->next)
        if (touches(p, &a)) {
            any = true;
            p->seen = watched_value(cpu, p);
        }
    if (any)
        v->debug.access[v->debug.accesses++] = a;
    return any;
}

bool debug_confirm(struct vcpu *v)
{
    if (v->cpu->tapped != TAPPED_BY_DATA)
        return true;
    for (unsigned i = 0; i < v->debug.accesses; i++) {
        const struct debug_access *a = &v->debug.access[i];
        for (struct debug_point *p = v->vm->debug.points; p; p = p->next) {
            if (!touches(p, a))
                continue;
            v->debug.stop = (struct debug_stop){.addr = a->va < p->first ? p->first : a->va,
                                                .size = a->size,
                                                .write = a->write,
                                                .old = p->seen,
                                                .value = watched_value(v->cpu, p),
                                                .cpu = v->cpu};
            if (stops(v, p))
                return true;
        }
    }
    v->debug.stop.kind = DEBUG_NOTHING;
    v->cpu->tapped = TAPPED_NO;
    return false;
}

/* The fault of an instruction that is executed again does not stop again. */
static bool at_excp(void *opaque, struct cpu *cpu, unsigned vector, bool delivered)
{
    struct vcpu *v = opaque;
    struct debug_stop stop = {.addr = vector, .value = cpu->excp.error};
    if (!delivered && v->debug.passed_excp == vector + 1ull &&
        v->debug.passed_icount == cpu_icount(cpu))
        return false;
    if (!hit(v, DEBUG_EXCP, stop))
        return false;
    v->debug.passed_excp = delivered ? 0 : vector + 1ull;
    return true;
}

static bool at_msr(void *opaque, struct cpu *cpu, u32 msr, u64 value, bool write)
{
    (void)cpu;
    return hit(opaque, DEBUG_MSR, (struct debug_stop){.addr = msr, .value = value, .write = write});
}

/* What a mode point looks at. */
static u32 mode_of(const struct cpu *cpu)
{
    return (cpu->cr0 & CR0_PE ? 1u : 0) | (cpu->cr0 & CR0_PG ? 2u : 0) |
           (cpu->efer & EFER_LMA ? 4u : 0) | (cpu->cr4 & CR4_PAE ? 8u : 0) |
           (cpu->eflags & EFLAGS_VM ? 16u : 0) | (cpu->key & KEY_CODE_MASK) << 5 |
           (u32)cpu->cpl << 8;
}

static bool at_mode(void *opaque, struct cpu *cpu)
{
    struct vcpu *v = opaque;
    u32 old = v->debug.mode;
    v->debug.mode = mode_of(cpu);
    return v->debug.mode != old &&
           hit(v, DEBUG_MODE, (struct debug_stop){.value = v->debug.mode, .old = old});
}

void debug_io(struct vcpu *v, u16 port, unsigned size, u64 value, bool write)
{
    struct debug_stop stop = {.addr = port, .size = size, .value = value, .write = write};
    if (hit(v, DEBUG_IO, stop))
        tap_stop_after_insn(v->cpu);
}

void debug_hypercall(struct vcpu *v, u64 nr)
{
    if (hit(v, DEBUG_HYPERCALL, (struct debug_stop){.addr = nr, .value = v->cpu->gpr[RAX]}))
        tap_stop_after_insn(v->cpu);
}

/* ---- history --------------------------------------------------------------------------------- */

static void record(struct debug_cpu *d, gva_t from, gva_t to, bool event)
{
    d->history[d->branches++ % DEBUG_HISTORY] = (struct debug_branch){from, to, event};
}

static void at_insn(void *opaque, struct cpu *cpu, gva_t at, unsigned len)
{
    struct debug_cpu *d = &((struct vcpu *)opaque)->debug;
    gva_t next = reg_pc(cpu);
    if (d->next != at && d->next)
        record(d, d->next, at, true);
    if (next != at + len && next != at) /* not what is repeated */
        record(d, at, next, false);
    d->next = next;
}

void debug_set_history(struct vm *vm, bool on)
{
    vm->debug.history = on;
    vm->debug.changed = true;
}

bool debug_history(const struct vm *vm, unsigned cpu, unsigned n, struct debug_branch *b)
{
    const struct debug_cpu *d = &vm->vcpu[cpu].debug;
    if (n >= d->branches || n >= DEBUG_HISTORY)
        return false;
    *b = d->history[(d->branches - 1 - n) % DEBUG_HISTORY];
    return true;
}

/* ---- arming ---------------------------------------------------------------------------------- */

static void set_code(struct debug *d, struct taps *t, struct debug_point *p)
{
    d->code[d->code_count++] = p;
    t->code[p->first >> 6 & 63] |= BIT64(p->first & 63);
}

static void set_watch(struct taps *t, const struct debug_point *p)
{
    struct tlb_watch *w = &t->watch;
    w->first[w->count] = p->first;
    w->last[w->count++] = p->last;
}

/* What the points ask for. */
static void make_taps(struct debug *d, struct taps *t)
{
    *t = (struct taps){.at_code = at_code,
                       .at_data = at_data,
                       .at_excp = at_excp,
                       .at_msr = at_msr,
                       .at_mode = at_mode,
                       .at_insn = d->history ? at_insn : NULL};
    d->io = d->hypercall = false;
    d->code_count = 0;
    for (struct debug_point *p = d->points; p; p = p->next) {
        if (!p->enabled)
            continue;
        if (p->kind == DEBUG_CODE)
            set_code(d, t, p);
        if (is_data(p->kind))
            set_watch(t, p);
        t->excp |= p->kind == DEBUG_EXCP;
        t->msr |= p->kind == DEBUG_MSR;
        t->mode |= p->kind == DEBUG_MODE;
        d->io |= p->kind == DEBUG_IO;
        d->hypercall |= p->kind == DEBUG_HYPERCALL;
    }
}

static bool has_anything(const struct taps *t)
{
    bool any = t->at_insn || t->watch.count || t->excp || t->msr || t->mode;
    for (size_t i = 0; i < ARRAY_SIZE(t->code); i++)
        any |= t->code[i] != 0;
    return any;
}

/* Nothing is thrown away that does not have to be: gdb takes its points away at every stop, and
 * sets the same ones before it goes on. */
static void arm(struct vm *vm)
{
    struct debug *d = &vm->debug;
    struct taps old = d->taps;
    make_taps(d, &d->taps);
    bool watch = memcmp(&old.watch, &d->taps.watch, sizeof old.watch) != 0;
    for (unsigned n = 0; n < vm->cpus; n++) {
        struct cpu *cpu = vm->vcpu[n].cpu;
        cpu->taps = has_anything(&d->taps) ? &d->taps : NULL;
        cpu->stepping = d->history ? STEP_HISTORY : 0;
        if (!d->history)
            vm->vcpu[n].debug.next = 0;
        cpu->calls_watched = observe_calls(vm);
        for (unsigned at = 0; at < PAGE_SIZE; at++)
            if ((old.code[at >> 6] ^ d->taps.code[at >> 6]) >> (at & 63) & 1)
                block_split_at(cpu, at);
        cpu->tlb.watch = d->taps.watch.count ? &d->taps.watch : NULL;
        if (watch)
            tlb_flush_all(&cpu->tlb);
    }
    d->changed = false;
}

static bool has_code_point(const struct debug *d, gva_t lin)
{
    for (const struct debug_point *p = d->points; p; p = p->next)
        if (p->kind == DEBUG_CODE && p->enabled && p->first == lin)
            return true;
    return false;
}

/* The instruction that the CPU is at is executed whatever points are there, and before interrupts:
 * else a timer that is always late would bring it back here for ever. */
static void pass_here(struct debug *d, struct vcpu *v)
{
    v->debug.passed_icount = cpu_icount(v->cpu);
    v->debug.passed = reg_pc(v->cpu);
    if (!v->cpu->halted && !v->cpu->shadow && has_code_point(d, v->debug.passed))
        v->cpu->shadow = SHADOW_STI;
}

bool debug_resume(struct vm *vm)
{
    struct debug *d = &vm->debug;
    if (d->changed)
        arm(vm);
    for (unsigned n = 0; n < vm->cpus; n++) {
        struct vcpu *v = &vm->vcpu[n];
        enum debug_kind kind = v->debug.stop.kind;
        v->debug.mode = mode_of(v->cpu);
        if (v->cpu->tapped && kind != DEBUG_CODE && kind != DEBUG_EXCP) {
            debug_report_stop(vm, v);
            return true;
        }
        if (!v->cpu->tapped) /* else it is asked again */
            pass_here(d, v);
        v->cpu->tapped = TAPPED_NO;
        v->debug.stop.kind = DEBUG_NOTHING;
    }
    return false;
}

void debug_report_stop(struct vm *vm, struct vcpu *v)
{
    struct debug *d = &vm->debug;
    v->cpu->tapped = TAPPED_NO;
    d->last = v->debug.stop;
    vm->blamed = v->cpu;
}

void debug_report_step(struct vm *vm, struct cpu *cpu)
{
    vm->debug.last = (struct debug_stop){.kind = DEBUG_STEP, .cpu = cpu, .addr = reg_pc(cpu)};
}

const struct debug_stop *debug_last_stop(const struct vm *vm)
{
    return &vm->debug.last;
}

/* ---- memory ---------------------------------------------------------------------------------- */

bool debug_translate(struct cpu *cpu, gva_t va, gpa_t *gpa)
{
    struct walk_result w;
    struct walk_access anything = {.kind = ACCESS_READ, .ac = true};
    if (cpu_in_long_mode(cpu) && !cpu_canonical(cpu, va))
        return false;
    walk(cpu->phys, &cpu->paging, va, anything, &w);
    *gpa = w.gpa & cpu->phys->a20_mask;
    return w.ok;
}

/* Goes through [va, va + len) page by page. phys: addresses are physical. */
static size_t copy(struct phys *p, struct cpu *cpu, u64 at, u8 *buf, size_t len, bool write)
{
    size_t done = 0;
    while (done < len) {
        u64 room = PAGE_SIZE - (at & ~PAGE_MASK), n = len - done < room ? len - done : room;
        gpa_t gpa = at;
        if (cpu && !debug_translate(cpu, at, &gpa))
            break;
        if (write && !phys_host_w(p, gpa))
            break;
        for (u64 i = 0; i < n; i++)
            if (write)
                phys_write(p, gpa + i, buf[done + i], 1);
            else
                buf[done + i] = (u8)phys_peek(p, gpa + i, 1);
        done += n;
        at += n;
        if (cpu && !cpu_in_long_mode(cpu))
            at = (u32)at;
    }
    return done;
}

size_t debug_read(struct cpu *cpu, gva_t va, void *buf, size_t len)
{
    return copy(cpu->phys, cpu, va, buf, len, false);
}

size_t debug_write(struct cpu *cpu, gva_t va, const void *buf, size_t len)
{
    return copy(cpu->phys, cpu, va, (u8 *)(uintptr_t)buf, len, true);
}

size_t debug_read_phys(struct vm *vm, gpa_t gpa, void *buf, size_t len)
{
    return copy(&vm->phys, NULL, gpa, buf, len, false);
}

size_t debug_write_phys(struct vm *vm, gpa_t gpa, const void *buf, size_t len)
{
    return copy(&vm->phys, NULL, gpa, (u8 *)(uintptr_t)buf, len, true);
}
