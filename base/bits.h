/*
 * bits.h: endian-safe loads and stores of little-endian guest data, and bit helpers.
 * All addresses may be unaligned.
 */
#pragma once

#include "base/types.h"
#include <string.h>

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define LE16(x) __builtin_bswap16(x)
#define LE32(x) __builtin_bswap32(x)
#define LE64(x) __builtin_bswap64(x)
#else
#define LE16(x) (x)
#define LE32(x) (x)
#define LE64(x) (x)
#endif

static inline u16 ld_le16(const void *p)
{
    u16 v;
    memcpy(&v, p, sizeof v);
    return LE16(v);
}

static inline u32 ld_le32(const void *p)
{
    u32 v;
    memcpy(&v, p, sizeof v);
    return LE32(v);
}

static inline u64 ld_le64(const void *p)
{
    u64 v;
    memcpy(&v, p, sizeof v);
    return LE64(v);
}

static inline void st_le16(void *p, u16 v)
{
    v = LE16(v);
    memcpy(p, &v, sizeof v);
}

static inline void st_le32(void *p, u32 v)
{
    v = LE32(v);
    memcpy(p, &v, sizeof v);
}

static inline void st_le64(void *p, u64 v)
{
    v = LE64(v);
    memcpy(p, &v, sizeof v);
}

/* Loads `size` (1, 2, 4 or 8) bytes, zero-extended. */
static inline u64 ld_le(const void *p, unsigned size)
{
    switch (size) {
    case 1: return *(const u8 *)p;
    case 2: return ld_le16(p);
    case 4: return ld_le32(p);
    default: return ld_le64(p);
    }
}

static inline void st_le(void *p, u64 v, unsigned size)
{
    switch (size) {
    case 1: *(u8 *)p = (u8)v; break;
    case 2: st_le16(p, (u16)v); break;
    case 4: st_le32(p, (u32)v); break;
    default: st_le64(p, v); break;
    }
}

/*
 * Memory that other threads access too: the same, but one access of the full width where the address
 * is aligned (and on x86 hosts wherever it lies within a cache line), as SDM vol. 3A 8.1.1 promises
 * guests; and in the order of 8.2.2: a load is an acquire, a store a release. That is free on x86
 * hosts. Elsewhere a fence makes it so, since loads that acquire may not be misaligned there.
 */
#if defined(__x86_64__) || defined(__i386__)
#define MEM_LOAD __ATOMIC_ACQUIRE
#define MEM_STORE __ATOMIC_RELEASE
#define MEM_FENCE(order) ((void)0)
#else
#define MEM_LOAD __ATOMIC_RELAXED
#define MEM_STORE __ATOMIC_RELAXED
#define MEM_FENCE(order) __atomic_thread_fence(order)
#endif

static inline u64 mem_ld(const void *p, unsigned size)
{
    u64 v;
    switch (size) {
    case 1: v = __atomic_load_n((const u8 *)p, MEM_LOAD); break;
    case 2: v = LE16(__atomic_load_n((const u16 *)p, MEM_LOAD)); break;
    case 4: v = LE32(__atomic_load_n((const u32 *)p, MEM_LOAD)); break;
    default: v = LE64(__atomic_load_n((const u64 *)p, MEM_LOAD)); break;
    }
    MEM_FENCE(__ATOMIC_ACQUIRE);
    return v;
}

static inline void mem_st(void *p, u64 v, unsigned size)
{
    MEM_FENCE(__ATOMIC_RELEASE);
    switch (size) {
    case 1: __atomic_store_n((u8 *)p, (u8)v, MEM_STORE); break;
    case 2: __atomic_store_n((u16 *)p, LE16((u16)v), MEM_STORE); break;
    case 4: __atomic_store_n((u32 *)p, LE32((u32)v), MEM_STORE); break;
    default: __atomic_store_n((u64 *)p, LE64(v), MEM_STORE); break;
    }
}

/* Copies from such memory, and compares with it. */
static inline void mem_ld_bytes(void *to, const void *from, size_t n)
{
    u8 *out = to;
    const u8 *p = from;
    for (; n >= 8; n -= 8, out += 8, p += 8)
        st_le64(out, mem_ld(p, 8));
    for (; n; n--)
        *out++ = (u8)mem_ld(p++, 1);
}

static inline bool mem_differs(const void *shared, const void *bytes, size_t n)
{
    const u8 *p = shared, *q = bytes;
    for (; n >= 8; n -= 8, p += 8, q += 8)
        if (mem_ld(p, 8) != ld_le64(q))
            return true;
    for (; n; n--)
        if (mem_ld(p++, 1) != *q++)
            return true;
    return false;
}

/* All ones in the low `bits` bits; bits is 0 to 64. */
static inline u64 mask64(unsigned bits)
{
    return bits >= 64 ? ~0ull : (1ull << bits) - 1;
}

static inline u64 align_up(u64 v, u64 to)
{
    return (v + to - 1) & ~(to - 1);
}

static inline u64 sext(u64 v, unsigned bits)
{
    return (u64)((s64)(v << (64 - bits)) >> (64 - bits));
}
