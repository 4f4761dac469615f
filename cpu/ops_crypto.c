/*
 * ops_crypto.c: AES-NI, PCLMULQDQ and the SHA extensions.
 *
 * Not here: constant-time guarantees. The tables are indexed by guest data; a host process that
 * shares the cache could observe that.
 *
 * FIPS 197 (AES), FIPS 180-4 (SHA); Intel SDM vol. 1 12.13 and vol. 2, the instructions.
 */
#include "cpu/sse.h"

/* ---- AES ------------------------------------------------------------------------------------- */

/* FIPS 197 5.1.1 and 5.3.2. */
static const u8 aes_sbox[256] = {
    0x63, 0x7c, 0x77, 0x7b, 0xf2, 0x6b, 0x6f, 0xc5, 0x30, 0x01, 0x67, 0x2b, 0xfe, 0xd7, 0xab, 0x76,
    0xca, 0x82, 0xc9, 0x7d, 0xfa, 0x59, 0x47, 0xf0, 0xad, 0xd4, 0xa2, 0xaf, 0x9c, 0xa4, 0x72, 0xc0,
    0xb7, 0xfd, 0x93, 0x26, 0x36, 0x3f, 0xf7, 0xcc, 0x34, 0xa5, 0xe5, 0xf1, 0x71, 0xd8, 0x31, 0x15,
    0x04, 0xc7, 0x23, 0xc3, 0x18, 0x96, 0x05, 0x9a, 0x07, 0x12, 0x80, 0xe2, 0xeb, 0x27, 0xb2, 0x75,
    0x09, 0x83, 0x2c, 0x1a, 0x1b, 0x6e, 0x5a, 0xa0, 0x52, 0x3b, 0xd6, 0xb3, 0x29, 0xe3, 0x2f, 0x84,
    0x53, 0xd1, 0x00, 0xed, 0x20, 0xfc, 0xb1, 0x5b, 0x6a, 0xcb, 0xbe, 0x39, 0x4a, 0x4c, 0x58, 0xcf,
    0xd0, 0xef, 0xaa, 0xfb, 0x43, 0x4d, 0x33, 0x85, 0x45, 0xf9, 0x02, 0x7f, 0x50, 0x3c, 0x9f, 0xa8,
    0x51, 0xa3, 0x40, 0x8f, 0x92, 0x9d, 0x38, 0xf5, 0xbc, 0xb6, 0xda, 0x21, 0x10, 0xff, 0xf3, 0xd2,
    0xcd, 0x0c, 0x13, 0xec, 0x5f, 0x97, 0x44, 0x17, 0xc4, 0xa7, 0x7e, 0x3d, 0x64, 0x5d, 0x19, 0x73,
    0x60, 0x81, 0x4f, 0xdc, 0x22, 0x2a, 0x90, 0x88, 0x46, 0xee, 0xb8, 0x14, 0xde, 0x5e, 0x0b, 0xdb,
    0xe0, 0x32, 0x3a, 0x0a, 0x49, 0x06, 0x24, 0x5c, 0xc2, 0xd3, 0xac, 0x62, 0x91, 0x95, 0xe4, 0x79,
    0xe7, 0xc8, 0x37, 0x6d, 0x8d, 0xd5, 0x4e, 0xa9, 0x6c, 0x56, 0xf4, 0xea, 0x65, 0x7a, 0xae, 0x08,
    0xba, 0x78, 0x25, 0x2e, 0x1c, 0xa6, 0xb4, 0xc6, 0xe8, 0xdd, 0x74, 0x1f, 0x4b, 0xbd, 0x8b, 0x8a,
    0x70, 0x3e, 0xb5, 0x66, 0x48, 0x03, 0xf6, 0x0e, 0x61, 0x35, 0x57, 0xb9, 0x86, 0xc1, 0x1d, 0x9e,
    0xe1, 0xf8, 0x98, 0x11, 0x69, 0xd9, 0x8e, 0x94, 0x9b, 0x1e, 0x87, 0xe9, 0xce, 0x55, 0x28, 0xdf,
    0x8c, 0xa1, 0x89, 0x0d, 0xbf, 0xe6, 0x42, 0x68, 0x41, 0x99, 0x2d, 0x0f, 0xb0, 0x54, 0xbb, 0x16,
};

