/*
 * aml.c: the encodings of ACPI 6.5 section 20.2 (AML grammar) and 6.4 (resource data types).
 */
#include "bios/aml.h"

#include "base/bits.h"
#include "base/err.h"

#include <string.h>

enum {
    OP_ZERO = 0x00,
    OP_ONE = 0x01,
    OP_NAME = 0x08,
    OP_BYTE = 0x0a,
    OP_WORD = 0x0b,
    OP_DWORD = 0x0c,
    OP_STRING = 0x0d,
    OP_QWORD = 0x0e,
    OP_SCOPE = 0x10,
    OP_BUFFER = 0x11,
    OP_PACKAGE = 0x12,
    OP_METHOD = 0x14,
    OP_DUAL_NAME = 0x2e,
    OP_MULTI_NAME = 0x2f,
    OP_EXT = 0x5b,
    OP_STORE = 0x70,
    OP_AND = 0x7b,
    OP_OR = 0x7d,
    OP_CREATE_DWORD = 0x8a,
    OP_IF = 0xa0,
    OP_RETURN = 0xa4,
    EXT_REGION = 0x80,
    EXT_FIELD = 0x81,
    EXT_DEVICE = 0x82,
};

static void put(struct aml *a, const void *p, size_t len)
{
    if (len > a->cap - a->len) {
        a->overflow = true;
        return;
    }
    memcpy(a->buf + a->len, p, len);
    a->len += len;
}

static void put8(struct aml *a, u8 v)
{
    put(a, &v, 1);
}

static void put16(struct aml *a, u16 v)
{
    u8 b[2];
    st_le16(b, v);
    put(a, b, sizeof b);
}

static void put32(struct aml *a, u32 v)
{
    u8 b[4];
    st_le32(b, v);
    put(a, b, sizeof b);
}

/* ---- package lengths (20.2.4) --------------------------------------------------------------- */

/* A container's length stands before it and counts itself: aml_end makes room for it. */
static size_t begin(const struct aml *a)
{
    return a->len;
}

static unsigned encode_length(u8 out[4], size_t body)
{
    unsigned extra = body + 1 < 0x40 ? 0 : body + 2 < 0x1000 ? 1 : body + 3 < 0x100000 ? 2 : 3;
    size_t total = body + 1 + extra;
    if (extra == 0) {
        out[0] = (u8)total;
        return 1;
    }
    out[0] = (u8)(extra << 6 | (total & 0xf));
    for (unsigned i = 0; i < extra; i++)
        out[1 + i] = (u8)(total >> (4 + 8 * i));
    return extra + 1;
}

void aml_end(struct aml *a, size_t mark)
{
    u8 length[4];
    size_t body = a->len - mark;
    unsigned n = encode_length(length, body);
    if (a->overflow || n > a->cap - a->len) {
        a->overflow = true;
        return;
    }
    memmove(a->buf + mark + n, a->buf + mark, body);
    memcpy(a->buf + mark, length, n);
    a->len += n;
}

/* ---- names (20.2.2) ------------------------------------------------------------------------- */

static void name_seg(struct aml *a, const char *s, size_t len)
{
    char seg[4] = {'_', '_', '_', '_'};
    BUG_ON(len == 0 || len > 4);
    memcpy(seg, s, len);
    put(a, seg, 4);
}

void aml_name_string(struct aml *a, const char *name)
{
    u8 segs = 1;
    while (*name == '\\' || *name == '^')
        put8(a, (u8)*name++);
    for (const char *p = name; *p; p++)
        if (*p == '.')
            segs++;
    if (*name == '\0') {
        put8(a, 0); /* NullName: the root itself */
        return;
    }
    if (segs == 2) {
        put8(a, OP_DUAL_NAME);
    } else if (segs > 2) {
        put8(a, OP_MULTI_NAME);
        put8(a, segs);
    }
    for (;;) {
        size_t len = strcspn(name, ".");
        name_seg(a, name, len);
        if (name[len] == '\0')
            return;
        name += len + 1;
    }
}

