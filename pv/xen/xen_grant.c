/*
 * xen_grant.c: grant tables, version 1: the guest lets domain 0, i.e. our back ends, use its pages.
 *
 * Specification: Xen public/grant_table.h (grant_entry_v1, GNTTABOP_*).
 *
 * Not implemented: version 2 (GNTTABOP_set_version answers that version 1 stays, as Xen does with
 * gnttab=max-ver:1), mapping and copying by the guest (there is no other domain that would grant it
 * anything), transfers.
 */
#include "base/bits.h"
#include "pv/xen/xen.h"

#include <string.h>

enum {
    GNTTABOP_setup_table = 2,
    GNTTABOP_query_size = 6,
    GNTTABOP_set_version = 8,
    GNTTABOP_get_version = 10,
};

#define GNTST_okay 0
#define GNTST_general_error (-1)
#define GNTST_bad_domain (-2)

#define GTF_permit_access 1u
#define GTF_type_mask 3u
#define GTF_readonly BIT(2)
#define GTF_reading BIT(3)
#define GTF_writing BIT(4)

#define ENTRY_BYTES 8u
#define ENTRIES_PER_PAGE (XEN_PAGE / ENTRY_BYTES)

/* struct grant_entry_v1: flags u16, domid u16, frame u32. */
static u8 *entry_of(struct pv_xen *x, u32 ref)
{
    if (ref / ENTRIES_PER_PAGE >= x->grant_frames)
        return NULL;
    return xen_page_at(x, &x->grant_frame[ref / ENTRIES_PER_PAGE], ref % ENTRIES_PER_PAGE * ENTRY_BYTES,
                       ENTRY_BYTES);
}

/* Marks the entry as used; the guest may change flags and domain (one word) at the same time. */
static bool mark(u32 *head, u16 bits, bool write)
{
    u32 old = __atomic_load_n(head, __ATOMIC_SEQ_CST);

    do {
        if ((old & GTF_type_mask) != GTF_permit_access || old >> 16 != XEN_BACKEND_DOMAIN ||
            (write && (old & GTF_readonly)))
            return false;
    } while (!__atomic_compare_exchange_n(head, &old, old | bits, false, __ATOMIC_SEQ_CST,
                                          __ATOMIC_SEQ_CST));
    return true;
}

bool xen_grant_get(struct pv_xen *x, u32 ref, bool write, gpa_t *gpa)
{
    u8 *entry = entry_of(x, ref);

    if (!entry || x->grant_readers[ref] == 0xffff || x->grant_writers[ref] == 0xffff ||
        !mark((u32 *)(void *)entry, write ? GTF_reading | GTF_writing : GTF_reading, write))
        return false;
    *gpa = (gpa_t)ld_le32(entry + 4) * XEN_PAGE;
    if (write)
        x->grant_writers[ref]++;
    else
        x->grant_readers[ref]++;
    return true;
}

void xen_grant_put(struct pv_xen *x, u32 ref, bool write)
{
    u32 *head = (u32 *)(void *)entry_of(x, ref), idle = 0;

    if (write)
        x->grant_writers[ref]--;
    else
        x->grant_readers[ref]--;
    if (!x->grant_writers[ref])
        idle |= GTF_writing;
    if (!x->grant_writers[ref] && !x->grant_readers[ref])
        idle |= GTF_reading;
    if (head)
        xen_fetch_and(head, ~idle);
}

/* ---- operations ------------------------------------------------------------------------------ */

/* struct gnttab_setup_table: dom u16, nr_frames u32; out status s16; frame_list, a pointer. The
 * guest of a translated domain places the frames itself and reads nothing from the list. */
