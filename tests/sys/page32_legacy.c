/*
 * page32_legacy.c: paging outside long mode: two levels with and without 4 MiB pages (PSE, PSE-36),
 * and PAE with its page-directory-pointer entries: permissions, reserved bits, error codes, A and
 * D.
 *
 * SDM vol. 3A 4.3, 4.4 (4.4.1: when PDPTEs are loaded and checked), 4.6, 4.7; APM vol. 2 5.2.
 * SMEP and SMAP are the matter of page_matrix.c. QEMU 7.2 leaves P out of the error code of
 * reserved bits.
 */
#include "sys32.h"

#define VA 0x40000000u
#define FRAME 0x1000000u /* 16 MiB: suits every size of page */
#define CR4_PSE 0x10u
#define CR4_PAE 0x20u
#define PTE_A 0x20u
#define PTE_D 0x40u
#define PTE_PS 0x80u
#define XD (1ull << 63)
#define MSR_EFER 0xc0000080u
#define EFER_NXE 0x800u

enum kind { TABLES, TABLES_PSE, BIG_4M, PAE_4K, PAE_2M, KINDS };
enum { READ, WRITE, EXEC };
enum { E_P = 1, E_W = 2, E_U = 4, E_RSVD = 8, E_I = 16 };

CODE32(read_ebx, "movb (%ebx), %al")
CODE32(write_ebx, "movb $0xc3, (%ebx)")
CODE32(call_ebx, "call *%ebx")
CODE32(load_cr3, "mov %eax, %cr3")
CODE32(load_cr0, "mov %eax, %cr0")
CODE32(load_cr4, "mov %eax, %cr4")

#define TABLE __attribute__((aligned(4096)))
static u32 dir32[1024] TABLE, table32[1024] TABLE;
static u64 pdpt[4] TABLE, dir_low[512] TABLE, dir_va[512] TABLE, table64[512] TABLE;
static enum kind kind;
static u32 nxe, wp;

static u32 is_pae(void)
{
    return kind >= PAE_4K;
}
static u32 is_big(void)
{
    return kind == BIG_4M || kind == PAE_2M;
}

static void cpuid(u32 leaf, u32 r[4])
{
    __asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(0));
}

static u32 has_nx(void)
{
    u32 r[4];
    cpuid(0x80000000, r);
    if (r[0] < 0x80000001 || r[0] >> 16 != 0x8000)
        return 0;
    cpuid(0x80000001, r);
    return r[3] >> 20 & 1;
}

static u32 physical_bits(void)
{
    u32 r[4];
    cpuid(0x80000000, r);
    if (r[0] < 0x80000008 || r[0] >> 16 != 0x8000)
        return 36;
    cpuid(0x80000008, r);
    return r[0] & 0xff;
}

static void set_nxe(u32 on)
{
    u32 a, d;
    if (!has_nx())
        return;
    __asm__ volatile("rdmsr" : "=a"(a), "=d"(d) : "c"(MSR_EFER));
    a = on ? a | EFER_NXE : a & ~EFER_NXE;
    __asm__ volatile("wrmsr" : : "c"(MSR_EFER), "a"(a), "d"(d));
}

/* The program itself: the first 32 MiB at themselves, for everyone. */
static void identity(void)
{
    for (u32 i = 0; i < 8; i++)
        dir32[i] = i << 22 | PTE_PS | PTE_U | PTE_W | PTE_P;
    for (u32 i = 0; i < 16; i++)
        dir_low[i] = i << 21 | PTE_PS | PTE_U | PTE_W | PTE_P;
    pdpt[0] = (u32)dir_low | PTE_P;
    pdpt[1] = (u32)dir_va | PTE_P;
    if (kind != TABLES)
        return;
    static u32 low[2][1024] TABLE; /* without PSE: 8 MiB by tables */
    for (u32 i = 0; i < 2048; i++)
        low[i / 1024][i % 1024] = i << 12 | PTE_U | PTE_W | PTE_P;
    dir32[0] = (u32)low[0] | PTE_U | PTE_W | PTE_P;
    dir32[1] = (u32)low[1] | PTE_U | PTE_W | PTE_P;
}

static void start(enum kind k, u32 with_nxe, u32 with_wp)
{
    write_cr0(0x31);
    kind = k;
    nxe = with_nxe;
    wp = with_wp;
    identity();
    set_nxe(nxe);
    write_cr4(is_pae() ? CR4_PAE : kind == TABLES ? 0 : CR4_PSE);
    write_cr3(is_pae() ? (u32)pdpt : (u32)dir32);
    write_cr0(0x31 | CR0_PG | (wp ? CR0_WP : 0));
}

static void stop(void)
{
    write_cr0(0x31);
    set_nxe(0);
    fresh();
}

static u64 leaf(void)
{
    return kind == BIG_4M   ? dir32[VA >> 22]
           : kind == PAE_2M ? dir_va[0]
           : is_pae()       ? table64[0]
                            : table32[0];
}

