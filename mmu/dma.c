/* dma.c: see dma.h. */
#include "mmu/dma.h"
#include "base/bits.h"

/* Bytes from gpa to the end of its page, at most len. */
static u64 chunk_len(gpa_t gpa, u64 len)
{
    u64 room = PAGE_SIZE - (gpa & ~PAGE_MASK);
    return len < room ? len : room;
}

bool dma_read(struct phys *p, gpa_t gpa, void *buf, u64 len)
{
    u8 *out = buf;
    while (len) {
        u64 n = chunk_len(gpa, len);
        const u8 *h = phys_host(p, gpa);
        if (!h) {
            memset(out, 0, len);
            return false;
        }
        memcpy(out, h, n);
        out += n;
        gpa += n;
        len -= n;
    }
    return true;
}

bool dma_write(struct phys *p, gpa_t gpa, const void *buf, u64 len)
{
    const u8 *in = buf;
    while (len) {
        u64 n = chunk_len(gpa, len);
        u8 *h = phys_host_w(p, gpa);
        if (!h)
            return false;
        memcpy(h, in, n);
        phys_wrote(p, gpa, n);
        in += n;
        gpa += n;
        len -= n;
    }
    return true;
}

bool dma_fill(struct phys *p, gpa_t gpa, u8 value, u64 len)
{
    while (len) {
        u64 n = chunk_len(gpa, len);
        u8 *h = phys_host_w(p, gpa);
        if (!h)
            return false;
        memset(h, value, n);
        phys_wrote(p, gpa, n);
        gpa += n;
        len -= n;
    }
    return true;
}

bool dma_exchange8(struct phys *p, gpa_t gpa, u8 value, u8 *old)
{
    u8 *h = phys_host_w(p, gpa);
    if (!h)
        return false;
    *old = __atomic_exchange_n(h, value, __ATOMIC_SEQ_CST);
    phys_wrote(p, gpa, 1);
    return true;
}

bool dma_or8(struct phys *p, gpa_t gpa, u8 bits, u8 *old)
{
    u8 *h = phys_host_w(p, gpa);
    if (!h)
        return false;
    *old = __atomic_fetch_or(h, bits, __ATOMIC_SEQ_CST);
    phys_wrote(p, gpa, 1);
    return true;
}

void dma_pieces_begin(struct dma_pieces *v, struct phys *p)
{
    v->phys = p;
    v->count = 0;
}

/* What is laid over RAM may be taken away while the transfer runs. */
bool dma_pieces_add(struct dma_pieces *v, gpa_t gpa, u64 len)
{
    for (u64 n; len; gpa += n, len -= n) {
        const struct page_desc *d = phys_page(v->phys, gpa);
        u8 *h = d && !d->overlay ? phys_host_w(v->phys, gpa) : NULL;
        struct iovec *last = v->count ? &v->host[v->count - 1] : NULL;
        n = chunk_len(gpa, len);
        if (!h)
            return false;
        if (last && h == (u8 *)last->iov_base + last->iov_len &&
            gpa == v->at[v->count - 1] + last->iov_len) {
            last->iov_len += n;
            continue;
        }
        if (v->count == DMA_PIECES_MAX)
            return false;
        v->at[v->count] = gpa;
        v->host[v->count++] = (struct iovec){h, n};
    }
    return true;
}

void dma_pieces_wrote(const struct dma_pieces *v)
{
    for (unsigned i = 0; i < v->count; i++)
        phys_wrote(v->phys, v->at[i], v->host[i].iov_len);
}

static u64 dma_read_le(struct phys *p, gpa_t gpa, unsigned size)
{
    u8 b[8] = {0};
    dma_read(p, gpa, b, size);
    return ld_le(b, size);
}

static void dma_write_le(struct phys *p, gpa_t gpa, u64 v, unsigned size)
{
    u8 b[8];
    st_le(b, v, size);
    dma_write(p, gpa, b, size);
}

u16 dma_read16(struct phys *p, gpa_t gpa)
{
    return (u16)dma_read_le(p, gpa, 2);
}
u32 dma_read32(struct phys *p, gpa_t gpa)
{
    return (u32)dma_read_le(p, gpa, 4);
}
u64 dma_read64(struct phys *p, gpa_t gpa)
{
    return dma_read_le(p, gpa, 8);
}
void dma_write16(struct phys *p, gpa_t gpa, u16 v)
{
    dma_write_le(p, gpa, v, 2);
}
void dma_write32(struct phys *p, gpa_t gpa, u32 v)
{
    dma_write_le(p, gpa, v, 4);
}
void dma_write64(struct phys *p, gpa_t gpa, u64 v)
{
    dma_write_le(p, gpa, v, 8);
}
