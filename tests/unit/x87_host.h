/*
 * x87_host.h: the part of test_x87.c that runs single x87 instructions on an x86-64 host and in the
 * interpreter from the same random state. Included by it alone.
 */
#pragma once

#include "tests/unit/float_operands.h"
#include <sys/mman.h>

#define MEM_BYTES 128
#define STUB_BYTES 32

struct outcome {
    u8 image[108]; /* FNSAVE, 32-bit protected format */
    u8 pad[4];
    u64 rax, rflags;
    u8 mem[MEM_BYTES];
};

/* void stub(u64 rflags, const u8 *image, u8 *mem, struct outcome *out) */
typedef void stub_fn(u64 rflags, const u8 *image, u8 *mem, struct outcome *out);

static void stub_write(u8 *p, u8 opcode, u8 modrm)
{
    const u8 code[] = {
        0x31, 0xc0,             /* xor eax, eax */
        0x57, 0x9d,             /* push rdi; popfq */
        0xdd, 0x26,             /* frstor [rsi] */
        opcode, modrm,
        0x9c, 0x41, 0x58,       /* pushfq; pop r8 */
        0xdd, 0x31,             /* fnsave [rcx] */
        0x48, 0x89, 0x41, 0x70, /* mov [rcx + 112], rax */
        0x4c, 0x89, 0x41, 0x78, /* mov [rcx + 120], r8 */
        0xc3,
    };
    memcpy(p, code, sizeof code);
}

/* ---- images ---------------------------------------------------------------------------------- */

static void random_image(struct rng *r, u8 *image)
{
    u16 cw = (u16)(0x37f | rng_below(r, 4) << 10);
    u16 sw = (u16)(rng_next(r) & 0x7f00);
    u16 tw = 0;
    if (rng_below(r, 2))
        cw = (u16)((cw & ~0x100) | (rng_below(r, 2) ? 0x200 : 0) | (rng_below(r, 2) ? 0x100 : 0));
    if ((cw & 0x300) == 0x100)
        cw |= 0x200;
    if (rng_below(r, 3) == 0)
        cw &= (u16)~rng_below(r, 64);
    sw |= (u16)(rng_next(r) & cw & 0x3f);
    if (rng_below(r, 3) == 0)
        tw = (u16)rng_next(r);
    else /* ST(7) alone is empty */
        tw = (u16)(3 << 2 * (((sw >> 11) + 7) & 7));
    memset(image, 0, 108);
    st_le16(image, cw);
    st_le16(image + 4, sw);
    st_le16(image + 8, tw);
    for (unsigned i = 0; i < 8; i++) {
        struct f80 v = rnd80(r);
        st_le64(image + 28 + 10 * i, v.mant);
        st_le16(image + 36 + 10 * i, v.se);
    }
}

static void load_image(struct x87 *x, const u8 *image)
{
    x->sw = ld_le16(image + 4);
    x87_set_cw(x, ld_le16(image));
    x87_set_tag_word(x, ld_le16(image + 8));
    for (unsigned i = 0; i < 8; i++)
        x->st[x87_phys(x, i)] = (struct f80){ld_le64(image + 28 + 10 * i), ld_le16(image + 36 + 10 * i)};
}

static void save_image(const struct x87 *x, u8 *image)
{
    memset(image, 0, 108);
    st_le16(image, x->cw);
    st_le16(image + 4, x->sw);
    st_le16(image + 8, x87_tag_word(x));
    for (unsigned i = 0; i < 8; i++) {
        struct f80 v = st(x, i);
        st_le64(image + 28 + 10 * i, v.mant);
        st_le16(image + 36 + 10 * i, v.se);
    }
}

static void random_mem(struct rng *r, u8 *mem, u8 opcode)
{
    for (unsigned i = 0; i < MEM_BYTES; i += 8)
        st_le64(mem + i, rng_next(r));
    switch (opcode) {
    case 0xd8: case 0xd9: st_le32(mem, rnd32(r)); break;
    case 0xdc: case 0xdd: st_le64(mem, rnd64(r)); break;
    case 0xdb: {
        struct f80 v = rnd80(r);
        st_le64(mem, v.mant);
        st_le16(mem + 8, v.se);
        break;
    }
    case 0xdf: /* decimal digits, so that FBLD is defined */
        for (unsigned i = 0; i < 9; i++)
            mem[i] = (u8)(rng_below(r, 10) << 4 | rng_below(r, 10));
        break;
    default: break;
    }
}

