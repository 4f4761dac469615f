/*
 * hyperv_synic.c: the synthetic interrupt controller of the Hyper-V personality: 16 sources per
 * processor, a page of messages and a page of event flags.
 *
 * A message that finds its slot taken waits with its sender (a timer, the queue of posted messages)
 * until the guest writes EOM, or ends the source's interrupt, or opens its pages.
 *
 * Specification: TLFS "Inter-Partition Communication", "SynIC MSRs". Version 1.
 */
#include "base/bits.h"
#include "devices/lapic.h"
#include "mmu/dma.h"
#include "pv/hyperv.h"

#define VERSION 1u
#define SCONTROL_ENABLED 1ull
#define SLOT_BYTES 256u
#define SLOT_HEADER 16u
#define SLOT_FLAGS 5u
#define MESSAGE_PENDING 1u
#define FIRST_VECTOR 16u

/* ---- interrupts ------------------------------------------------------------------------------ */

void hv_synic_interrupt(struct hv_vcpu *v, unsigned sint)
{
    u64 s = v->sint[sint];

    if (!(s & (HV_SINT_MASKED | HV_SINT_POLLING)) && hv_lapic(v))
        lapic_accept(hv_lapic(v), APIC_FIXED, (u8)(s & HV_SINT_VECTOR), false);
    pv_used(&v->h->pv, HV_F_SYNIC);
}

static bool is_source(u64 sint, u8 vector)
{
    return !(sint & (HV_SINT_MASKED | HV_SINT_POLLING)) && (u8)(sint & HV_SINT_VECTOR) == vector;
}

bool hv_synic_auto_eoi(void *opaque, u8 vector)
{
    const struct hv_vcpu *v = container_of(opaque, struct hv_vcpu, eoi);

    for (unsigned i = 0; i < HV_SINTS; i++)
        if (is_source(v->sint[i], vector) && (v->sint[i] & HV_SINT_AUTO_EOI))
            return true;
    return false;
}

/* ---- messages -------------------------------------------------------------------------------- */

bool hv_synic_takes_messages(const struct hv_vcpu *v)
{
    return (v->scontrol & SCONTROL_ENABLED) && (v->simp & HV_PAGE_ENABLED);
}

/* True: it was empty, or became so. The guest empties a slot before it looks whether another waits,
 * so a slot that is taken is marked before it is looked at again. */
static bool slot_is_empty(struct phys *p, gpa_t slot)
{
    u8 pending = MESSAGE_PENDING;

    if (!dma_read32(p, slot))
        return true;
    dma_write(p, slot + SLOT_FLAGS, &pending, 1);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return !dma_read32(p, slot);
}

bool hv_synic_send(struct hv_vcpu *v, const struct hv_message *m)
{
    struct phys *p = v->h->pv.env.phys;
    gpa_t slot = HV_PAGE_GPA(v->simp) + m->sint * SLOT_BYTES;
    u8 image[SLOT_BYTES] = {0};

    if (!hv_synic_takes_messages(v) || !phys_is_ram(p, slot, SLOT_BYTES) || !slot_is_empty(p, slot))
        return false;
    image[4] = m->bytes;
    st_le64(image + 8, m->sender);
    memcpy(image + SLOT_HEADER, m->payload, m->bytes);
    dma_write(p, slot + 4, image + 4, SLOT_HEADER - 4u + m->bytes);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    dma_write32(p, slot, m->type);
    hv_synic_interrupt(v, m->sint);
    return true;
}

/* Posted messages keep their order within a source. */
static bool retry_queue(struct hv_vcpu *v, unsigned sint)
{
    for (unsigned i = 0; i < v->queued; i++) {
        if (v->queue[i].sint != sint)
            continue;
        if (!hv_synic_send(v, &v->queue[i]))
            return false;
        v->queued--;
        memmove(&v->queue[i], &v->queue[i + 1], (v->queued - i) * sizeof v->queue[0]);
        return true;
    }
    return false;
}

static void retry(struct hv_vcpu *v, unsigned sint)
{
    if (!hv_timer_retry(v, sint))
        retry_queue(v, sint);
}

static void retry_all(struct hv_vcpu *v)
{
    if (!hv_synic_takes_messages(v))
        return;
    for (unsigned i = 0; i < HV_SINTS; i++)
        retry(v, i);
}

void hv_synic_ended(void *opaque, u8 vector)
{
    struct hv_vcpu *v = container_of(opaque, struct hv_vcpu, eoi);

    for (unsigned i = 0; i < HV_SINTS; i++)
        if (is_source(v->sint[i], vector))
            retry(v, i);
}

/* ---- event flags ----------------------------------------------------------------------------- */

bool hv_synic_takes_events(const struct hv_vcpu *v)
{
    return (v->scontrol & SCONTROL_ENABLED) && (v->siefp & HV_PAGE_ENABLED);
}

bool hv_synic_signal(struct hv_vcpu *v, unsigned sint, unsigned flag)
{
    gpa_t at = HV_PAGE_GPA(v->siefp) + sint * SLOT_BYTES + flag / 8;
    u8 bit = (u8)(1u << flag % 8), old;

    if (!hv_synic_takes_events(v) || (v->sint[sint] & HV_SINT_MASKED) ||
        !dma_or8(v->h->pv.env.phys, at, bit, &old))
        return false;
    if (!(old & bit))
        hv_synic_interrupt(v, sint);
    return true;
}

/* ---- MSRs ------------------------------------------------------------------------------------ */

void hv_synic_reset(struct hv_vcpu *v)
{
    v->scontrol = v->siefp = v->simp = 0;
    for (unsigned i = 0; i < HV_SINTS; i++)
        v->sint[i] = HV_SINT_MASKED;
    v->queued = 0;
}

bool hv_synic_read(const struct hv_vcpu *v, u32 msr, u64 *value)
{
    switch (msr) {
    case MSR_HV_SCONTROL: *value = v->scontrol; return true;
    case MSR_HV_SVERSION: *value = VERSION; return true;
    case MSR_HV_SIEFP: *value = v->siefp; return true;
    case MSR_HV_SIMP: *value = v->simp; return true;
    case MSR_HV_EOM: *value = 0; return true;
    default: *value = v->sint[msr - MSR_HV_SINT0]; return true;
    }
}

/* A page begins empty each time that it is enabled. */
static void write_page(struct hv_vcpu *v, u64 *page, u64 value)
{
    bool opens = (value & HV_PAGE_ENABLED) && !(*page & HV_PAGE_ENABLED);

    *page = value;
    if (opens)
        dma_fill(v->h->pv.env.phys, HV_PAGE_GPA(value), 0, PAGE_SIZE);
}

static bool write_sint(struct hv_vcpu *v, unsigned sint, u64 value)
{
    if ((value & HV_SINT_VECTOR) < FIRST_VECTOR && !(value & HV_SINT_MASKED))
        return false;
    v->sint[sint] = value;
    return true;
}

bool hv_synic_write(struct hv_vcpu *v, u32 msr, u64 value)
{
    switch (msr) {
    case MSR_HV_SCONTROL: v->scontrol = value; break;
    case MSR_HV_SVERSION: return false;
    case MSR_HV_SIEFP: write_page(v, &v->siefp, value); return true;
    case MSR_HV_SIMP: write_page(v, &v->simp, value); break;
    case MSR_HV_EOM: break;
    default: return write_sint(v, msr - MSR_HV_SINT0, value);
    }
    retry_all(v);
    return true;
}
