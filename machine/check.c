/*
 * check.c: two machines in lockstep. See check.h.
 *
 * Slices of a few hundred instructions, cut at the same counts, then everything is compared; memory
 * now and then. A difference is found again by a second run of two fresh machines, which -icount
 * makes the same run, with slices of one block from there on: the report names the block.
 */
#include "machine/check_impl.h"
#include "base/bits.h"
#include "base/host.h"
#include "devices/backend/chardev.h"
#include <stdlib.h>
#include <string.h>

#define SLICE_INSNS 400u
#define RAM_INTERVAL (64 * 1000 * 1000ull) /* instructions between comparisons of memory */

/* ---- machines -------------------------------------------------------------------------------- */

struct machine {
    struct vm *vm;
    struct chardev *serial, *debugcon, *xen_console;
};

static void destroy(struct machine *m)
{
    vm_destroy(m->vm);
    if (m->serial)
        chardev_close(m->serial);
    if (m->debugcon)
        chardev_close(m->debugcon);
    if (m->xen_console)
        chardev_close(m->xen_console);
}

/* A machine like the user's whose streams go nowhere. */
static bool create(struct machine *m, const struct vm_config *like, const char *accel,
                   struct err *e)
{
    struct vm_config cfg = *like;
    *m = (struct machine){0};
    m->serial = chardev_open("null", e);
    m->debugcon = chardev_open("null", e);
    m->xen_console = chardev_open("null", e);
    if (!m->serial || !m->debugcon || !m->xen_console)
        return false;
    cfg.accel = accel;
    cfg.serial = like->serial ? m->serial : NULL;
    cfg.debugcon = like->debugcon ? m->debugcon : NULL;
    cfg.xen_console = like->xen_console ? m->xen_console : NULL;
    m->vm = vm_create(&cfg, e);
    if (!m->vm)
        return false;
    m->vm->follows = true;
    return true;
}

/* ---- input: what the first machine receives, the second does too ------------------------------
 */

struct tee {
    struct chardev *from, *to;
    void (*receive)(void *opaque, const u8 *buf, size_t len);
    void (*receive_break)(void *opaque);
    void *opaque;
    bool *used;
};

static size_t tee_can_receive(void *opaque)
{
    struct tee *t = opaque;
    return t->to->can_receive(t->to->opaque);
}

static void tee_receive(void *opaque, const u8 *buf, size_t len)
{
    struct tee *t = opaque;
    *t->used = true;
    t->receive(t->opaque, buf, len);
    t->to->receive(t->to->opaque, buf, len);
}

static void tee_receive_break(void *opaque)
{
    struct tee *t = opaque;
    *t->used = true;
    t->receive_break(t->opaque);
    t->to->receive_break(t->to->opaque);
}

static void tee_insert(struct tee *t, struct chardev *from, struct chardev *to, bool *used)
{
    *t = (struct tee){0};
    if (!from || !from->receive || !to->receive)
        return;
    *t = (struct tee){from, to, from->receive, from->receive_break, from->opaque, used};
    from->opaque = t;
    from->can_receive = from->can_receive ? tee_can_receive : NULL;
    from->receive = tee_receive;
    from->receive_break = from->receive_break ? tee_receive_break : NULL;
}

static void tee_remove(struct tee *t)
{
    if (!t->from)
        return;
    t->from->opaque = t->opaque;
    t->from->can_receive = t->from->can_receive ? t->to->can_receive : NULL;
    t->from->receive = t->receive;
    t->from->receive_break = t->receive_break;
}

/* ---- in step --------------------------------------------------------------------------------- */

static void note_start(struct check *c)
{
    struct cpu *cpu = c->vm[0]->cpu;
    c->start = cpu_icount(cpu);
    c->start_rip = (cpu->seg[SEG_CS].base + cpu->rip) & cpu->amask;
    cpu->excp.vector = CHECK_NO_EXCEPTION;
}

/*T:550 How one knows that it is right
 *
 * The interpreter is the reference, and -check runs both engines side by side: after each slice
 * everything that the architecture defines is compared. What a reader should take from here is not
 * the comparison but the repetition: under -icount a run repeats exactly, so that a difference is
 * found again with slices of one block each, and the report names the block.
 */
/* One slice of both. True: they stop, or differ. */
static bool step(struct check *c, u64 insns, enum vm_stop *why)
{
    enum vm_stop theirs = VM_STOPPED;

    note_start(c);
    c->slices++;
    bool stops = vm_turn(c->vm[0], insns, why);
    if (c->vm[0]->stop) /* in the middle of the slice, by what the guest printed or by a signal */
        return vm_stop_asked(c->vm[0], why);
    bool stops_too = vm_turn(c->vm[1], insns, &theirs);
    if (!check_compare(c))
        return true;
    if (stops != stops_too || (stops && *why != theirs))
        c->what = "end of the run";
    if (c->what || stops)
        return true;
    if (cpu_icount(c->vm[0]->cpu) - c->compared < RAM_INTERVAL)
        return false;
    return !check_compare_ram(c);
}

static void run_in_step(struct check *c, enum vm_stop *why)
{
    while (!vm_stop_asked(c->vm[0], why)) {
        vm_look_around(c->vm[0]);
        if (step(c, SLICE_INSNS, why)) {
            if (!c->what && *why != VM_STOPPED)
                check_compare_ram(c);
            return;
        }
    }
}

/* ---- once more, to find the block -------------------------------------------------------------
 */

