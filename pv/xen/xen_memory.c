/*
 * xen_memory.c: memory, version and HVM parameters of the Xen personality.
 *
 * Specification: Xen public/memory.h, public/version.h, public/features.h, public/hvm/hvm_op.h,
 * public/hvm/params.h.
 *
 * Not implemented: XENMEM_memory_map (the map comes by E820 or hvm_start_info), foreign pages.
 */
#include "base/bits.h"
#include "mmu/dma.h"
#include "pv/xen/xen.h"

#include <stdlib.h>
#include <string.h>

enum {
    XENMEM_increase_reservation = 0,
    XENMEM_decrease_reservation = 1,
    XENMEM_maximum_ram_page = 2,
    XENMEM_current_reservation = 3,
    XENMEM_maximum_reservation = 4,
    XENMEM_populate_physmap = 6,
    XENMEM_add_to_physmap = 7,
    XENMEM_maximum_gpfn = 14,
    XENMEM_remove_from_physmap = 15,
    XENMEM_add_to_physmap_batch = 23,
};

enum { XENMAPSPACE_shared_info, XENMAPSPACE_grant_table };

enum {
    XENVER_version,
    XENVER_extraversion,
    XENVER_compile_info,
    XENVER_capabilities,
    XENVER_changeset,
    XENVER_platform_parameters,
    XENVER_get_features,
    XENVER_pagesize,
    XENVER_guest_handle,
};

enum {
    HVMOP_set_param = 0,
    HVMOP_get_param = 1,
    HVMOP_flush_tlbs = 5,
    HVMOP_get_time = 10,
    HVMOP_set_evtchn_upcall_vector = 23,
};

enum {
    HVM_PARAM_CALLBACK_IRQ = 0,
    HVM_PARAM_STORE_PFN = 1,
    HVM_PARAM_STORE_EVTCHN = 2,
    HVM_PARAM_CONSOLE_PFN = 17,
    HVM_PARAM_CONSOLE_EVTCHN = 18,
};

#define CALLBACK_TYPE_SHIFT 56
#define CALLBACK_TYPE_VECTOR 2u

#define XEN_VERSION (4u << 16 | 17u)
#define XENFEAT_writable_page_tables BIT(0)
#define XENFEAT_auto_translated_physmap BIT(2)
#define XENFEAT_hvm_callback_vector BIT(8)
#define XENFEAT_not_direct_mapped BIT(16)

/* Of one call, under the lock of the devices: Xen would begin it again in between. Of extents the caller
 * asks again for the rest. */
#define EXTENTS_MAX 512u
#define BATCH_MAX 512u

/* ---- where pages are ------------------------------------------------------------------------- */

/* The guest's width decides how shared_info is laid out: that of the call that places it. */
static void shared_info_placed(struct xen_caller *c)
{
    c->x->wide = c->wide;
    for (unsigned n = 0; n < c->x->pv.env.cpus; n++)
        xen_time_write(&c->x->vcpu[n]);
    xen_time_write_wall(c->x);
}

static u64 place(struct xen_caller *c, u32 space, u64 index, u64 gfn)
{
    struct pv_xen *x = c->x;

    if (gfn >> 40)
        return XEN_ERROR(XEN_EINVAL);
    if (space == XENMAPSPACE_shared_info) {
        if (index || !xen_page_place(x, &x->shared_info, gfn * XEN_PAGE, "xen shared info"))
            return XEN_ERROR(XEN_EINVAL);
        shared_info_placed(c);
        return 0;
    }
    if (space != XENMAPSPACE_grant_table)
        return XEN_ERROR(XEN_ENOSYS);
    if (index >= XEN_GRANT_FRAMES ||
        !xen_page_place(x, &x->grant_frame[index], gfn * XEN_PAGE, "xen grant table"))
        return XEN_ERROR(XEN_EINVAL);
    if (index >= x->grant_frames)
        x->grant_frames = (unsigned)index + 1;
    return 0;
}

/* struct xen_add_to_physmap: domid u16, size u16, space u32, idx, gpfn: words. */
static u64 op_add_to_physmap(struct xen_caller *c, u64 va)
{
    u32 word = c->wide ? 8 : 4;
    u8 a[24];

    if (!xen_copy_in(c, va, a, 8 + 2 * word))
        return XEN_ERROR(XEN_EFAULT);
    if (!xen_is_own_domain(ld_le16(a)))
        return XEN_ERROR(XEN_ESRCH);
    return place(c, ld_le32(a + 4), xen_word(c, a + 8), xen_word(c, a + 8 + word));
}

