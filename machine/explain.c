/* explain.c: the resolved machine, and why it stopped, in sentences. Of one CPU: explain_cpu.c. */
#include "base/bits.h"
#include "cpu/model.h"
#include "cpu/seg.h"
#include "machine/debug.h"
#include "machine/vm_impl.h"
#include <inttypes.h>

static const char *const exception_names[] = {
    "#DE divide error",
    "#DB debug",
    "NMI",
    "#BP breakpoint",
    "#OF overflow",
    "#BR bound range",
    "#UD invalid opcode",
    "#NM device not available",
    "#DF double fault",
    "coprocessor overrun",
    "#TS invalid TSS",
    "#NP segment not present",
    "#SS stack fault",
    "#GP general protection",
    "#PF page fault",
    "15",
    "#MF x87 error",
    "#AC alignment check",
    "#MC machine check",
    "#XM SIMD error",
};

const char *vm_exception_name(unsigned vector)
{
    return vector < ARRAY_SIZE(exception_names) ? exception_names[vector] : "interrupt";
}

void vm_explain(const struct vm *vm, FILE *out)
{
    const struct vm_config *c = &vm->cfg;
    const struct cpu_model *m = vm->blamed->model;
    fprintf(out, "machine   pc (i440FX, PIIX3), %u vCPU%s, %llu MiB RAM\n", vm->cpus,
            vm->cpus == 1 ? "" : "s", c->ram_bytes / MIB);
    fprintf(out, "cpu       %s: %s\n", m->name, m->doc);
    fprintf(out, "engine    %s\n",
            vm->cpu->jit ? "jit, the translator" : "interp, the interpreter");
    fprintf(out, "time      %s\n",
            c->icount ? "one instruction is one nanosecond (-icount)" : "the host's clock");
    fprintf(out, "pv        %s: %s\n", vm->pv->p->name, vm->pv->p->doc);
    for (unsigned i = 0; i < pv_feature_count(vm->pv); i++)
        fprintf(out, "          %c%-20s %s\n", pv_has(vm->pv, i) ? '+' : '-',
                vm->pv->p->features[i].name, vm->pv->p->features[i].doc);
    fprintf(out, "kernel    %s\n", c->demo_guest ? "embedded demo guest" : c->kernel);
    if (c->initrd)
        fprintf(out, "initrd    %s\n", c->initrd);
    fprintf(out, "append    %s\n", c->append ? c->append : "");
    for (const struct drive *d = vm->drives.first; d; d = d->next)
        fprintf(out, "drive     %-12s %s%s%s, %llu bytes\n", d->id, d->path ? d->path : "no medium",
                drive_has_medium(d) ? ": " : "", drive_has_medium(d) ? d->image->format->name : "",
                (unsigned long long)drive_bytes(d));
    for (const struct dev *d = vm->board.devices; d; d = d->next)
        fprintf(out, "device    %-12s %s\n", d->cls->name, d->cls->doc);
    for (const struct region *r = vm->phys.regions; r; r = r->next)
        fprintf(out, "region    %012" PRIx64 "-%012" PRIx64 " %-5s %s%s\n", r->base,
                r->base + r->size - 1, r->kind == REGION_ROM ? "rom" : "mmio", r->name,
                r->enabled ? "" : " (off)");
}

/* ---- stops ----------------------------------------------------------------------------------- */

/* Reads 8 bytes of a descriptor table. False: they are not mapped. */
static bool read_descriptor(struct vm *vm, gva_t at, struct desc *d)
{
    u64 v;

    if (debug_read(vm->blamed, at, &v, sizeof v) != sizeof v)
        return false;
    *d = (struct desc){.lo = (u32)ld_le64(&v), .hi = (u32)(ld_le64(&v) >> 32), .at = at};
    return true;
}

static void explain_gate(struct vm *vm, u32 error, FILE *out)
{
    const struct cpu *cpu = vm->blamed;
    unsigned vector = error >> 3, size = cpu_in_long_mode(cpu) ? 16 : 8;
    gva_t at = cpu->idtr.base + vector * size;
    struct desc d;

    fprintf(out, "    error code %#x names IDT entry %u; the IDT is at %#" PRIx64 ", limit %#x",
            error, vector, cpu->idtr.base, cpu->idtr.limit);
    if (vector * size + size - 1 > cpu->idtr.limit) {
        fprintf(out, ": the entry lies beyond it\n");
        return;
    }
    if (!read_descriptor(vm, at, &d)) {
        fprintf(out, ": the entry is not mapped\n");
        return;
    }
    unsigned type = DESC_TYPE(&d);
    bool gate = !DESC_S(&d) &&
                (type == SYS_INT32 || type == SYS_TRAP32 ||
                 (size == 8 && (type == SYS_TASK || type == SYS_INT16 || type == SYS_TRAP16)));
    fprintf(out, "\n    entry %08x%08x: %s, selector %#x, DPL %u, %s\n", d.hi, d.lo,
            gate ? "a gate" : "NO GATE", d.lo >> 16, DESC_DPL(&d),
            DESC_P(&d) ? "present" : "NOT PRESENT");
}