/* upper, low: the bits of the directory's and the page's entry; a big page has only the latter. */
static void set_entries(u64 upper, u64 low)
{
    u64 page = FRAME | low;
    if (kind == BIG_4M) {
        dir32[VA >> 22] = (u32)page | PTE_PS;
    } else if (kind == PAE_2M) {
        dir_va[0] = page | PTE_PS;
    } else if (is_pae()) {
        dir_va[0] = (u32)table64 | upper;
        table64[0] = page;
    } else {
        dir32[VA >> 22] = (u32)table32 | (u32)upper;
        table32[0] = (u32)page;
    }
    write_cr3(read_cr3());
}

static u32 run_access(u32 access, u32 user)
{
    static u8 *const code[] = {read_ebx, write_ebx, call_ebx};
    ring(user ? 3 : 0);
    in.ebx = VA;
    run_at(code[access]);
    return outcome();
}

/* What must come of an access, by SDM 4.6 and 4.7. */
static u32 expected(u64 upper, u64 low, u32 access, u32 user, u32 reserved)
{
    u32 e = (user ? E_U : 0) | (access == WRITE ? E_W : 0) |
            (access == EXEC && nxe && is_pae() ? E_I : 0);
    if (is_big())
        upper = low;
    if (!(upper & PTE_P))
        return FAULT_ERR(PAGE, e);
    u32 xd_reserved = is_pae() && !nxe;
    if (xd_reserved && upper & XD)
        return FAULT_ERR(PAGE, e | E_P | E_RSVD);
    if (!(low & PTE_P))
        return FAULT_ERR(PAGE, e);
    e |= E_P;
    if (reserved || (xd_reserved && low & XD))
        return FAULT_ERR(PAGE, e | E_RSVD);
    u64 both = upper & low;
    u32 denied = (user && !(both & PTE_U)) ||
                 (access == WRITE && !(both & PTE_W) && (user || wp)) ||
                 (access == EXEC && (upper | low) & XD);
    return denied ? FAULT_ERR(PAGE, e) : DONE;
}

static void one(u64 upper, u64 low, u32 access, u32 user)
{
    u32 want = expected(upper, low, access, user, 0);
    u32 id = kind << 24 | nxe << 20 | wp << 16 | access << 4 | user;
    u32 bits =
        (u32)(upper & 7) << 8 | (u32)(upper >> 63) << 12 | (u32)(low & 7) | (u32)(low >> 63) << 4;
    set_entries(upper, low);
    u64 before = leaf();
    count(want, run_access(access, user), id, bits);
    u64 after = leaf();
    if (want == DONE)
        count((u32)before | PTE_A | (access == WRITE ? PTE_D : 0), (u32)after, id, bits);
    else
        count((u32)before & ~PTE_A, (u32)after & ~PTE_A, id, bits);
    if (want != DONE)
        count(VA, read_cr2(), id, bits);
}

static u64 rights(u32 n)
{
    return (n & 1 ? PTE_P : 0) | (n & 2 ? PTE_W : 0) | (n & 4 ? PTE_U : 0) | (n & 8 ? XD : 0);
}

static void matrix(enum kind k, const char *name)
{
    u32 nx = k >= PAE_4K && has_nx();
    for (u32 control = 0; control < (nx ? 4u : 2u); control++) {
        start(k, control >> 1, control & 1);
        /* without NX the upper bits of a PAE entry are reserved anyway: see below */
        u32 combinations = nx ? 16 : 8;
        for (u32 upper = 0; upper < (is_big() ? 1u : combinations); upper++)
            for (u32 low = 0; low < combinations; low++)
                for (u32 access = READ; access <= EXEC; access++)
                    for (u32 user = 0; user < 2; user++)
                        one(rights(upper), rights(low), access, user);
        stop();
    }
    count_end(name);
}

/* ---- reserved bits
 * -------------------------------------------------------------------------------------- */

static void reserved_bits_of_pae_entries(void)
{
    start(PAE_4K, 0, 0);
    for (u32 b = physical_bits(); b < 64; b++) {
        set_entries(PTE_P | PTE_W | PTE_U, PTE_P | PTE_W | PTE_U | 1ull << b);
        count(FAULT_ERR(PAGE, E_P | E_RSVD), run_access(READ, 0), b, 1);
        set_entries(PTE_P | PTE_W | PTE_U | 1ull << b, PTE_P | PTE_W | PTE_U);
        count(FAULT_ERR(PAGE, E_P | E_RSVD | E_W | E_U), run_access(WRITE, 1), b, 2);
    }
    stop();
    start(PAE_2M, 0, 0);
    for (u32 b = 13; b < 21; b++) {
        set_entries(0, PTE_P | PTE_W | 1u << b);
        count(FAULT_ERR(PAGE, E_P | E_RSVD), run_access(READ, 0), b, 3);
    }
    stop();
    count_end("reserved bits of PAE entries fault");
}