/* struct xen_add_to_physmap_batch: domid, space, size, foreign_domid: u16; idxs, gpfns, errs:
 * pointers. */
static u64 op_add_batch(struct xen_caller *c, u64 va)
{
    u32 word = c->wide ? 8 : 4, size;
    u8 a[32], index[8], gfn[8], err[4];

    if (!xen_copy_in(c, va, a, 8 + 3 * word))
        return XEN_ERROR(XEN_EFAULT);
    if (!xen_is_own_domain(ld_le16(a)))
        return XEN_ERROR(XEN_ESRCH);
    size = ld_le16(a + 4);
    if (size > BATCH_MAX)
        return XEN_ERROR(XEN_EINVAL);
    for (u32 i = 0; i < size; i++) {
        if (!xen_copy_in(c, xen_word(c, a + 8) + i * word, index, word) ||
            !xen_copy_in(c, xen_word(c, a + 8 + word) + i * word, gfn, word))
            return XEN_ERROR(XEN_EFAULT);
        st_le32(err, (u32)place(c, ld_le16(a + 2), xen_word(c, index), xen_word(c, gfn)));
        if (!xen_copy_out(c, xen_word(c, a + 8 + 2 * word) + 4 * i, err, 4))
            return XEN_ERROR(XEN_EFAULT);
    }
    return 0;
}

/* struct xen_remove_from_physmap: domid u16; gpfn: a word. A page of RAM comes back empty. */
static u64 op_remove(struct xen_caller *c, u64 va)
{
    u32 word = c->wide ? 8 : 4;
    struct pv_xen *x = c->x;
    u8 a[16];
    u64 gpa;

    if (!xen_copy_in(c, va, a, 2 * word))
        return XEN_ERROR(XEN_EFAULT);
    if (!xen_is_own_domain(ld_le16(a)))
        return XEN_ERROR(XEN_ESRCH);
    gpa = xen_word(c, a + word) * XEN_PAGE;
    if (x->shared_info.placed && x->shared_info.gpa == gpa) {
        xen_page_remove(x, &x->shared_info);
        return 0;
    }
    for (unsigned i = 0; i < XEN_GRANT_FRAMES; i++)
        if (x->grant_frame[i].placed && x->grant_frame[i].gpa == gpa) {
            xen_page_remove(x, &x->grant_frame[i]);
            return 0;
        }
    return dma_fill(x->pv.env.phys, gpa, 0, XEN_PAGE) ? 0 : XEN_ERROR(XEN_ENOENT);
}

/* struct xen_memory_reservation: extent_start, a pointer; nr_extents, a word; extent_order,
 * mem_flags: u32; domid u16. A page that was given back reads as zeroes until it is populated
 * again; the count of extents that were done is the result. */
static u64 op_reservation(struct xen_caller *c, u64 va, bool give_back)
{
    u32 word = c->wide ? 8 : 4;
    u64 count, done;
    u8 a[32], gfn[8];

    if (!xen_copy_in(c, va, a, 2 * word + 12))
        return XEN_ERROR(XEN_EFAULT);
    if (!xen_is_own_domain(ld_le16(a + 2 * word + 8)))
        return XEN_ERROR(XEN_ESRCH);
    if (ld_le32(a + 2 * word))
        return 0; /* single pages only */
    count = xen_word(c, a + word);
    for (done = 0; done < count && done < EXTENTS_MAX; done++) {
        if (!xen_copy_in(c, xen_word(c, a) + done * word, gfn, word))
            break;
        u64 n = xen_word(c, gfn);
        if (n >> 40 || !phys_is_ram(c->x->pv.env.phys, n * XEN_PAGE, XEN_PAGE))
            break;
        if (give_back)
            dma_fill(c->x->pv.env.phys, n * XEN_PAGE, 0, XEN_PAGE);
    }
    return done;
}

