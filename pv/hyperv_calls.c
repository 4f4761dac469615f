/*
 * hyperv_calls.c: hypercalls of the Hyper-V personality: the page from which they are made, the
 * registers that they come in, and what is wrong with them before they are looked at.
 *
 * Input is memory at a guest physical address, or with the fast bit registers: two general ones,
 * then XMM0 to XMM5.
 *
 * Choices where the TLFS leaves one: VMCALL and VMMCALL are taken anywhere once the page is
 * enabled; a store to the page is dropped, as to ROM (the TLFS wants #GP); no call takes so long
 * that it must be left and continued: RCX gets the new start index, and it is the last.
 *
 * Specification: TLFS "Hypercall Interface".
 */
#include "base/bits.h"
#include "cpu/model.h"
#include "mmu/dma.h"
#include "pv/hyperv.h"
#include <stdlib.h>

#define CONTROL_RESERVED 0xf000f000f8000000ull
#define FAST_GPR_BYTES 16u
#define FAST_BYTES 112u
#define PAGE_LOCKED BIT64(1)

/* ---- the page -------------------------------------------------------------------------------- */

static void write_code(struct pv_hyperv *h)
{
    static const u8 intel[] = {0x0f, 0x01, 0xc1, 0xc3}, amd[] = {0x0f, 0x01, 0xd9, 0xc3};
    const struct cpu *cpu = h->pv.env.cpu[0];
    bool is_amd = cpu->model && cpu->model->vendor == VENDOR_AMD;

    memset(h->code, 0xcc, PAGE_SIZE); /* INT3 */
    memcpy(h->code, is_amd ? amd : intel, sizeof intel);
}

void hv_calls_attach(struct pv_hyperv *h)
{
    if (!h->code) {
        h->code = aligned_alloc(PAGE_SIZE, PAGE_SIZE);
        BUG_ON(!h->code);
        write_code(h);
    }
    hv_calls_detach(h);
    h->os_id = h->hypercall = 0;
}

void hv_calls_detach(struct pv_hyperv *h)
{
    if (h->overlay)
        phys_region_move(h->pv.env.phys, h->overlay, h->overlay->base, false);
}

static void show_page(struct pv_hyperv *h)
{
    struct phys *p = h->pv.env.phys;
    gpa_t gpa = HV_PAGE_GPA(h->hypercall);
    bool enabled = h->hypercall & HV_PAGE_ENABLED;

    if (!h->overlay && enabled)
        h->overlay = phys_add_rom(p, "hyperv calls", gpa, PAGE_SIZE, h->code);
    else if (h->overlay)
        phys_region_move(p, h->overlay, gpa, enabled);
}

void hv_calls_write_os_id(struct pv_hyperv *h, u64 value)
{
    h->os_id = value;
    if (value)
        return;
    h->hypercall &= ~HV_PAGE_ENABLED;
    show_page(h);
}

bool hv_calls_write_page(struct pv_hyperv *h, u64 value)
{
    if (h->hypercall & PAGE_LOCKED)
        return true;
    if (!phys_page(h->pv.env.phys, value))
        return false;
    if (!h->os_id)
        value &= ~HV_PAGE_ENABLED;
    h->hypercall = value;
    if (value & HV_PAGE_ENABLED)
        pv_used(&h->pv, HV_F_HYPERCALL);
    show_page(h);
    return true;
}

/* ---- input ----------------------------------------------------------------------------------- */

static enum hv_status check_control(u64 control, const struct hv_shape *shape)
{
    unsigned reps = HV_CALL_REPS(control), start = HV_CALL_REP_START(control);

    if (control & CONTROL_RESERVED)
        return HV_INVALID_HYPERCALL_INPUT;
    if (shape->element ? start >= reps : (reps || start))
        return HV_INVALID_HYPERCALL_INPUT;
    if (!shape->sparse && HV_CALL_VAR_QWORDS(control))
        return HV_INVALID_HYPERCALL_INPUT;
    return HV_SUCCESS;
}

static enum hv_status read_registers(struct pv *pv, const struct cpu *cpu, const u64 arg[4],
                                     u8 *block, u64 bytes)
{
    u8 all[FAST_BYTES];

    if (bytes > FAST_BYTES)
        return HV_INVALID_HYPERCALL_INPUT;
    if (bytes > FAST_GPR_BYTES) {
        if (!pv_has(pv, HV_F_XMM_INPUT)) {
            hv_of(pv)->undefined = true;
            return HV_INVALID_HYPERCALL_INPUT;
        }
        pv_used(pv, HV_F_XMM_INPUT);
    }
    st_le64(all, arg[1]);
    st_le64(all + 8, arg[2]);
    for (unsigned i = 0; i < 6; i++) {
        st_le64(all + 16 + 16 * i, cpu->vec[i].q[0]);
        st_le64(all + 24 + 16 * i, cpu->vec[i].q[1]);
    }
    memcpy(block, all, bytes);
    return HV_SUCCESS;
}

