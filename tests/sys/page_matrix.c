/*
 * page_matrix.c: the permission matrix of 4-level paging, generated: which combination of entry
 * bits, control bits, access and privilege faults, with which error code, and what of A and D is
 * set.
 *
 * SDM vol. 3A 4.5, 4.6 (access rights), 4.7 (error code), 4.8 (accessed and dirty); APM vol. 2 5.6.
 * QEMU 7.2 leaves P out of the error code of reserved bits (4.7: P is set). The expectation is
 * computed here from the manual's rules, independently of any page walker.
 */
#include "long.h"

#define VA 0x123440000000ull /* a PML4 slot of its own, aligned for every size of page */

#define FRAME 0ull /* suits every size; "ret" lies there */

enum kind { READ, WRITE, EXEC };
enum { PF_P = 1, PF_W = 2, PF_U = 4, PF_RSVD = 8, PF_I = 16 };

static bool smep, smap, nxe, wp, ac;
static u64 leaf_level;

static NOINLINE void do_read(u64 va)
{
    *(volatile u8 *)va;
}
static NOINLINE void do_write(u64 va)
{
    *(volatile u8 *)va = 0xc3;
}
static NOINLINE void do_exec(u64 va)
{
    ((void (*)(void))va)();
}
static NOINLINE void do_read_ac(u64 va)
{
    __asm__ volatile("stac; movb (%0), %%al; clac" : : "r"(va) : "rax");
}
static NOINLINE void do_write_ac(u64 va)
{
    __asm__ volatile("stac; movb $0xc3, (%0); clac" : : "r"(va));
}

static u64 access(enum kind k, bool user)
{
    void (*fn)(u64) = k == READ    ? (ac ? do_read_ac : do_read)
                      : k == WRITE ? (ac ? do_write_ac : do_write)
                                   : do_exec;
    u64 v = user ? guarded_cpl3(fn, VA) : guarded(fn, VA);
    return v;
}

/* Rights of the whole path: U and W are the conjunction, XD the disjunction. */
struct path {
    bool present, reserved, user, write, xd;
};

static bool faults(const struct path *p, enum kind k, bool user, u32 *error)
{
    *error = (user ? PF_U : 0) | (k == WRITE ? PF_W : 0) | (k == EXEC && (nxe || smep) ? PF_I : 0);
    if (!p->present)
        return true;
    *error |= PF_P;
    if (p->reserved) {
        *error |= PF_RSVD;
        return true;
    }
    if (user)
        return !p->user || (k == WRITE && !p->write) || (k == EXEC && p->xd);
    if (k == EXEC)
        return p->xd || (smep && p->user);
    if (smap && p->user && !ac)
        return true;
    return k == WRITE && wp && !p->write;
}

static void try_access(const struct path *p, enum kind k, bool user)
{
    volatile u64 *leaf = page_entry(VA, (unsigned)leaf_level);
    u64 before = *leaf;
    u32 error;
    bool fault = faults(p, k, user, &error);

    invlpg(VA);
    write_cr2(0x1234);
    u64 vector = access(k, user);
    if (!fault) {
        CHECK_EQ(vector, NO_TRAP);
        CHECK_EQ(*leaf, before | PTE_A | (k == WRITE ? PTE_D : 0));
        CHECK_EQ(read_cr2(), 0x1234);
    } else if (CHECK_EQ(vector, PF)) {
        CHECK_EQ(trap.r.error, error);
        CHECK_EQ(trap.cr2, VA);
        CHECK_EQ(*leaf & ~PTE_A, before & ~PTE_A); /* D never; A is up to the processor */
    }
    *leaf = before;
}

/* Gives the entry of each level on the path these rights; sets the leaf. */
static void set_path(u64 upper, u64 leaf)
{
    volatile u64 *last = page_entry(VA, (unsigned)leaf_level); /* makes the tables */
    for (unsigned l = 4; l > leaf_level; l--) {
        volatile u64 *e = page_entry(VA, l);
        *e = (*e & 0x000ffffffffff000) | PTE_P | upper;
    }
    *last = leaf;
    invlpg(VA);
}

static u64 leaf_bits(void)
{
    return FRAME | (leaf_level > 1 ? PTE_PS : 0);
}

static void all_accesses(const struct path *p)
{
    for (unsigned k = READ; k <= EXEC; k++)
        for (unsigned user = 0; user < 2; user++)
            if (!(ac && (user || k == EXEC))) {
                context("level %d leaf %x cr %x access %x", leaf_level,
                        *page_entry(VA, (unsigned)leaf_level),
                        wp | nxe << 4 | smep << 8 | smap << 12 | ac << 16, k | user << 4);
                try_access(p, k, user);
            }
}

/* All of P, W, U, XD in the leaf and in the levels above it. */
static void matrix_of_level(void)
{
    for (unsigned upper = 0; upper < 8; upper++) {
        u64 up = (upper & 1 ? PTE_W : 0) | (upper & 2 ? PTE_U : 0) | (upper & 4 ? PTE_XD : 0);
        for (unsigned low = 0; low < 16; low++) {
            u64 leaf = leaf_bits() | (low & 1 ? PTE_P : 0) | (low & 2 ? PTE_W : 0) |
                       (low & 4 ? PTE_U : 0) | (low & 8 ? PTE_XD : 0);
            set_path(PTE_W | PTE_U, leaf);
            set_path(up, leaf);
            struct path p = {
                .present = (upper & 4 && !nxe && leaf_level < 4) || low & 1,
                .write = upper & 1 && low & 2,
                .user = upper & 2 && low & 4,
                .xd = upper & 4 || low & 8,
                .reserved = !nxe && (upper & 4 || (low & 8 && low & 1)),
            };
            all_accesses(&p);
        }
    }
}