u64 xen_hc_memory_op(struct pv *pv, struct cpu *cpu, const u64 arg[4])
{
    struct xen_caller c = {xen_of(pv), cpu, cpu_in_code64(cpu)};
    const struct phys *p = pv->env.phys;
    u64 high = p->ram_bytes - p->ram_low_bytes;

    switch (arg[0] & 63) { /* above: where a continued call goes on */
    case XENMEM_decrease_reservation: return op_reservation(&c, arg[1], true);
    case XENMEM_populate_physmap: return op_reservation(&c, arg[1], false);
    case XENMEM_increase_reservation: return 0; /* there is no more */
    case XENMEM_maximum_ram_page:
    case XENMEM_maximum_gpfn: return ((high ? 4 * GIB + high : p->ram_low_bytes) >> PAGE_SHIFT) - 1;
    case XENMEM_current_reservation:
    case XENMEM_maximum_reservation: return p->ram_bytes >> PAGE_SHIFT;
    case XENMEM_add_to_physmap: return op_add_to_physmap(&c, arg[1]);
    case XENMEM_add_to_physmap_batch: return op_add_batch(&c, arg[1]);
    case XENMEM_remove_from_physmap: return op_remove(&c, arg[1]);
    default: return XEN_ERROR(XEN_ENOSYS);
    }
}

/* ---- version --------------------------------------------------------------------------------- */

static u64 give(struct xen_caller *c, u64 va, const void *text, u32 len, u32 size)
{
    u8 buf[256] = {0};

    BUG_ON(len > size || size > sizeof buf);
    memcpy(buf, text, len);
    return xen_copy_out(c, va, buf, size) ? 0 : XEN_ERROR(XEN_EFAULT);
}

/* struct xen_feature_info: submap_idx u32; out submap u32. */
static u64 op_get_features(struct xen_caller *c, u64 va)
{
    u32 bits = XENFEAT_writable_page_tables | XENFEAT_auto_translated_physmap |
               XENFEAT_hvm_callback_vector | XENFEAT_not_direct_mapped |
               pv_cpuid_bits(&c->x->pv);
    u8 a[8];

    if (!xen_copy_in(c, va, a, sizeof a))
        return XEN_ERROR(XEN_EFAULT);
    if (ld_le32(a))
        return XEN_ERROR(XEN_EINVAL);
    st_le32(a + 4, bits);
    return xen_copy_out(c, va, a, sizeof a) ? 0 : XEN_ERROR(XEN_EFAULT);
}

u64 xen_hc_xen_version(struct pv *pv, struct cpu *cpu, const u64 arg[4])
{
    static const char extra[] = "-parallax", changeset[] = "unavailable";
    static const char capabilities[] =
        "xen-3.0-x86_64 hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 ";
    struct xen_caller c = {xen_of(pv), cpu, cpu_in_code64(cpu)};

    switch (arg[0]) {
    case XENVER_version: return XEN_VERSION;
    case XENVER_extraversion: return give(&c, arg[1], extra, sizeof extra, 16);
    case XENVER_compile_info: return give(&c, arg[1], "", 0, 144);
    case XENVER_capabilities: /* 1024 bytes, of which a C string is enough */
        return give(&c, arg[1], capabilities, sizeof capabilities, sizeof capabilities);
    case XENVER_changeset: return give(&c, arg[1], changeset, sizeof changeset, 64);
    case XENVER_platform_parameters: return give(&c, arg[1], "", 0, c.wide ? 8 : 4);
    case XENVER_get_features: return op_get_features(&c, arg[1]);
    case XENVER_pagesize: return XEN_PAGE;
    case XENVER_guest_handle: return give(&c, arg[1], xen_store_uuid, 16, 16);
    default: return XEN_ERROR(XEN_ENOSYS);
    }
}

/* ---- HVM parameters -------------------------------------------------------------------------- */

static bool is_readable(u32 index)
{
    return index == HVM_PARAM_CALLBACK_IRQ || index == HVM_PARAM_STORE_PFN ||
           index == HVM_PARAM_STORE_EVTCHN || index == HVM_PARAM_CONSOLE_PFN ||
           index == HVM_PARAM_CONSOLE_EVTCHN;
}

static u64 set_callback(struct xen_caller *c, u64 value)
{
    bool vector = value >> CALLBACK_TYPE_SHIFT == CALLBACK_TYPE_VECTOR;

    if (value >> CALLBACK_TYPE_SHIFT > CALLBACK_TYPE_VECTOR || (vector && (value & 0xff) < 16))
        return XEN_ERROR(XEN_EINVAL);
    c->x->hvm_param[HVM_PARAM_CALLBACK_IRQ] = value;
    c->x->callback_vector = vector;
    for (unsigned n = 0; n < c->x->pv.env.cpus; n++)
        xen_event_vector_set(&c->x->vcpu[n]);
    return 0;
}