static void reserved_bit_of_a_4_mib_page(void)
{
    start(BIG_4M, 0, 0);
    set_entries(0, PTE_P | PTE_W | 1u << 21);
    is("bit 21 of a 4 MiB page is reserved", FAULT_ERR(PAGE, E_P | E_RSVD), run_access(READ, 0));
    set_entries(0, PTE_P | PTE_W | 1u << 12);
    is("bit 12 of a 4 MiB page is PAT", DONE, run_access(READ, 0));
    *(volatile u8 *)FRAME = 0xc3;
    set_entries(0, PTE_P | PTE_W | 1u << 13);
    is("PSE-36: bit 13 is bit 32 of the address", DONE, run_access(READ, 0));
    is("and not of this page", 1, (trap.r.eax & 0xff) != 0xc3);
    stop();
    start(TABLES, 0, 0);
    set_entries(PTE_P | PTE_W | PTE_PS, PTE_P | PTE_W);
    is("without PSE the PS bit is ignored", DONE, run_access(READ, 0));
    stop();
}

/* ---- page-directory-pointer entries
 * ----------------------------------------------------------------------- */

static u32 with_eax(const u8 *code, u32 eax)
{
    ring(0);
    in.eax = eax;
    run_at(code);
    return outcome();
}

static void pdptes_are_checked_when_they_are_loaded(void)
{
    u32 bits = physical_bits();
    start(PAE_4K, 0, 0);
    for (u32 b = 1; b < 64; b++) {
        u32 reserved = b == 1 || b == 2 || (b >= 5 && b <= 8) || b >= bits;
        if (b >= 9 && b < bits && !reserved)
            continue; /* available, or address */
        pdpt[2] = PTE_P | 1ull << b;
        count(reserved ? FAULT_ERR(GP, 0) : DONE, with_eax(load_cr3, (u32)pdpt), b, 1);
        pdpt[2] = 1ull << b; /* not present: anything goes */
        count(DONE, with_eax(load_cr3, (u32)pdpt), b, 2);
        pdpt[2] = 0;
    }
    stop();
    count_end("MOV to CR3 checks the PDPTEs");

    start(PAE_4K, 0, 0);
    write_cr0(0x31);
    pdpt[3] = PTE_P | PTE_W;
    is("so does setting CR0.PG", FAULT_ERR(GP, 0), with_eax(load_cr0, 0x31 | CR0_PG));
    is("which leaves CR0 as it was", 0x31, read_cr0());
    pdpt[3] = 0;
    stop();
}

static void pdptes_stay_until_cr3_is_loaded(void)
{
    start(PAE_4K, 0, 0);
    set_entries(PTE_P | PTE_W | PTE_U, PTE_P | PTE_W | PTE_U);
    is("a present PDPTE leads on", DONE, run_access(READ, 0));
    pdpt[1] = 0;
    is("MOV to CR3 takes the new one", DONE, with_eax(load_cr3, (u32)pdpt));
    is("which is not present", FAULT_ERR(PAGE, E_U), run_access(READ, 1));
    pdpt[1] = (u32)dir_va | PTE_P;
    is("and now it is", DONE, with_eax(load_cr3, (u32)pdpt));
    is("and leads on again", DONE, run_access(WRITE, 1));
    stop();
    static u8 area[4096] TABLE; /* CR3 is 32-byte-aligned under PAE */
    start(PAE_4K, 0, 0);
    memcpy(area + 32, pdpt, sizeof pdpt);
    is("CR3 takes an address aligned to 32", DONE, with_eax(load_cr3, (u32)area + 32));
    set_entries(PTE_P | PTE_W | PTE_U, PTE_P | PTE_W | PTE_U);
    is("and the entries there count", DONE, run_access(READ, 0));
    stop();
}

static void pae_can_be_switched_on_under_paging(void)
{
    /* The same 4 KiB serve as directory of two levels and as PDPT: entries 0 and 1 are one PDPTE.
     */
    static u64 both[512] TABLE;
    start(TABLES_PSE, 0, 0);
    memset(both, 0, sizeof both);
    both[0] = (u64)(1u << 22 | PTE_PS | PTE_W | PTE_P) << 32 | PTE_PS | PTE_W |
              PTE_P; /* reserved in a PDPTE */
    write_cr3((u32)both);
    is("CR4.PAE with bad PDPTEs", FAULT_ERR(GP, 0), with_eax(load_cr4, CR4_PSE | CR4_PAE));
    is("leaves CR4 as it was", CR4_PSE, read_cr4());
    stop();
}

void test_main(void)
{
    *(volatile u8 *)FRAME = 0xc3;
    matrix(TABLES, "two levels, no PSE: every permission");
    matrix(TABLES_PSE, "two levels: every permission");
    matrix(BIG_4M, "4 MiB pages: every permission");
    matrix(PAE_4K, "PAE: every permission");
    matrix(PAE_2M, "PAE, 2 MiB pages: every permission");
    reserved_bits_of_pae_entries();
    reserved_bit_of_a_4_mib_page();
    pdptes_are_checked_when_they_are_loaded();
    pdptes_stay_until_cr3_is_loaded();
    pae_can_be_switched_on_under_paging();
}