static const u8 aes_inv_sbox[256] = {
    0x52, 0x09, 0x6a, 0xd5, 0x30, 0x36, 0xa5, 0x38, 0xbf, 0x40, 0xa3, 0x9e, 0x81, 0xf3, 0xd7, 0xfb,
    0x7c, 0xe3, 0x39, 0x82, 0x9b, 0x2f, 0xff, 0x87, 0x34, 0x8e, 0x43, 0x44, 0xc4, 0xde, 0xe9, 0xcb,
    0x54, 0x7b, 0x94, 0x32, 0xa6, 0xc2, 0x23, 0x3d, 0xee, 0x4c, 0x95, 0x0b, 0x42, 0xfa, 0xc3, 0x4e,
    0x08, 0x2e, 0xa1, 0x66, 0x28, 0xd9, 0x24, 0xb2, 0x76, 0x5b, 0xa2, 0x49, 0x6d, 0x8b, 0xd1, 0x25,
    0x72, 0xf8, 0xf6, 0x64, 0x86, 0x68, 0x98, 0x16, 0xd4, 0xa4, 0x5c, 0xcc, 0x5d, 0x65, 0xb6, 0x92,
    0x6c, 0x70, 0x48, 0x50, 0xfd, 0xed, 0xb9, 0xda, 0x5e, 0x15, 0x46, 0x57, 0xa7, 0x8d, 0x9d, 0x84,
    0x90, 0xd8, 0xab, 0x00, 0x8c, 0xbc, 0xd3, 0x0a, 0xf7, 0xe4, 0x58, 0x05, 0xb8, 0xb3, 0x45, 0x06,
    0xd0, 0x2c, 0x1e, 0x8f, 0xca, 0x3f, 0x0f, 0x02, 0xc1, 0xaf, 0xbd, 0x03, 0x01, 0x13, 0x8a, 0x6b,
    0x3a, 0x91, 0x11, 0x41, 0x4f, 0x67, 0xdc, 0xea, 0x97, 0xf2, 0xcf, 0xce, 0xf0, 0xb4, 0xe6, 0x73,
    0x96, 0xac, 0x74, 0x22, 0xe7, 0xad, 0x35, 0x85, 0xe2, 0xf9, 0x37, 0xe8, 0x1c, 0x75, 0xdf, 0x6e,
    0x47, 0xf1, 0x1a, 0x71, 0x1d, 0x29, 0xc5, 0x89, 0x6f, 0xb7, 0x62, 0x0e, 0xaa, 0x18, 0xbe, 0x1b,
    0xfc, 0x56, 0x3e, 0x4b, 0xc6, 0xd2, 0x79, 0x20, 0x9a, 0xdb, 0xc0, 0xfe, 0x78, 0xcd, 0x5a, 0xf4,
    0x1f, 0xdd, 0xa8, 0x33, 0x88, 0x07, 0xc7, 0x31, 0xb1, 0x12, 0x10, 0x59, 0x27, 0x80, 0xec, 0x5f,
    0x60, 0x51, 0x7f, 0xa9, 0x19, 0xb5, 0x4a, 0x0d, 0x2d, 0xe5, 0x7a, 0x9f, 0x93, 0xc9, 0x9c, 0xef,
    0xa0, 0xe0, 0x3b, 0x4d, 0xae, 0x2a, 0xf5, 0xb0, 0xc8, 0xeb, 0xbb, 0x3c, 0x83, 0x53, 0x99, 0x61,
    0x17, 0x2b, 0x04, 0x7e, 0xba, 0x77, 0xd6, 0x26, 0xe1, 0x69, 0x14, 0x63, 0x55, 0x21, 0x0c, 0x7d,
};

/* The state's column c, row r is byte 4c + r. */
static union vec aes_shift_rows(union vec v, bool inverse)
{
    union vec r = v;
    for (unsigned c = 0; c < 4; c++)
        for (unsigned row = 1; row < 4; row++)
            r.b[4 * c + row] = v.b[4 * ((inverse ? c + 4 - row : c + row) & 3) + row];
    return r;
}

static union vec aes_sub_bytes(union vec v, const u8 sbox[256])
{
    for (unsigned i = 0; i < 16; i++)
        v.b[i] = sbox[v.b[i]];
    return v;
}

/* Multiplication by x in GF(2^8), four bytes at once. */
static u32 aes_xtime(u32 column)
{
    u32 high = column & 0x80808080u;
    return (column ^ high) << 1 ^ (high >> 7) * 0x1b;
}

static u32 rotr32(u32 v, unsigned n)
{
    return v >> n | v << (32 - n);
}

/* Each byte: 2a + 3(next) + (the one after) + (the last). */
static u32 aes_mix_column(u32 a)
{
    u32 doubled = aes_xtime(a);
    return doubled ^ rotr32(doubled ^ a, 8) ^ rotr32(a, 16) ^ rotr32(a, 24);
}

/* The inverse matrix is the forward one times (5, 0, 4, 0). */
static u32 aes_inv_mix_column(u32 a)
{
    u32 quadrupled = aes_xtime(aes_xtime(a ^ rotr32(a, 16)));
    return aes_mix_column(a ^ quadrupled);
}