enum hv_status hv_calls_input(struct pv *pv, struct cpu *cpu, const u64 arg[4],
                              const struct hv_shape *shape, struct hv_input *in)
{
    enum hv_status bad = check_control(arg[0], shape);
    u64 bytes;

    if (bad)
        return bad;
    in->banks = HV_CALL_VAR_QWORDS(arg[0]);
    in->reps = HV_CALL_REPS(arg[0]);
    in->start = HV_CALL_REP_START(arg[0]);
    in->list = in->block + shape->header + 8 * in->banks;
    bytes = shape->header + 8ull * in->banks + (u64)shape->element * in->reps;
    if (arg[0] & HV_CALL_FAST)
        return read_registers(pv, cpu, arg, in->block, bytes);
    if ((arg[1] & 7) || bytes > PAGE_SIZE - (arg[1] & ~PAGE_MASK) ||
        !dma_read(pv->env.phys, arg[1], in->block, bytes))
        return HV_INVALID_ALIGNMENT;
    return HV_SUCCESS;
}

/* ---- calls ----------------------------------------------------------------------------------- */

/* Advice without an error: whoever holds what the caller waits for may be any other processor. */
static u64 hc_long_spin_wait(struct pv *pv, struct cpu *cpu, const u64 arg[4])
{
    static const struct hv_shape shape = {.header = 8};
    struct hv_input in;
    enum hv_status bad;

    if (!pv_has(pv, HV_F_SPIN_WAIT))
        return HV_INVALID_HYPERCALL_CODE;
    bad = hv_calls_input(pv, cpu, arg, &shape, &in);
    if (bad)
        return bad;
    if (pv->env.yield_to)
        pv->env.yield_to(pv->env.opaque, (cpu->id + 1u) % pv->env.cpus);
    pv_used(pv, HV_F_SPIN_WAIT);
    return HV_SUCCESS;
}

const struct pv_hypercall hv_calls[] = {
    {HV_CALL_FLUSH_SPACE, "flush-space", 3, 0, hv_hc_flush},
    {HV_CALL_FLUSH_LIST, "flush-list", 3, 0, hv_hc_flush},
    {HV_CALL_LONG_SPIN_WAIT, "long-spin-wait", 3, 0, hc_long_spin_wait},
    {HV_CALL_SEND_IPI, "send-ipi", 3, 0, hv_hc_send_ipi},
    {HV_CALL_FLUSH_SPACE_EX, "flush-space-ex", 3, 0, hv_hc_flush},
    {HV_CALL_FLUSH_LIST_EX, "flush-list-ex", 3, 0, hv_hc_flush},
    {HV_CALL_SEND_IPI_EX, "send-ipi-ex", 3, 0, hv_hc_send_ipi},
    {HV_CALL_POST_MESSAGE, "post-message", 3, 0, hv_hc_post_message},
    {HV_CALL_SIGNAL_EVENT, "signal-event", 3, 0, hv_hc_signal_event},
    {0, NULL, 0, 0, NULL},
};

static u64 pair(const struct cpu *cpu, unsigned high, unsigned low)
{
    return cpu->gpr[high] << 32 | (u32)cpu->gpr[low];
}

static void set_pair(struct cpu *cpu, unsigned high, unsigned low, u64 value)
{
    cpu->gpr[high] = value >> 32;
    cpu->gpr[low] = (u32)value;
}

/* RCX, RDX, R8 and RAX; outside 64-bit mode EDX:EAX, EBX:ECX, EDI:ESI and EDX:EAX. */
bool hv_calls_hypercall(struct pv *pv, struct cpu *cpu)
{
    struct pv_hyperv *h = hv_of(pv);
    bool wide = cpu_in_code64(cpu);
    u64 arg[4] = {0}, result;
    const struct pv_hypercall *row;

    if (!(h->hypercall & HV_PAGE_ENABLED) || cpu->cpl > 0 || !(cpu->cr0 & CR0_PE))
        return false;
    arg[0] = wide ? cpu->gpr[RCX] : pair(cpu, RDX, RAX);
    arg[1] = wide ? cpu->gpr[RDX] : pair(cpu, RBX, RCX);
    arg[2] = wide ? cpu->gpr[R8] : pair(cpu, RDI, RSI);
    pv_used(pv, HV_F_HYPERCALL);
    h->undefined = false;
    row = pv_find_hypercall(pv, (u16)arg[0]);
    result = row ? row->fn(pv, cpu, arg) : HV_INVALID_HYPERCALL_CODE;
    if (h->undefined)
        return false;
    if (!wide) {
        set_pair(cpu, RDX, RAX, result);
        return true;
    }
    cpu->gpr[RAX] = result;
    if (HV_CALL_REPS(result))
        cpu->gpr[RCX] = (arg[0] & ~(0xfffull << 48)) | (u64)HV_CALL_REPS(result) << 48;
    return true;
}
