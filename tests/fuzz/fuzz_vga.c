/*
 * fuzz_vga.c: a guest that writes anything to the VGA's ports, window, memory and registers:
 * nothing outside its memory is touched, and any picture can be drawn and read as text.
 */
#include "base/bits.h"
#include "bios/video.h"
#include "devices/iobus.h"
#include "devices/vga.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#define RAM_BYTES (2 * MIB)
#define LFB 0xe0000000u
#define MMIO 0xe2000000u
#define DRAWS 4

struct machine {
    struct phys phys;
    struct clock clock;
    struct stats stats;
    struct dev_env env;
    struct vga *vga;
};

static void open_machine(struct machine *m)
{
    struct err e = {0};

    memset(m, 0, sizeof *m);
    BUG_ON(!phys_init(&m->phys, RAM_BYTES, &e));
    clock_init(&m->clock, CLOCK_ICOUNT);
    m->env = (struct dev_env){
        .phys = &m->phys, .io = iobus_create(), .clock = &m->clock, .stats = &m->stats};
    m->env.pci = (struct pci_bus *)(void *)dev_create(&pci_class, &m->env, NULL, &e);
    m->vga = (struct vga *)(void *)dev_create(&vga_class, &m->env, "vgamem_mb=1", &e);
    BUG_ON(!m->vga);
    pci_config_write(m->env.pci, m->vga->pci.devfn, PCI_BAR0, LFB, 4);
    pci_config_write(m->env.pci, m->vga->pci.devfn, PCI_BAR0 + 8, MMIO, 4);
    pci_config_write(m->env.pci, m->vga->pci.devfn, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
}

static void close_machine(struct machine *m)
{
    dev_destroy((struct dev *)m->vga);
    dev_destroy((struct dev *)m->env.pci);
    iobus_destroy(m->env.io);
    phys_destroy(&m->phys);
}

static void draw(struct machine *m, struct vga_screen *s)
{
    struct vga_text *t = malloc(sizeof *t);
    unsigned first, end;

    BUG_ON(!t);
    if (vga_screen_update(m->vga, s, &first, &end))
        BUG_ON(first >= end || end > s->height);
    if (vga_text_read(m->vga, t))
        BUG_ON(t->columns > VGA_TEXT_MAX_COLUMNS || t->rows > VGA_TEXT_MAX_ROWS);
    free(t);
}

/* Five bytes: what, where (two), a value (two). */
static void act(struct machine *m, const u8 *in)
{
    static const u16 ports[] = {0x3b4, 0x3c0, 0x3c2, 0x3c4, 0x3c8, 0x3ce, 0x3d4, 0x3da};
    unsigned where = ld_le16(in + 1), value = ld_le16(in + 3), size = 1u << (in[0] >> 4 & 3);

    switch (in[0] & 7) {
    case 0:
    case 1: iobus_write(m->env.io, ports[where & 7], value, 2); break;
    case 2:
        iobus_write(m->env.io, VBE_INDEX_PORT, where % (VBE_REGS + 1), 2);
        iobus_write(m->env.io, VBE_DATA_PORT, value, 2);
        break;
    case 3:
        phys_write(&m->phys, VGA_WINDOW_BASE + 2 * where, value * 0x1000100010001ull, size);
        break;
    case 4: phys_read(&m->phys, VGA_WINDOW_BASE + 2 * where, size); break;
    case 5: phys_write(&m->phys, MMIO + (where & 0x7ff), value, size); break;
    case 6: phys_write(&m->phys, LFB + 16 * where, value, size); break;
    default:
        iobus_read(m->env.io, (u16)(0x3b0 + where % 0x30), 1);
        clock_advance_to(&m->clock, clock_now_ns(&m->clock) + value * 100000);
        break;
    }
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct vga_screen s = {0};
    struct machine m;
    size_t each = size / DRAWS;

    open_machine(&m);
    if (size) /* most begin with a picture of some size */
        video_set_mode(m.env.io, &m.phys, data[0] & 0x1f, true);
    for (size_t i = size != 0; i + 5 <= size; i += 5) {
        act(&m, data + i);
        if (each && i / each != (i + 5) / each)
            draw(&m, &s);
    }
    vga_screen_free(&s);
    close_machine(&m);
    return 0;
}