void aml_name(struct aml *a, const char *name)
{
    put8(a, OP_NAME);
    aml_name_string(a, name);
}

/* ---- data (20.2.3) -------------------------------------------------------------------------- */

void aml_int(struct aml *a, u64 v)
{
    if (v <= 1) {
        put8(a, v ? OP_ONE : OP_ZERO);
    } else if (v <= 0xff) {
        put8(a, OP_BYTE);
        put8(a, (u8)v);
    } else if (v <= 0xffff) {
        put8(a, OP_WORD);
        put16(a, (u16)v);
    } else if (v <= 0xffffffff) {
        put8(a, OP_DWORD);
        put32(a, (u32)v);
    } else {
        put8(a, OP_QWORD);
        put32(a, (u32)v);
        put32(a, (u32)(v >> 32));
    }
}

void aml_string(struct aml *a, const char *s)
{
    put8(a, OP_STRING);
    put(a, s, strlen(s) + 1);
}

static u32 hex_digit(char c)
{
    return (u32)(c <= '9' ? c - '0' : c - 'A' + 10) & 0xf;
}

/* Three letters of 5 bits and four hex digits, most significant byte first (19.3.4, EISAID). */
void aml_eisaid(struct aml *a, const char *id)
{
    u32 v = 0;
    BUG_ON(strlen(id) != 7);
    for (unsigned i = 0; i < 3; i++)
        v = v << 5 | ((u32)id[i] & 0x1f);
    for (unsigned i = 3; i < 7; i++)
        v = v << 4 | hex_digit(id[i]);
    aml_int(a, __builtin_bswap32(v));
}

size_t aml_package(struct aml *a, u8 count)
{
    size_t mark;
    put8(a, OP_PACKAGE);
    mark = begin(a);
    put8(a, count);
    return mark;
}

/* ---- containers (20.2.5) -------------------------------------------------------------------- */

size_t aml_scope(struct aml *a, const char *name)
{
    size_t mark;
    put8(a, OP_SCOPE);
    mark = begin(a);
    aml_name_string(a, name);
    return mark;
}

size_t aml_device(struct aml *a, const char *name)
{
    size_t mark;
    put8(a, OP_EXT);
    put8(a, EXT_DEVICE);
    mark = begin(a);
    aml_name_string(a, name);
    return mark;
}

size_t aml_method(struct aml *a, const char *name, unsigned args, bool serialized)
{
    size_t mark;
    put8(a, OP_METHOD);
    mark = begin(a);
    aml_name_string(a, name);
    put8(a, (u8)(args | (u32)serialized << 3));
    return mark;
}

void aml_region(struct aml *a, const char *name, enum aml_space space, u64 offset, u64 len)
{
    put8(a, OP_EXT);
    put8(a, EXT_REGION);
    aml_name_string(a, name);
    put8(a, (u8)space);
    aml_int(a, offset);
    aml_int(a, len);
}

size_t aml_field(struct aml *a, const char *region)
{
    size_t mark;
    put8(a, OP_EXT);
    put8(a, EXT_FIELD);
    mark = begin(a);
    aml_name_string(a, region);
    put8(a, 0x01); /* ByteAcc, NoLock, Preserve */
    return mark;
}

void aml_field_unit(struct aml *a, const char *name, unsigned bits)
{
    u8 length[4];
    name_seg(a, name, strlen(name));
    /* Here the length counts bits, not itself: encode_length adds what is taken off. */
    BUG_ON(bits == 0 || bits >= 0x40);
    put(a, length, encode_length(length, bits - 1));
}

/* ---- statements (20.2.5.3, 20.2.5.4) -------------------------------------------------------- */

void aml_var(struct aml *a, u8 which)
{
    put8(a, which);
}

void aml_store(struct aml *a)
{
    put8(a, OP_STORE);
}

void aml_and(struct aml *a)
{
    put8(a, OP_AND);
}