static void explain_selector_error(struct vm *vm, u32 error, FILE *out)
{
    const struct cpu *cpu = vm->blamed;
    u64 base = error & 4 ? cpu->ldtr.base : cpu->gdtr.base;
    u32 limit = error & 4 ? cpu->ldtr.limit : cpu->gdtr.limit;
    struct desc d;

    if (error & 2) {
        explain_gate(vm, error, out);
        return;
    }
    if (!(error & 0xfffc))
        return;
    fprintf(out, "    error code %#x names selector %#x in the %s at %#" PRIx64 ", limit %#x%s\n",
            error, error & 0xfffc, error & 4 ? "LDT" : "GDT", base, limit,
            (error | 7) > limit ? ": it lies beyond it" : "");
    if ((error | 7) > limit || !read_descriptor(vm, base + (error & 0xfff8), &d))
        return;
    fprintf(out, "    descriptor %08x%08x: base %#x limit %#x %s type %#x DPL %u %s\n", d.hi, d.lo,
            desc_base(&d), desc_limit(&d),
            DESC_S(&d) ? (DESC_IS_CODE(&d) ? "code" : "data") : "system", DESC_TYPE(&d),
            DESC_DPL(&d), DESC_P(&d) ? "present" : "NOT PRESENT");
}

static void explain_walk(struct vm *vm, gva_t va, u32 pfec, FILE *out)
{
    static const char *const kinds[] = {"none", "32-bit", "PAE", "4-level", "5-level"};
    const struct paging_state *ps = &vm->blamed->paging;
    struct walk_result w;
    struct walk_access a = {.kind = pfec & PFEC_I   ? ACCESS_EXEC
                                    : pfec & PFEC_W ? ACCESS_WRITE
                                                    : ACCESS_READ,
                            .user = pfec & PFEC_U};
    walk(&vm->phys, ps, va, a, &w);
    fprintf(out, "    walk of %#" PRIx64 " (%s paging, CR3 %#" PRIx64 "):\n", va, kinds[ps->kind],
            ps->cr3);
    for (unsigned i = 0; i < w.levels; i++)
        fprintf(out, "      level %u: entry at %#" PRIx64 " is %#" PRIx64 "%s\n", w.levels - i,
                w.step[i].entry_gpa, w.step[i].entry, w.step[i].entry & 1 ? "" : ": not present");
    if (w.ok)
        fprintf(out, "      maps to %#" PRIx64 " now\n", w.gpa);
    else if (w.pfec & PFEC_RSVD)
        fprintf(out, "      a reserved bit is set\n");
    else if (w.pfec & PFEC_P)
        fprintf(out, "      present, but the access is not allowed (%s, %s, %s)\n",
                w.user ? "user" : "supervisor", w.write ? "writable" : "read-only",
                w.exec ? "executable" : "no-execute");
}

#define BRANCHES_SHOWN 8u

static void explain_branches(const struct vm *vm, FILE *out)
{
    struct debug_branch b;

    for (unsigned n = 0; n < BRANCHES_SHOWN && debug_history(vm, vm->blamed->id, n, &b); n++)
        fprintf(out, "  %s %#" PRIx64 " -> %#" PRIx64 "%s\n", n ? "before it    " : "last branch  ",
                b.from, b.to, b.event ? " (interrupt or exception)" : "");
}

static void explain_triple_fault(struct vm *vm, FILE *out)
{
    const struct cpu *cpu = vm->blamed;
    fprintf(out, "triple fault: the CPU could not deliver a double fault.\n");
    for (unsigned i = 0; i < cpu->fault_chain_len; i++) {
        const struct fault_record *f = &cpu->fault_chain[i];
        const struct pending_excp *x = &f->e;
        fprintf(out, "  %u. %s", i + 1,
                vm_exception_name(x->vector));
        if (x->has_error)
            fprintf(out, ", error code %#x", x->error);
        fprintf(out, ", at %04x:%#" PRIx64, f->cs, f->rip);
        if (x->vector == EXC_PF)
            fprintf(out, ", CR2 %#" PRIx64, x->cr2);
        fprintf(out, "%s\n",
                i == 0   ? ""
                : i == 1 ? ", while delivering it: double fault"
                         : ", while delivering that: shutdown");
        if (x->vector == EXC_PF)
            explain_walk(vm, x->cr2, x->error, out);
        else if (x->has_error)
            explain_selector_error(vm, x->error, out);
    }
    const struct fault_record *first = &cpu->fault_chain[0];
    if (cpu->fault_chain_len && first->cs == cpu->seg[SEG_CS].sel && first->rip == cpu->rip)
        vm_explain_fault(vm, vm->blamed, first->e.vector, out);
    explain_branches(vm, out);
    cpu_dump(cpu, out);
}

void vm_explain_stop(struct vm *vm, enum vm_stop why, FILE *out)
{
    switch (why) {
    case VM_TRIPLE_FAULT: explain_triple_fault(vm, out); break;
    case VM_HUNG:
        fprintf(out, "the CPU halted at %#" PRIx64 " and nothing can wake it.\n", vm->blamed->rip);
        vm_explain_wait(vm, vm->blamed, out);
        break;
    case VM_NO_THREADS: fprintf(out, "the host gives no thread to every CPU.\n"); break;
    case VM_DISK_ERROR: fprintf(out, "a drive failed, and its request waits.\n"); break;
    case VM_RESET: fprintf(out, "the guest asked for a reset (-no-reboot).\n"); break;
    case VM_TIMEOUT:
        fprintf(out, "the time limit was reached at %04x:%#" PRIx64 ".\n",
                vm->blamed->seg[SEG_CS].sel, vm->blamed->rip);
        break;
    default: break;
    }
}