static u64 op_setup_table(struct xen_caller *c, u64 va)
{
    u8 a[24], frame[8];
    s16 status = GNTST_okay;
    u32 frames;

    if (!xen_copy_in(c, va, a, c->wide ? 24 : 16))
        return XEN_ERROR(XEN_EFAULT);
    frames = ld_le32(a + 4);
    if (!xen_is_own_domain(ld_le16(a)))
        status = GNTST_bad_domain;
    else if (frames > XEN_GRANT_FRAMES)
        status = GNTST_general_error;
    else if (frames > c->x->grant_frames)
        c->x->grant_frames = frames;
    for (u32 i = 0; status == GNTST_okay && i < frames; i++) {
        const struct xen_page *p = &c->x->grant_frame[i];
        xen_put_word(c, frame, p->placed ? p->gpa / XEN_PAGE : 0);
        if (!xen_copy_out(c, xen_word(c, a + (c->wide ? 16 : 12)) + i * (c->wide ? 8 : 4), frame,
                          c->wide ? 8 : 4))
            return XEN_ERROR(XEN_EFAULT);
    }
    st_le16(a + 8, (u16)status);
    return xen_copy_out(c, va + 8, a + 8, 2) ? 0 : XEN_ERROR(XEN_EFAULT);
}

/* struct gnttab_query_size: dom u16; out nr_frames at 4, max_nr_frames at 8, status s16 at 12. */
static u64 op_query_size(struct xen_caller *c, u64 va)
{
    u8 a[16];
    bool own;

    if (!xen_copy_in(c, va, a, sizeof a))
        return XEN_ERROR(XEN_EFAULT);
    own = xen_is_own_domain(ld_le16(a));
    st_le32(a + 4, own ? c->x->grant_frames : 0);
    st_le32(a + 8, own ? XEN_GRANT_FRAMES : 0);
    st_le16(a + 12, (u16)(own ? GNTST_okay : GNTST_bad_domain));
    return xen_copy_out(c, va, a, sizeof a) ? 0 : XEN_ERROR(XEN_EFAULT);
}

static u64 op_set_version(struct xen_caller *c, u64 va)
{
    u8 a[4];

    if (!xen_copy_in(c, va, a, sizeof a))
        return XEN_ERROR(XEN_EFAULT);
    if (ld_le32(a) == 1)
        return 0;
    return XEN_ERROR(ld_le32(a) == 2 ? XEN_ENOSYS : XEN_EINVAL);
}

/* struct gnttab_get_version: dom u16; out version u32 at 4. */
static u64 op_get_version(struct xen_caller *c, u64 va)
{
    u8 a[8];

    if (!xen_copy_in(c, va, a, sizeof a))
        return XEN_ERROR(XEN_EFAULT);
    if (!xen_is_own_domain(ld_le16(a)))
        return XEN_ERROR(XEN_ESRCH);
    st_le32(a + 4, 1);
    return xen_copy_out(c, va, a, sizeof a) ? 0 : XEN_ERROR(XEN_EFAULT);
}

/* cmd, a list of structures, their count: Xen does them one after the other, and so do we the only
 * one that callers give. */
u64 xen_hc_grant_table_op(struct pv *pv, struct cpu *cpu, const u64 arg[4])
{
    struct xen_caller c = {xen_of(pv), cpu, cpu_in_code64(cpu)};

    if ((s32)arg[2] < 0)
        return XEN_ERROR(XEN_EINVAL);
    if ((u32)arg[2] == 0)
        return 0;
    if ((u32)arg[2] != 1)
        return XEN_ERROR(XEN_EINVAL);
    switch (arg[0]) {
    case GNTTABOP_setup_table: return op_setup_table(&c, arg[1]);
    case GNTTABOP_query_size: return op_query_size(&c, arg[1]);
    case GNTTABOP_set_version: return op_set_version(&c, arg[1]);
    case GNTTABOP_get_version: return op_get_version(&c, arg[1]);
    default: return XEN_ERROR(XEN_ENOSYS);
    }
}

/* A frame exists from the start: guests place it before they set the table up. */
void xen_grant_reset(struct pv_xen *x)
{
    x->grant_frames = 1;
    memset(x->grant_readers, 0, sizeof x->grant_readers);
    memset(x->grant_writers, 0, sizeof x->grant_writers);
    for (unsigned i = 0; i < XEN_GRANT_FRAMES; i++)
        xen_page_reset(x, &x->grant_frame[i]);
}