void aml_or(struct aml *a)
{
    put8(a, OP_OR);
}

void aml_null(struct aml *a)
{
    put8(a, 0);
}

void aml_return(struct aml *a)
{
    put8(a, OP_RETURN);
}

size_t aml_if(struct aml *a)
{
    put8(a, OP_IF);
    return begin(a);
}

void aml_dword_field(struct aml *a)
{
    put8(a, OP_CREATE_DWORD);
}

void aml_dword_field_end(struct aml *a, u64 byte, const char *name)
{
    aml_int(a, byte);
    aml_name_string(a, name);
}

/* ---- resource templates (6.4) --------------------------------------------------------------- */

/* The buffer's size is a byte constant of which the value is filled in at the end. */
struct aml_crs aml_crs_begin(struct aml *a)
{
    struct aml_crs crs;
    put8(a, OP_BUFFER);
    crs.mark = begin(a);
    put8(a, OP_BYTE);
    put8(a, 0);
    crs.data = a->len;
    return crs;
}

void aml_crs_end(struct aml *a, struct aml_crs crs)
{
    put8(a, 0x79); /* end tag */
    put8(a, 0);    /* checksum 0: "treat as correct" */
    if (a->overflow)
        return;
    BUG_ON(a->len - crs.data > 0xff);
    a->buf[crs.data - 1] = (u8)(a->len - crs.data);
    aml_end(a, crs.mark);
}

void aml_crs_io(struct aml *a, u16 base, u8 len)
{
    put8(a, 0x47);
    put8(a, 1); /* decodes 16 bits */
    put16(a, base);
    put16(a, base);
    put8(a, 1); /* alignment */
    put8(a, len);
}

void aml_crs_irq(struct aml *a, unsigned irq)
{
    put8(a, 0x22); /* without flags: edge-triggered, active-high, exclusive */
    put16(a, (u16)(1u << irq));
}

void aml_crs_interrupt(struct aml *a, const u32 *gsi, u8 count)
{
    put8(a, 0x89);
    put16(a, (u16)(2 + 4 * count));
    put8(a, 0x09); /* consumer, level, active-high, shared */
    put8(a, count);
    for (unsigned i = 0; i < count; i++)
        put32(a, gsi[i]);
}

void aml_crs_memory32(struct aml *a, u32 base, u32 len)
{
    put8(a, 0x86);
    put16(a, 9);
    put8(a, 1); /* read-write */
    put32(a, base);
    put32(a, len);
}

#define RANGE_MEMORY 0
#define RANGE_IO 1
#define RANGE_BUS 2
#define RANGE_PRODUCER_FIXED 0x0c /* producer, positive decode, min and max fixed */

static void word_range(struct aml *a, u8 type, u8 flags, u16 first, u16 last)
{
    put8(a, 0x88);
    put16(a, 13);
    put8(a, type);
    put8(a, RANGE_PRODUCER_FIXED);
    put8(a, flags);
    put16(a, 0); /* granularity */
    put16(a, first);
    put16(a, last);
    put16(a, 0); /* translation */
    put16(a, (u16)(last - first + 1));
}

void aml_crs_bus_range(struct aml *a, u16 first, u16 last)
{
    word_range(a, RANGE_BUS, 0, first, last);
}

void aml_crs_io_range(struct aml *a, u16 first, u16 last)
{
    word_range(a, RANGE_IO, 3, first, last); /* ISA and non-ISA addresses */
}

void aml_crs_memory_range(struct aml *a, u32 first, u32 last, bool cacheable)
{
    put8(a, 0x87);
    put16(a, 23);
    put8(a, RANGE_MEMORY);
    put8(a, RANGE_PRODUCER_FIXED);
    put8(a, cacheable ? 0x03 : 0x01); /* read-write */
    put32(a, 0);
    put32(a, first);
    put32(a, last);
    put32(a, 0);
    put32(a, last - first + 1);
}
