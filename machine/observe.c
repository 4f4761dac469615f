/*
 * observe.c: hands on to observers (observe.h) what the CPU tells, and the calls that it makes to
 * the board and the personality, which go through hooks of its own while somebody wants to see
 * them.
 */
#include "machine/observe.h"
#include "base/host.h"
#include "base/trace.h"
#include "machine/vm_impl.h"
#include <string.h>

#define EACH(vm, member, ...)                                                                      \
    for (const struct observer *o_ = (vm)->observers.first; o_; o_ = o_->next)                     \
        if (o_->member)                                                                            \
    o_->member(o_->opaque, __VA_ARGS__)

/* ---- of the CPU ------------------------------------------------------------------------------ */

static void at_block(void *opaque, struct cpu *cpu, const struct block *b, gva_t lin,
                     struct probe_list *l)
{
    struct vcpu *v = opaque;
    EACH(v->vm, block, cpu, b, lin, l);
}

static void at_access(void *opaque, struct cpu *cpu, const struct insn *in, gva_t va, unsigned size,
                      bool write)
{
    struct vcpu *v = opaque;
    EACH(v->vm, access, cpu, in, va, size, write);
}

static void at_event(void *opaque, struct cpu *cpu, enum observed_event what, unsigned vector)
{
    struct vcpu *v = opaque;
    EACH(v->vm, event, cpu, what, vector);
}

static void at_translated(void *opaque, struct cpu *cpu, const struct jit_piece *p, u64 began_ns)
{
    struct vcpu *v = opaque;
    EACH(v->vm, translated, cpu, p, began_ns);
}

bool observe_is_idle(const struct vcpu *v)
{
    return v->cpu->halted || v->cpu->wait_sipi;
}

void observe_vcpu(struct vcpu *v, bool runs)
{
    if (likely(!v->vm->observers.vcpu) || v->idle != runs || (!runs && !observe_is_idle(v)))
        return;
    v->idle = !runs;
    EACH(v->vm, vcpu, v->cpu, runs ? PARALLAX_VCPU_RESUME : PARALLAX_VCPU_IDLE);
}

void observe_code(struct cpu *cpu, const struct block *b, u8 *to)
{
    struct vm *vm = ((struct vcpu *)cpu->vm)->vm;
    unsigned first = (unsigned)(PAGE_SIZE - (b->gpa & ~PAGE_MASK));
    if (b->gpa2 == ~0ull || first > b->bytes)
        first = b->bytes;
    memset(to, 0, OBSERVED_CODE);
    debug_read_phys(vm, b->gpa, to, first);
    if (first < b->bytes)
        debug_read_phys(vm, b->gpa2, to + first, b->bytes - first);
}

/* ---- exits ----------------------------------------------------------------------------------- */

static void begin(struct vcpu *v, enum parallax_exit_reason reason, u64 number, unsigned size,
                  bool write, u64 value)
{
    v->exit = (struct parallax_exit){.reason = reason,
                                     .number = number,
                                     .size = size,
                                     .write = write,
                                     .value = value,
                                     .began_ns = host_now_ns()};
    EACH(v->vm, exit, v->cpu, &v->exit);
}

static void done(struct vcpu *v, u64 value)
{
    v->exit.done = true;
    v->exit.value = value;
    v->exit.ended_ns = host_now_ns();
    EACH(v->vm, exit, v->cpu, &v->exit);
}

static u32 io_read(void *opaque, u16 port, unsigned size)
{
    begin(opaque, PARALLAX_EXIT_PORT, port, size, false, 0);
    u32 value = vm_hooks.io_read(opaque, port, size);
    done(opaque, value);
    return value;
}

static void io_write(void *opaque, u16 port, u32 value, unsigned size)
{
    begin(opaque, PARALLAX_EXIT_PORT, port, size, true, value);
    vm_hooks.io_write(opaque, port, value, size);
    done(opaque, value);
}

static void mmio_begin(void *opaque, gpa_t gpa, unsigned size, bool write)
{
    begin(opaque, PARALLAX_EXIT_MMIO, gpa, size, write, 0);
    vm_hooks.mmio_begin(opaque, gpa, size, write);
}

static void mmio_end(void *opaque, u64 value)
{
    vm_hooks.mmio_end(opaque, value);
    done(opaque, value);
}

static u8 cr8_read(void *opaque)
{
    begin(opaque, PARALLAX_EXIT_CR8, 8, 8, false, 0);
    u8 value = vm_hooks.cr8_read(opaque);
    done(opaque, value);
    return value;
}

static void cr8_write(void *opaque, u8 value)
{
    begin(opaque, PARALLAX_EXIT_CR8, 8, 8, true, value);
    vm_hooks.cr8_write(opaque, value);
    done(opaque, value);
}

static bool apic_msr_read(void *opaque, u32 msr, u64 *value)
{
    begin(opaque, PARALLAX_EXIT_MSR, msr, 8, false, 0);
    bool ok = vm_hooks.apic_msr_read(opaque, msr, value);
    done(opaque, ok ? *value : 0);
    return ok;
}

