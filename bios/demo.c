/* demo.c: boots the demo guest that the build embeds (bios/guest/, bios/demo_blob.S). */
#include "bios/loader.h"

#ifdef PARALLAX_DEMO_GUEST

extern const u8 demo_guest[], demo_guest_end[];

bool boot_load_demo(const struct boot_config *cfg, struct err *e)
{
    if (!(cfg->cpu->gates >> GATE_LM & 1)) {
        err_usage(e, "the demo guest needs a 64-bit CPU model");
        return err_hint(e, "choose another one with -cpu, e.g. x86-64-v2");
    }
    return boot_load_image(cfg, "demo guest", demo_guest, (u64)(demo_guest_end - demo_guest), e);
}

#else

bool boot_load_demo(const struct boot_config *cfg, struct err *e)
{
    (void)cfg;
    err_usage(e, "the demo guest is not built in: the build found no compiler for x86");
    return err_hint(e, "install gcc-x86-64-linux-gnu and build again, or name a -kernel");
}

#endif