/* The same run once more: with slices of `insns` instructions from `fine` on. */
struct plan {
    const struct check *first;
    u64 fine, insns;
};

static u64 plan_slice(const struct plan *p, const struct vm *vm)
{
    return cpu_icount(vm->cpu) >= p->fine ? p->insns : SLICE_INSNS;
}

static bool differs_at(const struct check *c, gpa_t gpa)
{
    return phys_peek(&c->vm[0]->phys, gpa, 8) != phys_peek(&c->vm[1]->phys, gpa, 8);
}

/* To the slice that makes a difference; in memory, the one that was seen. False: none does. */
static bool find_again(struct check *c, const struct plan *p)
{
    const struct check *first = p->first;
    u64 end = cpu_icount(first->vm[0]->cpu) + 2 * SLICE_INSNS;
    enum vm_stop why;

    do {
        if (step(c, plan_slice(p, c->vm[0]), &why))
            return c->what != NULL;
        if (first->in_ram && differs_at(c, first->ram_at)) {
            c->what = "memory";
            c->in_ram = true;
            c->ram_at = first->ram_at;
            snprintf(c->detail, sizeof c->detail, "%s", first->detail);
            return true;
        }
    } while (cpu_icount(c->vm[0]->cpu) < end);
    return false;
}

/* The instructions of the slice from `start` to `end`, as the interpreter runs them alone. */
static void print_path(const struct plan *p, u64 start, u64 end, FILE *out)
{
    struct machine m;
    struct err e = {0};
    enum vm_stop why;
    bool stops = !create(&m, &p->first->vm[0]->cfg, "interp", &e);

    while (!stops && cpu_icount(m.vm->cpu) < start)
        stops = vm_turn(m.vm, plan_slice(p, m.vm), &why);
    while (!stops && cpu_icount(m.vm->cpu) < end) {
        check_print_next(m.vm, out);
        m.vm->cpu->debug_active = true; /* one by one, whatever block they are in */
        stops = vm_turn(m.vm, 1, &why);
    }
    destroy(&m);
}

/* False: the difference does not come back. out NULL: only *at is asked for, where it began. */
static bool run_again(const struct plan *p, u64 *at, FILE *out)
{
    struct machine m[2] = {0};
    struct check c = {0};
    struct err e = {0};
    const struct vm_config *cfg = &p->first->vm[0]->cfg;
    bool found = create(&m[0], cfg, "interp", &e) && create(&m[1], cfg, "jit", &e);

    if (found) {
        c.vm[0] = m[0].vm;
        c.vm[1] = m[1].vm;
        found = find_again(&c, p);
    }
    if (found) {
        *at = c.start;
        if (out) {
            check_report(&c, out);
            fprintf(out, "What ran, as the interpreter has it:\n");
            print_path(p, c.start, cpu_icount(m[0].vm->cpu), out);
        }
    }
    destroy(&m[0]);
    destroy(&m[1]);
    return found;
}

/* The report is of as few blocks as it takes: some differences come of links between blocks, which
 * only a slice of several uses. */
static void explain(const struct check *c, bool typed, FILE *out)
{
    struct plan p = {.first = c, .fine = c->start, .insns = SLICE_INSNS};

    fprintf(out, "parallax: the engines differ in the %llu instructions from %llu on: %s%s%s\n",
            (unsigned long long)(cpu_icount(c->vm[0]->cpu) - c->start),
            (unsigned long long)c->start, c->what, *c->detail ? ": " : "", c->detail);
    if (typed) {
        check_report(c, out);
        fprintf(out, "The run had input, so that it cannot be repeated to find the block.\n");
        return;
    }
    fprintf(out, "Running once more, to find the block.\n");
    if (c->in_ram && !run_again(&p, &p.fine, NULL))
        p.fine = c->compared;
    for (p.insns = 1; p.insns < 2 * SLICE_INSNS; p.insns *= 4) {
        u64 at;
        if (run_again(&p, &at, out))
            return;
    }
    fprintf(out, "It does not come back in shorter slices; this is the end of the first.\n");
    check_report(c, out);
}

/* ---- the run --------------------------------------------------------------------------------- */

bool check_run(struct vm *vm, u64 limit_ns, enum vm_stop *why, FILE *out, struct err *e)
{
    struct machine second;
    struct check c = {0};
    struct tee serial = {0}, debugcon = {0}, xen_console = {0};
    bool typed = false, same;

    if (!create(&second, &vm->cfg, "jit", e)) {
        destroy(&second);
        return false;
    }
    c.vm[0] = vm;
    c.vm[1] = second.vm;
    tee_insert(&serial, vm->cfg.serial, second.serial, &typed);
    tee_insert(&debugcon, vm->cfg.debugcon, second.debugcon, &typed);
    tee_insert(&xen_console, vm->cfg.xen_console, second.xen_console, &typed);
    vm->host_deadline_ns = limit_ns ? host_now_ns() + limit_ns : 0;
    run_in_step(&c, why);
    tee_remove(&serial);
    tee_remove(&debugcon);
    tee_remove(&xen_console);
    same = !c.what;
    if (!same) {
        chardev_restore_terminal();
        explain(&c, typed, out);
        err_host(e, "-check: the engines differ after %llu instructions: %s",
                 (unsigned long long)c.start, c.what);
    } else {
        fprintf(out, "parallax: -check: %llu instructions in %llu slices, no difference\n",
                (unsigned long long)cpu_icount(vm->cpu), (unsigned long long)c.slices);
    }
    destroy(&second);
    return same;
}