/* struct xen_hvm_param: domid u16, index u32 at 4, value u64. */
static u64 op_param(struct xen_caller *c, u64 va, bool set)
{
    u8 a[16];
    u32 index;

    if (!xen_copy_in(c, va, a, sizeof a))
        return XEN_ERROR(XEN_EFAULT);
    index = ld_le32(a + 4);
    if (!xen_is_own_domain(ld_le16(a)))
        return XEN_ERROR(XEN_ESRCH);
    if (index >= ARRAY_SIZE(c->x->hvm_param))
        return XEN_ERROR(XEN_EINVAL);
    if (set)
        return index == HVM_PARAM_CALLBACK_IRQ ? set_callback(c, ld_le64(a + 8))
                                               : XEN_ERROR(XEN_EPERM);
    if (!is_readable(index))
        return XEN_ERROR(XEN_EPERM);
    st_le64(a + 8, c->x->hvm_param[index]);
    return xen_copy_out(c, va, a, sizeof a) ? 0 : XEN_ERROR(XEN_EFAULT);
}

/* struct xen_hvm_evtchn_upcall_vector: vcpu u32, vector u8. */
static u64 op_upcall_vector(struct xen_caller *c, u64 va)
{
    u8 a[8];

    if (!pv_has(&c->x->pv, XEN_F_UPCALL_VECTOR))
        return XEN_ERROR(XEN_ENOSYS);
    if (!xen_copy_in(c, va, a, sizeof a))
        return XEN_ERROR(XEN_EFAULT);
    if (a[4] < 16)
        return XEN_ERROR(XEN_EINVAL);
    if (ld_le32(a) >= c->x->pv.env.cpus)
        return XEN_ERROR(XEN_ENOENT);
    c->x->vcpu[ld_le32(a)].upcall_vector = a[4];
    xen_event_vector_set(&c->x->vcpu[ld_le32(a)]);
    return 0;
}

u64 xen_hc_hvm_op(struct pv *pv, struct cpu *cpu, const u64 arg[4])
{
    struct xen_caller c = {xen_of(pv), cpu, cpu_in_code64(cpu)};
    u8 now[8];

    switch (arg[0]) {
    case HVMOP_set_param: return op_param(&c, arg[1], true);
    case HVMOP_get_param: return op_param(&c, arg[1], false);
    case HVMOP_set_evtchn_upcall_vector: return op_upcall_vector(&c, arg[1]);
    case HVMOP_get_time:
        st_le64(now, xen_time_now(c.x));
        return xen_copy_out(&c, arg[1], now, 8) ? 0 : XEN_ERROR(XEN_EFAULT);
    case HVMOP_flush_tlbs: return 0; /* a hint of the hypervisor's own */
    default: return XEN_ERROR(XEN_ENOSYS);
    }
}

/* ---- life ------------------------------------------------------------------------------------ */

void xen_memory_reset(struct pv_xen *x)
{
    struct phys *p = x->pv.env.phys;

    if (!x->special) {
        x->special = aligned_alloc(XEN_PAGE, XEN_SPECIAL_PAGES * XEN_PAGE);
        BUG_ON(!x->special);
        x->special_region = phys_add_ram(p, "xen special pages", XEN_SPECIAL,
                                         XEN_SPECIAL_PAGES * XEN_PAGE, x->special);
    }
    memset(x->special, 0, XEN_SPECIAL_PAGES * XEN_PAGE);
    xen_page_reset(x, &x->shared_info);
    x->wide = true;
    memset(x->hvm_param, 0, sizeof x->hvm_param);
    x->hvm_param[HVM_PARAM_STORE_PFN] = XEN_STORE_GFN;
    x->hvm_param[HVM_PARAM_STORE_EVTCHN] = XEN_STORE_PORT;
    if (pv_has(&x->pv, XEN_F_CONSOLE)) {
        x->hvm_param[HVM_PARAM_CONSOLE_PFN] = XEN_CONSOLE_GFN;
        x->hvm_param[HVM_PARAM_CONSOLE_EVTCHN] = XEN_CONSOLE_PORT;
    }
}

void xen_memory_destroy(struct pv_xen *x)
{
    xen_page_free(&x->shared_info);
    for (unsigned i = 0; i < XEN_GRANT_FRAMES; i++)
        xen_page_free(&x->grant_frame[i]);
    free(x->special);
}