static bool apic_msr_write(void *opaque, u32 msr, u64 value)
{
    begin(opaque, PARALLAX_EXIT_MSR, msr, 8, true, value);
    bool ok = vm_hooks.apic_msr_write(opaque, msr, value);
    done(opaque, value);
    return ok;
}

static bool pv_cpuid_leaf(void *opaque, u32 leaf, u32 subleaf, u32 r[4])
{
    begin(opaque, PARALLAX_EXIT_CPUID, leaf, 0, false, subleaf);
    bool ok = vm_hooks.pv_cpuid(opaque, leaf, subleaf, r);
    done(opaque, r[0]);
    return ok;
}

static bool pv_msr_get(void *opaque, u32 msr, u64 *value, bool *handled)
{
    begin(opaque, PARALLAX_EXIT_MSR, msr, 8, false, 0);
    bool ok = vm_hooks.pv_msr_read(opaque, msr, value, handled);
    done(opaque, ok && *handled ? *value : 0);
    return ok;
}

static bool pv_msr_set(void *opaque, u32 msr, u64 value, bool *handled)
{
    begin(opaque, PARALLAX_EXIT_MSR, msr, 8, true, value);
    bool ok = vm_hooks.pv_msr_write(opaque, msr, value, handled);
    done(opaque, value);
    return ok;
}

static bool hypercall(void *opaque, struct cpu *cpu)
{
    begin(opaque, PARALLAX_EXIT_HYPERCALL, cpu->gpr[RAX], 0, true, 0);
    bool ok = vm_hooks.pv_hypercall(opaque, cpu);
    done(opaque, cpu->gpr[RAX]);
    return ok;
}

static void known_call(void *opaque, struct cpu *cpu, const void *row)
{
    begin(opaque, PARALLAX_EXIT_HYPERCALL, cpu->gpr[RAX], 0, true, 0);
    vm_hooks.pv_call(opaque, cpu, row);
    done(opaque, cpu->gpr[RAX]);
}

static void wrap_hooks(struct cpu_hooks *h)
{
    *h = vm_hooks;
    h->io_read = io_read;
    h->io_write = io_write;
    h->mmio_begin = mmio_begin;
    h->mmio_end = mmio_end;
    h->cr8_read = cr8_read;
    h->cr8_write = cr8_write;
    h->apic_msr_read = apic_msr_read;
    h->apic_msr_write = apic_msr_write;
    h->pv_cpuid = pv_cpuid_leaf;
    h->pv_msr_read = pv_msr_get;
    h->pv_msr_write = pv_msr_set;
    h->pv_hypercall = hypercall;
    h->pv_call = known_call;
}

bool observe_calls(const struct vm *vm)
{
    return vm->observers.exits || vm->debug.hypercall || trace_on[TRACE_pv_hypercall];
}

/* ---- who looks on ---------------------------------------------------------------------------- */

/* Blocks that were made for others are made anew; no access may go by the first level of the TLB.
 */
static void arm(struct vm *vm, bool blocks_change)
{
    struct observers *all = &vm->observers;
    for (unsigned n = 0; n < vm->cpus; n++) {
        struct cpu *cpu = vm->vcpu[n].cpu;
        cpu->observer = all->first ? &all->cpu : NULL;
        cpu->hooks = all->exits ? &all->hooks : &vm_hooks;
        cpu->calls_watched = observe_calls(vm);
        cpu->tlb.never_hit |= all->cpu.access != NULL;
        if (!blocks_change)
            continue;
        tlb_flush_all(&cpu->tlb);
        block_flush_all(cpu);
    }
}

static void changed(struct vm *vm)
{
    struct observers *all = &vm->observers;
    bool blocks = all->cpu.block || all->cpu.access, told = all->vcpu;
    *all = (struct observers){.first = all->first};
    for (const struct observer *o = all->first; o; o = o->next) {
        blocks |= o->block || o->access;
        all->cpu.block = o->block ? at_block : all->cpu.block;
        all->cpu.access = o->access ? at_access : all->cpu.access;
        all->cpu.event = o->event ? at_event : all->cpu.event;
        all->cpu.translated = o->translated ? at_translated : all->cpu.translated;
        all->exits |= o->exit != NULL;
        all->vcpu |= o->vcpu != NULL;
    }
    for (unsigned n = 0; all->vcpu && !told && n < vm->cpus; n++)
        vm->vcpu[n].idle = observe_is_idle(&vm->vcpu[n]);
    wrap_hooks(&all->hooks);
    arm(vm, blocks);
}

void observe_begin(struct vm *vm, struct observer *o)
{
    struct observer **at = &vm->observers.first;
    while (*at)
        at = &(*at)->next;
    *at = o;
    o->next = NULL;
    changed(vm);
}

void observe_end(struct vm *vm, struct observer *o)
{
    struct observer **at = &vm->observers.first;
    while (*at && *at != o)
        at = &(*at)->next;
    if (!*at)
        return;
    *at = o->next;
    changed(vm);
}