/* ---- what may differ ------------------------------------------------------------------------- */

struct form {
    u8 opcode, modrm;
};

static bool is_mem(struct form f)
{
    return f.modrm < 0xc0;
}

static unsigned form_reg(struct form f)
{
    return (f.modrm >> 3) & 7;
}

/* FLDENV, FNSTENV, FRSTOR, FNSAVE: pointers and reserved bits come from the host's history. */
static bool is_env(struct form f)
{
    return is_mem(f) && ((f.opcode == 0xd9 && (form_reg(f) == 4 || form_reg(f) == 6)) ||
                         (f.opcode == 0xdd && (form_reg(f) == 4 || form_reg(f) == 6)));
}

static bool is_transcendental(struct form f)
{
    switch (f.opcode << 8 | f.modrm) {
    case 0xd9f0: case 0xd9f1: case 0xd9f2: case 0xd9f3: case 0xd9f9: case 0xd9fb: case 0xd9fe:
    case 0xd9ff: return true;
    default: return false;
    }
}

static bool is_compare(struct form f)
{
    unsigned reg = form_reg(f);
    switch (f.opcode) {
    case 0xd8: case 0xdc: return reg == 2 || reg == 3;
    case 0xd9: return f.modrm == 0xe4;
    case 0xda: return f.modrm == 0xe9 || (is_mem(f) && (reg == 2 || reg == 3));
    case 0xdd: return !is_mem(f) && reg >= 4;
    case 0xde: return reg == 2 || reg == 3;
    default: return false;
    }
}

static bool is_comi(struct form f)
{
    return !is_mem(f) && (f.opcode == 0xdb || f.opcode == 0xdf) && form_reg(f) >= 5;
}

/* Bits of SW that the architecture leaves open, or that AMD's processors and the SDM see otherwise:
 * C0, C2, C3, or EFLAGS, of a comparison with an unmasked IE (SDM: unchanged); C1 of FCOMI (SDM:
 * cleared); rounding of transcendental functions. */
static u16 sw_defined(struct form f, u16 sw)
{
    unsigned open = 0;
    if (is_compare(f) && (sw & SW_ES) && (sw & SW_IE))
        open = SW_C0 | SW_C2 | SW_C3;
    else if (is_comi(f))
        open = SW_C1;
    else if (is_transcendental(f))
        open = SW_C1 | SW_PE | SW_UE;
    return (u16)~open;
}

static void blank_pointers(u8 *image)
{
    memset(image + 12, 0, 16);
    st_le16(image + 2, 0);
    st_le16(image + 6, 0);
    st_le16(image + 10, 0);
}

/* Within one unit in the last place of a 64-bit significand. */
static bool close80(const u8 *a, const u8 *b)
{
    u64 ma = ld_le64(a), mb = ld_le64(b), d = ma > mb ? ma - mb : mb - ma;
    u16 ea = ld_le16(a + 8), eb = ld_le16(b + 8);
    return (ea == eb && d <= 1) || (ea == eb + 1 && ma == F80_J && mb == ~0ull) ||
           (eb == ea + 1 && mb == F80_J && ma == ~0ull);
}

static bool registers_agree(struct form f, const u8 *a, const u8 *b)
{
    for (unsigned i = 0; i < 8; i++) {
        const u8 *ra = a + 28 + 10 * i, *rb = b + 28 + 10 * i;
        if (memcmp(ra, rb, 10) && !(is_transcendental(f) && close80(ra, rb)))
            return false;
    }
    return true;
}

static bool outcomes_agree(struct form f, struct outcome *ours, struct outcome *host)
{
    u16 sw_mask = sw_defined(f, ld_le16(host->image + 4));
    if (is_comi(f) && (ld_le16(host->image + 4) & (SW_ES | SW_IE)) == (SW_ES | SW_IE))
        ours->rflags = host->rflags = 0;
    blank_pointers(ours->image);
    blank_pointers(host->image);
    if (is_env(f)) {
        blank_pointers(ours->mem);
        blank_pointers(host->mem);
    }
    return ld_le16(ours->image) == ld_le16(host->image) &&
           ((ld_le16(ours->image + 4) ^ ld_le16(host->image + 4)) & sw_mask) == 0 &&
           ld_le16(ours->image + 8) == ld_le16(host->image + 8) &&
           registers_agree(f, ours->image, host->image) && ours->rax == host->rax &&
           ours->rflags == host->rflags && !memcmp(ours->mem, host->mem, MEM_BYTES);
}