static void set_control(unsigned bits)
{
    wp = bits & 1;
    nxe = bits >> 1 & 1;
    smep = bits >> 2 & 1;
    smap = bits >> 3 & 1;
    write_cr0(wp ? read_cr0() | CR0_WP : read_cr0() & ~CR0_WP);
    wrmsr(MSR_EFER, nxe ? rdmsr(MSR_EFER) | EFER_NXE : rdmsr(MSR_EFER) & ~EFER_NXE);
    write_cr4((read_cr4() & ~(CR4_SMEP | CR4_SMAP)) | (smep ? CR4_SMEP : 0) |
              (smap ? CR4_SMAP : 0));
}

static unsigned control_mask(void)
{
    u32 b = cpuid(0, 0).a >= 7 ? cpuid(7, 0).b : 0;
    return 3 | (b >> 7 & 1) << 2 | (b >> 20 & 1) << 3;
}

static bool has_gib_pages(void)
{
    return cpuid(0x80000001, 0).d >> 26 & 1;
}

static void with_all_controls(void (*fn)(void))
{
    unsigned mask = control_mask();
    for (unsigned c = 0; c < 16; c++) {
        if (c & ~mask)
            continue;
        set_control(c);
        fn();
        if (smap) {
            ac = true;
            fn();
            ac = false;
        }
    }
    set_control(3 & mask);
}

static void every_permission_of_a_4_kib_page(void)
{
    leaf_level = 1;
    with_all_controls(matrix_of_level);
}

static void every_permission_of_a_2_mib_page(void)
{
    page_unmap_all(VA);
    leaf_level = 2;
    with_all_controls(matrix_of_level);
}

static void every_permission_of_a_1_gib_page(void)
{
    if (!has_gib_pages()) {
        test_skip("no 1 GiB pages");
        return;
    }
    page_unmap_all(VA);
    leaf_level = 3;
    with_all_controls(matrix_of_level);
}

/* One reserved bit at a time, at each level, as table and as page. */
static void reserved_bit(unsigned level, unsigned bit, bool large)
{
    leaf_level = large ? level : 1;
    page_unmap_all(VA);
    set_path(PTE_W | PTE_U, (large ? FRAME | PTE_PS : FRAME) | PTE_P | PTE_W | PTE_U);
    *page_entry(VA, level) |= BIT(bit);
    invlpg(VA);
    struct path p = {.present = true, .reserved = true};
    for (unsigned k = READ; k <= EXEC; k++)
        for (unsigned user = 0; user < 2; user++) {
            context("level %d bit %d large %d access %x", level, bit, large, k | user << 4);
            u32 error;
            faults(&p, k, user, &error);
            if (CHECK_EQ(access(k, user), PF))
                CHECK_EQ(trap.r.error, error);
        }
}

static void reserved_bits_fault_at_every_level(void)
{
    unsigned bits = cpuid(0x80000008, 0).a & 0xff;
    set_control(3);
    for (unsigned level = 1; level <= 4; level++) {
        for (unsigned b = bits; b < 52; b++)
            reserved_bit(level, b, false);
        if (level == 2 || (level == 3 && has_gib_pages())) {
            for (unsigned b = 13; b < 12 + 9 * (level - 1); b++)
                reserved_bit(level, b, true);
            for (unsigned b = bits; b < 52; b++)
                reserved_bit(level, b, true);
        }
    }
    reserved_bit(4, 7, false); /* PS of a PML4E is reserved; AMD: must be zero */
    if (!has_gib_pages())
        reserved_bit(3, 7, false);
}

static void ignored_bits_do_not_fault(void)
{
    static const u8 ignored[] = {9, 10, 11, 52, 53, 54, 55, 56, 57, 58};
    set_control(3);
    leaf_level = 1;
    for (unsigned level = 1; level <= 4; level++)
        for (unsigned i = 0; i < COUNT(ignored); i++) {
            page_unmap_all(VA);
            set_path(PTE_W | PTE_U, FRAME | PTE_P | PTE_W | PTE_U);
            *page_entry(VA, level) |= BIT(ignored[i]);
            invlpg(VA);
            context("level %d bit %d", level, ignored[i], 0, 0);
            CHECK_EQ(access(WRITE, true), NO_TRAP);
        }
}

static void upper_levels_become_accessed(void)
{
    set_control(3);
    for (leaf_level = 1; leaf_level <= (has_gib_pages() ? 3 : 2); leaf_level++) {
        page_unmap_all(VA);
        set_path(PTE_W | PTE_U, leaf_bits() | PTE_P | PTE_W | PTE_U);
        CHECK_EQ(access(READ, false), NO_TRAP);
        for (unsigned l = leaf_level; l <= 4; l++) {
            CHECK(*page_entry(VA, l) & PTE_A);
            CHECK(!(*page_entry(VA, l) & PTE_D));
        }
        CHECK_EQ(access(WRITE, false), NO_TRAP); /* D although the page is in the TLB */
        CHECK(*page_entry(VA, (unsigned)leaf_level) & PTE_D);
    }
}

int main(void)
{
    copy((void *)FRAME, "\xc3", 1);
    RUN(every_permission_of_a_4_kib_page);
    RUN(every_permission_of_a_2_mib_page);
    RUN(every_permission_of_a_1_gib_page);
    RUN(reserved_bits_fault_at_every_level);
    RUN(ignored_bits_do_not_fault);
    RUN(upper_levels_become_accessed);
    return 0;
}
