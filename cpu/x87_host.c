/* x87_host.c: the guest's x87 in the host's. See x87_host.h. */
#include "cpu/x87_host.h"
#include "base/bits.h"

#if defined(__x86_64__)

/* SDM vol. 1 figure 8-9: the 32-bit protected-mode format of FNSAVE. */
struct image {
    u16 cw, ones0, sw, ones1, tw, ones2;
    u32 pointers[4];
    u8 st[8][10];
} __attribute__((packed));
_Static_assert(sizeof(struct image) == 108, "FNSAVE");

void x87_host_load(const struct x87 *x)
{
    struct image m = {.cw = x->cw, .sw = x->sw};
    unsigned tw = 0;
    for (unsigned i = 0; i < 8; i++) {
        struct f80 v = x->st[x87_phys(x, i)];
        st_le64(m.st[i], v.mant);
        st_le16(m.st[i] + 8, v.se);
        tw |= (x->empty >> i & 1 ? 3u : 0) << (2 * i); /* FRSTOR tells empty from not */
    }
    m.tw = (u16)tw;
    __asm__ volatile("frstor %0" : : "m"(m));
}

void x87_host_save(struct x87 *x)
{
    struct image m;
    __asm__ volatile("fnsave %0" : "=m"(m));
    x->cw = m.cw;
    x->sw = m.sw;
    x87_set_tag_word(x, m.tw);
    for (unsigned i = 0; i < 8; i++)
        x->st[x87_phys(x, i)] = (struct f80){ld_le64(m.st[i]), ld_le16(m.st[i] + 8)};
}

bool x87_host_function(struct x87 *x, unsigned modrm)
{
    if (!x87_host_can(x))
        return false;
    x87_host_load(x);
    switch (modrm) {
    case 0xf0: __asm__ volatile("f2xm1"); break;
    case 0xf1: __asm__ volatile("fyl2x"); break;
    case 0xf2: __asm__ volatile("fptan"); break;
    case 0xf3: __asm__ volatile("fpatan"); break;
    case 0xf9: __asm__ volatile("fyl2xp1"); break;
    case 0xfb: __asm__ volatile("fsincos"); break;
    case 0xfe: __asm__ volatile("fsin"); break;
    case 0xff: __asm__ volatile("fcos"); break;
    default: BUG_ON(true);
    }
    x87_host_save(x);
    return true;
}

#else

bool x87_host_function(struct x87 *x, unsigned modrm)
{
    (void)x, (void)modrm;
    return false;
}

#endif