/* ---- the comparison -------------------------------------------------------------------------- */

static void run_ours(struct rig *r, struct form f, u64 rflags, const u8 *image, const u8 *mem,
                     struct outcome *out)
{
    struct cpu *cpu = r->cpu;
    u8 code[2] = {f.opcode, f.modrm};
    load_image(&cpu->x87, image);
    flags_set(&cpu->flags, (u32)rflags);
    cpu->gpr[RAX] = 0;
    dma_write(&r->phys, DATA, mem, MEM_BYTES);
    rig_run(r, code, 2);
    save_image(&cpu->x87, out->image);
    out->rax = cpu->gpr[RAX];
    out->rflags = flags_get(&cpu->flags);
    dma_read(&r->phys, DATA, out->mem, MEM_BYTES);
}

static void show(const char *who, const struct outcome *o)
{
    fprintf(stderr, "%s cw %04x sw %04x tw %04x ax %04x flags %03x\n  ", who, ld_le16(o->image),
            ld_le16(o->image + 4), ld_le16(o->image + 8), (unsigned)o->rax, (unsigned)o->rflags);
    for (unsigned i = 0; i < 8; i++)
        fprintf(stderr, "%04x:%016" PRIx64 "%s", ld_le16(o->image + 36 + 10 * i),
                ld_le64(o->image + 28 + 10 * i), i == 3 ? "\n  " : " ");
    fprintf(stderr, "\n  mem");
    for (unsigned i = 0; i < 28; i++)
        fprintf(stderr, " %02x", o->mem[i]);
    fprintf(stderr, "\n");
}

static void compare_form(struct rig *r, stub_fn *stub, struct form f, struct rng *rng, int cases)
{
    for (int i = 0; i < cases; i++) {
        struct outcome ours = {0}, host = {0}, before = {0};
        u8 mem[MEM_BYTES];
        u64 rflags = (rng_next(rng) & EFLAGS_ARITH) | 0x202;
        random_image(rng, before.image);
        random_mem(rng, mem, f.opcode);
        if (is_transcendental(f)) { /* with none unmasked they are the host's (cpu/x87_host.h) */
            before.image[0] |= SF_PE | SF_UE;
            before.image[0] &= (u8) ~(rng_below(rng, 2) ? SF_IE : SF_ZE);
            st_le16(before.image + 4, ld_le16(before.image + 4) & 0x7f00);
        }
        memcpy(before.mem, mem, MEM_BYTES);
        run_ours(r, f, rflags & EFLAGS_ARITH, before.image, mem, &ours);
        memcpy(host.mem, mem, MEM_BYTES);
        stub(rflags, before.image, host.mem, &host);
        host.rflags &= EFLAGS_ARITH;
        if (!outcomes_agree(f, &ours, &host)) {
            show("before", &before);
            show("ours", &ours);
            show("host", &host);
            ck_abort_msg("%02x %02x differs", f.opcode, f.modrm);
        }
    }
}

/* _i: ESC opcode and /reg. */
START_TEST(single_instructions_agree_with_the_host)
{
    struct rig *r = rig_new();
    u8 *stubs = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct rng rng;
    u8 opcode = (u8)(0xd8 + _i / 8), reg = (u8)(_i % 8 << 3);

    ck_assert_ptr_ne(stubs, MAP_FAILED);
    rng_seed(&rng, 0xd800 + (u64)_i);
    for (u8 rm = 0; rm < 9; rm++) {
        struct form f = {opcode, (u8)(rm == 8 ? reg | 2 : 0xc0 | reg | rm)};
        u8 bytes[INSN_MAX_BYTES] = {f.opcode, f.modrm};
        struct insn in;
        memset(&in, 0, sizeof in);
        ck_assert_int_eq(decode(bytes, sizeof bytes, 32, false, r->cpu->gates, &in), DECODE_OK);
        if (in.row == ROW_INVALID)
            continue;
        u8 *code = stubs + rm * STUB_BYTES;
        stub_write(code, f.opcode, f.modrm);
        compare_form(r, (stub_fn *)(uintptr_t)code, f, &rng, rm == 8 ? 4000 : 2000);
    }
    munmap(stubs, 4096);
    rig_free(r);
}
END_TEST

static TCase *host_tests(void)
{
    TCase *t = tcase_create("host");
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, single_instructions_agree_with_the_host, 0, 64);
    return t;
}