static inline void aes_round(struct cpu *cpu, const struct insn *in, bool decrypt, bool last)
{
    union vec state;
    u128 key;
    vec_gate(cpu, in);
    key = xmm_src128(cpu, in);
    state = aes_shift_rows(vec_from(xmm_get(cpu, in->vvvv)), decrypt);
    state = aes_sub_bytes(state, decrypt ? aes_inv_sbox : aes_sbox);
    for (unsigned i = 0; i < 4 && !last; i++)
        state.d[i] = decrypt ? aes_inv_mix_column(state.d[i]) : aes_mix_column(state.d[i]);
    state.q[0] ^= (u64)key;
    state.q[1] ^= (u64)(key >> 64);
    vec_result(cpu, in, &state);
}

VEC_WORKER sse_aesenc(struct cpu *cpu, const struct insn *in)
{
    aes_round(cpu, in, false, false);
}
VEC_OPS(sse_aesenc);

VEC_WORKER sse_aesenclast(struct cpu *cpu, const struct insn *in)
{
    aes_round(cpu, in, false, true);
}
VEC_OPS(sse_aesenclast);

VEC_WORKER sse_aesdec(struct cpu *cpu, const struct insn *in)
{
    aes_round(cpu, in, true, false);
}
VEC_OPS(sse_aesdec);

VEC_WORKER sse_aesdeclast(struct cpu *cpu, const struct insn *in)
{
    aes_round(cpu, in, true, true);
}
VEC_OPS(sse_aesdeclast);

VEC_WORKER sse_aesimc(struct cpu *cpu, const struct insn *in)
{
    union vec s;
    vec_gate(cpu, in);
    s = vec_from(xmm_src128(cpu, in));
    for (unsigned i = 0; i < 4; i++)
        s.d[i] = aes_inv_mix_column(s.d[i]);
    vec_result(cpu, in, &s);
}
VEC_OPS(sse_aesimc);

VEC_WORKER sse_aeskeygenassist(struct cpu *cpu, const struct insn *in)
{
    union vec s;
    vec_gate(cpu, in);
    s = aes_sub_bytes(vec_from(xmm_src128(cpu, in)), aes_sbox);
    s.d[0] = s.d[1];
    s.d[1] = rotr32(s.d[0], 8) ^ (u8)in->imm;
    s.d[2] = s.d[3];
    s.d[3] = rotr32(s.d[2], 8) ^ (u8)in->imm;
    vec_result(cpu, in, &s);
}
VEC_OPS(sse_aeskeygenassist);

/* ---- carry-less multiplication --------------------------------------------------------------- */

static u128 clmul64(u64 a, u64 b)
{
    u128 r = 0;
    for (unsigned i = 0; i < 64; i++)
        r ^= ((u128)a << i) & -(u128)(b >> i & 1);
    return r;
}

/* imm 0 chooses the half of the first operand, imm 4 that of the second. */
static void sse_pclmulqdq(struct cpu *cpu, const struct insn *in)
{
    u128 s;
    vec_gate(cpu, in);
    s = xmm_src128(cpu, in);
    xmm_result(cpu, in, in->reg,
               clmul64(cpu->vec[in->vvvv].q[in->imm & 1], (u64)(in->imm & 16 ? s >> 64 : s)));
}
VEC_OPS(sse_pclmulqdq);

/* ---- SHA-1: element 3 holds A or the first word of a message --------------------------------- */

static u32 rotl32(u32 v, unsigned n)
{
    return v << n | v >> (32 - n);
}

static u32 sha_choose(u32 x, u32 y, u32 z)
{
    return (x & y) ^ (~x & z);
}

static u32 sha_majority(u32 x, u32 y, u32 z)
{
    return (x & y) ^ (x & z) ^ (y & z);
}

static u32 sha1_function(unsigned stage, u32 b, u32 c, u32 d)
{
    switch (stage) {
    case 0: return sha_choose(b, c, d);
    case 2: return sha_majority(b, c, d);
    default: return b ^ c ^ d;
    }
}

/* Four rounds of the stage imm 1:0. E is added to the first word of s already (SHA1NEXTE). */
static void sse_sha1rnds4(struct cpu *cpu, const struct insn *in)
{
    static const u32 k[4] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
    unsigned stage = in->imm & 3;
    union vec s, *v = &cpu->vec[in->reg];
    u32 a, b, c, d, e = 0;
    sse_gate(cpu, in);
    s = vec_from(xmm_src128(cpu, in));
    a = v->d[3], b = v->d[2], c = v->d[1], d = v->d[0];
    for (unsigned i = 0; i < 4; i++) {
        u32 t = sha1_function(stage, b, c, d) + rotl32(a, 5) + s.d[3 - i] + e + k[stage];
        e = d, d = c, c = rotl32(b, 30), b = a, a = t;
    }
    v->d[3] = a, v->d[2] = b, v->d[1] = c, v->d[0] = d;
}
VEC_OPS(sse_sha1rnds4);

static void sse_sha1nexte(struct cpu *cpu, const struct insn *in)
{
    union vec s;
    sse_gate(cpu, in);
    s = vec_from(xmm_src128(cpu, in));
    s.d[3] += rotl32(cpu->vec[in->reg].d[3], 30);
    memcpy(&cpu->vec[in->reg], &s, 16);
}
VEC_OPS(sse_sha1nexte);

static void sse_sha1msg1(struct cpu *cpu, const struct insn *in)
{
    union vec s, *d = &cpu->vec[in->reg];
    sse_gate(cpu, in);
    s = vec_from(xmm_src128(cpu, in));
    d->d[3] ^= d->d[1];
    d->d[2] ^= d->d[0];
    d->d[1] ^= s.d[3];
    d->d[0] ^= s.d[2];
}
VEC_OPS(sse_sha1msg1);

static void sse_sha1msg2(struct cpu *cpu, const struct insn *in)
{
    union vec s, *d = &cpu->vec[in->reg];
    sse_gate(cpu, in);
    s = vec_from(xmm_src128(cpu, in));
    d->d[3] = rotl32(d->d[3] ^ s.d[2], 1);
    d->d[2] = rotl32(d->d[2] ^ s.d[1], 1);
    d->d[1] = rotl32(d->d[1] ^ s.d[0], 1);
    d->d[0] = rotl32(d->d[0] ^ d->d[3], 1);
}
VEC_OPS(sse_sha1msg2);

/* ---- SHA-256 --------------------------------------------------------------------------------- */

/* FIPS 180-4 4.1.2. */
static u32 sha256_sum0(u32 x)
{
    return rotr32(x, 2) ^ rotr32(x, 13) ^ rotr32(x, 22);
}
static u32 sha256_sum1(u32 x)
{
    return rotr32(x, 6) ^ rotr32(x, 11) ^ rotr32(x, 25);
}
static u32 sha256_sigma0(u32 x)
{
    return rotr32(x, 7) ^ rotr32(x, 18) ^ x >> 3;
}
static u32 sha256_sigma1(u32 x)
{
    return rotr32(x, 17) ^ rotr32(x, 19) ^ x >> 10;
}

/* Two rounds: s holds A, B, E, F from the top, the destination C, D, G, H, XMM0 words plus K. */
static void sse_sha256rnds2(struct cpu *cpu, const struct insn *in)
{
    union vec abef, cdgh, wk;
    u32 a, b, c, d, e, f, g, h;
    sse_gate(cpu, in);
    abef = vec_from(xmm_src128(cpu, in));
    cdgh = cpu->vec[in->reg];
    wk = cpu->vec[0];
    a = abef.d[3], b = abef.d[2], e = abef.d[1], f = abef.d[0];
    c = cdgh.d[3], d = cdgh.d[2], g = cdgh.d[1], h = cdgh.d[0];
    for (unsigned i = 0; i < 2; i++) {
        u32 t = h + sha256_sum1(e) + sha_choose(e, f, g) + wk.d[i];
        h = g, g = f, f = e, e = d + t;
        t += sha256_sum0(a) + sha_majority(a, b, c);
        d = c, c = b, b = a, a = t;
    }
    cdgh.d[3] = a, cdgh.d[2] = b, cdgh.d[1] = e, cdgh.d[0] = f;
    cpu->vec[in->reg] = cdgh;
}
VEC_OPS(sse_sha256rnds2);

static void sse_sha256msg1(struct cpu *cpu, const struct insn *in)
{
    union vec s, *d = &cpu->vec[in->reg];
    sse_gate(cpu, in);
    s = vec_from(xmm_src128(cpu, in));
    for (unsigned i = 0; i < 4; i++)
        d->d[i] += sha256_sigma0(i < 3 ? d->d[i + 1] : s.d[0]);
}
VEC_OPS(sse_sha256msg1);

static void sse_sha256msg2(struct cpu *cpu, const struct insn *in)
{
    union vec s, *d = &cpu->vec[in->reg];
    sse_gate(cpu, in);
    s = vec_from(xmm_src128(cpu, in));
    d->d[0] += sha256_sigma1(s.d[2]);
    d->d[1] += sha256_sigma1(s.d[3]);
    d->d[2] += sha256_sigma1(d->d[0]);
    d->d[3] += sha256_sigma1(d->d[1]);
}
VEC_OPS(sse_sha256msg2);
