/* test_pci.c: configuration mechanism #1, regions, interrupt links, and the 440FX and PIIX3. */
#include "devices/i440fx.h"
#include "devices/piix3.h"
#include "tests/unit/board.h"

#include <unistd.h>

/* A function with one region of each kind and INTA#. */
struct toy {
    struct pci_func pci;
    u32 devfn;
    u64 mem_value;
    u32 io_value;
    u64 custom_base;
    bool custom_mapped;
};

static u64 toy_mem_read(void *opaque, u64 off, unsigned size)
{
    (void)size;
    return ((struct toy *)opaque)->mem_value + off;
}

static void toy_mem_write(void *opaque, u64 off, u64 value, unsigned size)
{
    (void)off;
    (void)size;
    ((struct toy *)opaque)->mem_value = value;
}

static u32 toy_io_read(void *opaque, u16 port, unsigned size)
{
    (void)port;
    (void)size;
    return ((struct toy *)opaque)->io_value;
}

static void toy_io_write(void *opaque, u16 port, u32 value, unsigned size)
{
    (void)port;
    (void)size;
    ((struct toy *)opaque)->io_value = value;
}

static void toy_map(struct pci_func *f, unsigned bar, u64 base, bool mapped)
{
    struct toy *t = (struct toy *)f;

    (void)bar;
    t->custom_base = base;
    t->custom_mapped = mapped;
}

static const struct mmio_ops toy_mem = {toy_mem_read, toy_mem_write};
static const struct io_ops toy_io = {.read = toy_io_read, .write = toy_io_write, .wide = true};

static bool toy_init(struct dev *d, struct err *e)
{
    static const struct pci_id id = {
        .vendor = 0x1234, .device = 0x5678, .class_code = 0xff00, .interrupt_pin = 1};
    struct toy *t = (struct toy *)d;

    if (!pci_func_init(&t->pci, (u8)t->devfn, &id, e))
        return false;
    pci_bar_mem(&t->pci, 0, 0x1000, 0, "toy mem", &toy_mem, t);
    pci_bar_io(&t->pci, 1, 0x20, "toy io", &toy_io);
    pci_bar_custom(&t->pci, 2, 0x100000, PCI_BAR_64 | PCI_BAR_PREFETCH, toy_map);
    return true;
}

static void toy_reset(struct dev *d)
{
    pci_func_reset((struct pci_func *)d);
}

static void toy_loaded(struct dev *d)
{
    pci_func_loaded((struct pci_func *)d);
}

static void toy_destroy(struct dev *d)
{
    pci_func_destroy((struct pci_func *)d);
}

static const struct dev_prop toy_props[] = {
    {"devfn", PROP_U32, offsetof(struct toy, devfn), 0x18, 0, 0xff, "address"},
    DEV_PROP_END,
};
static const struct dev_field toy_fields[] = {PCI_FUNC_FIELDS(struct toy), DEV_FIELD_END};
static const struct dev_class toy_class = {.name = "toy",
                                           .doc = "a PCI function",
                                           .size = sizeof(struct toy),
                                           .props = toy_props,
                                           .fields = toy_fields,
                                           .init = toy_init,
                                           .reset = toy_reset,
                                           .loaded = toy_loaded,
                                           .destroy = toy_destroy};

static struct board b;
static struct pci_bus *bus;
static struct i440fx *north;
static struct piix3 *south;
static struct toy *toy;
static struct probe irqs[16];

static void setup(void)
{
    board_init(&b);
    b.env.pci = bus = board_add(&b, &pci_class, NULL);
    north = board_add(&b, &i440fx_class, NULL);
    south = board_add(&b, &piix3_class, NULL);
    toy = board_add(&b, &toy_class, NULL);
    memset(irqs, 0, sizeof irqs);
    for (unsigned i = 0; i < 4; i++)
        irq_connect(&bus->link[i], piix3_set_pirq, south, i);
    for (unsigned i = 0; i < 16; i++)
        irq_connect(&south->irq[i], probe_set, &irqs[i], i);
}

static void teardown(void)
{
    dev_destroy(&toy->pci.dev);
    dev_destroy(&south->pci.dev);
    dev_destroy(&north->pci.dev);
    dev_destroy(&bus->dev);
    board_destroy(&b);
}

static void select_reg(unsigned slot, unsigned function, unsigned reg)
{
    iobus_write(b.env.io, 0xcf8, 0x80000000u | slot << 11 | function << 8 | (reg & 0xfc), 4);
}

static u32 config(unsigned slot, unsigned reg, unsigned size)
{
    select_reg(slot, 0, reg);
    return iobus_read(b.env.io, (u16)(0xcfc + (reg & 3)), size);
}

static void set_config(unsigned slot, unsigned reg, u32 value, unsigned size)
{
    select_reg(slot, 0, reg);
    iobus_write(b.env.io, (u16)(0xcfc + (reg & 3)), value, size);
}

START_TEST(mechanism_1_is_detected_as_kernels_do_it)
{
    iobus_write(b.env.io, 0xcf8, 0x80000000, 4);
    ck_assert_uint_eq(iobus_read(b.env.io, 0xcf8, 4), 0x80000000);
    iobus_write(b.env.io, 0xcf8, 0xffffffff, 4);
    ck_assert_uint_eq(iobus_read(b.env.io, 0xcf8, 4), 0x80fffffc);
    out8(&b, 0xcfb, 0x01);
    ck_assert_uint_eq(iobus_read(b.env.io, 0xcf8, 4), 0x80fffffc);
}
END_TEST

START_TEST(the_chip_set_identifies)
{
    ck_assert_uint_eq(config(0, 0, 4), 0x12378086);
    ck_assert_uint_eq(config(0, 8, 4), 0x06000002);
    ck_assert_uint_eq(config(0, PCI_COMMAND, 2), 0x0006);
    ck_assert_uint_eq(config(1, 0, 4), 0x70008086);
    ck_assert_uint_eq(config(1, 8, 4) >> 16, 0x0601);
    ck_assert_uint_eq(config(1, PCI_HEADER_TYPE, 1), 0x80);
    ck_assert_uint_eq(config(1, PCI_COMMAND, 2), 0x0007);
}
END_TEST

START_TEST(nobody_reads_as_ones)
{
    ck_assert_uint_eq(config(9, 0, 4), 0xffffffff);
    ck_assert_uint_eq(config(9, 0, 2), 0xffff);
    iobus_write(b.env.io, 0xcf8, 0x80010000, 4); /* bus 1 */
    ck_assert_uint_eq(iobus_read(b.env.io, 0xcfc, 4), 0xffffffff);
    iobus_write(b.env.io, 0xcf8, 0x00000000, 4); /* not enabled */
    ck_assert_uint_eq(iobus_read(b.env.io, 0xcfc, 4), 0xffffffff);
}
END_TEST

START_TEST(bytes_and_words_of_registers_are_reached)
{
    ck_assert_uint_eq(config(3, 0, 1), 0x34);
    ck_assert_uint_eq(config(3, 1, 1), 0x12);
    ck_assert_uint_eq(config(3, 2, 2), 0x5678);
    set_config(3, PCI_INTERRUPT_LINE, 0x0b, 1);
    ck_assert_uint_eq(config(3, 0x3c, 4), 0x010b);
    set_config(3, 0, 0xffffffff, 4);
    ck_assert_uint_eq(config(3, 0, 4), 0x56781234);
}
END_TEST

START_TEST(regions_tell_their_size)
{
    set_config(3, 0x10, 0xffffffff, 4);
    ck_assert_uint_eq(config(3, 0x10, 4), 0xfffff000);
    set_config(3, 0x14, 0xffffffff, 4);
    ck_assert_uint_eq(config(3, 0x14, 4), 0xffffffe1);
    set_config(3, 0x18, 0xffffffff, 4);
    set_config(3, 0x1c, 0xffffffff, 4);
    ck_assert_uint_eq(config(3, 0x18, 4), 0xfff0000c);
    ck_assert_uint_eq(config(3, 0x1c, 4), 0xffffffff);
    set_config(3, 0x20, 0xffffffff, 4);
    ck_assert_uint_eq(config(3, 0x20, 4), 0);
}
END_TEST

START_TEST(memory_regions_appear_move_and_vanish)
{
    set_config(3, 0x10, 0xe0000000, 4);
    toy->mem_value = 0x1000;
    ck_assert_uint_eq(phys_read(&b.phys, 0xe0000010, 4), 0xffffffff);
    set_config(3, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
    ck_assert_uint_eq(phys_read(&b.phys, 0xe0000010, 4), 0x1010);
    set_config(3, 0x10, 0xe1000000, 4);
    ck_assert_uint_eq(phys_read(&b.phys, 0xe0000010, 4), 0xffffffff);
    phys_write(&b.phys, 0xe1000000, 0x77, 4);
    ck_assert_uint_eq(toy->mem_value, 0x77);
    set_config(3, PCI_COMMAND, 0, 2);
    ck_assert_uint_eq(phys_read(&b.phys, 0xe1000000, 4), 0xffffffff);
}
END_TEST

START_TEST(memory_regions_never_hide_ram)
{
    phys_write(&b.phys, 0x100000, 0x12345678, 4);
    set_config(3, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
    set_config(3, 0x10, 0x100000, 4);
    ck_assert_uint_eq(phys_read(&b.phys, 0x100000, 4), 0x12345678);
    set_config(3, 0x10, 0x200000, 4); /* just above the board's 2 MiB */
    toy->mem_value = 5;
    ck_assert_uint_eq(phys_read(&b.phys, 0x200000, 4), 5);
}
END_TEST

START_TEST(io_regions_appear_move_and_vanish)
{
    toy->io_value = 0xabcd;
    set_config(3, PCI_COMMAND, PCI_COMMAND_IO, 2);
    ck_assert_uint_eq(iobus_read(b.env.io, 0xc000, 2), 0xffff);
    set_config(3, 0x14, 0xc000, 4);
    ck_assert_uint_eq(iobus_read(b.env.io, 0xc000, 2), 0xabcd);
    set_config(3, 0x14, 0xc100, 4);
    ck_assert_uint_eq(iobus_read(b.env.io, 0xc000, 2), 0xffff);
    ck_assert_uint_eq(iobus_read(b.env.io, 0xc11e, 2), 0xabcd);
    set_config(3, 0x14, 0xffffffff, 4);
    ck_assert_uint_eq(iobus_read(b.env.io, 0xffe0, 2), 0xffff);
    set_config(3, 0x14, 0xc100, 4);
    dev_reset(&toy->pci.dev);
    ck_assert_uint_eq(iobus_read(b.env.io, 0xc100, 2), 0xffff);
}
END_TEST

START_TEST(an_unplugged_function_is_gone_until_reset)
{
    toy->io_value = 0xabcd;
    set_config(3, PCI_COMMAND, PCI_COMMAND_IO, 2);
    set_config(3, 0x14, 0xc000, 4);
    pci_func_unplug(&toy->pci);
    ck_assert_uint_eq(config(3, 0, 4), 0xffffffff);
    ck_assert_uint_eq(iobus_read(b.env.io, 0xc000, 2), 0xffff);
    set_config(3, PCI_COMMAND, PCI_COMMAND_IO, 2); /* nobody hears */
    dev_reset(&toy->pci.dev);
    ck_assert_uint_eq(config(3, 0, 4), 0x56781234);
    ck_assert_uint_eq(config(3, PCI_COMMAND, 2), 0);
}
END_TEST

START_TEST(regions_of_64_bits_call_their_owner)
{
    set_config(3, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
    set_config(3, 0x18, 0x00300000, 4);
    ck_assert(toy->custom_mapped);
    set_config(3, 0x1c, 0x00000004, 4);
    ck_assert(toy->custom_mapped);
    ck_assert_uint_eq(toy->custom_base, 0x400300000);
    set_config(3, 0x18, 0xffffffff, 4);
    set_config(3, 0x1c, 0xffffffff, 4);
    ck_assert(!toy->custom_mapped);
}
END_TEST

START_TEST(interrupts_follow_the_routing_registers)
{
    /* Slot 3, INTA#: link 2. */
    ck_assert_uint_eq(pci_link_of(PCI_DEVFN(3, 0), 1), 2);
    pci_set_intx(&toy->pci, true);
    for (unsigned i = 0; i < 16; i++)
        ck_assert(!irqs[i].level);
    set_config(1, 0x62, 11, 1);
    ck_assert(irqs[11].level);
    ck_assert_uint_eq(config(3, PCI_STATUS, 2) & PCI_STATUS_INTX, PCI_STATUS_INTX);
    set_config(1, 0x62, 10, 1);
    ck_assert(!irqs[11].level);
    ck_assert(irqs[10].level);
    set_config(3, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE, 2);
    ck_assert(!irqs[10].level);
    set_config(3, PCI_COMMAND, 0, 2);
    ck_assert(irqs[10].level);
    set_config(1, 0x62, 8, 1); /* the RTC's interrupt cannot be routed to */
    ck_assert(!irqs[8].level);
    set_config(1, 0x62, 0x80, 1);
    ck_assert(!irqs[10].level);
}
END_TEST

START_TEST(shared_interrupts_are_ored)
{
    struct toy *other = board_add(&b, &toy_class, "devfn=0x38"); /* slot 7: link 2 too */

    piix3_route(south, 2, 11);
    pci_set_intx(&toy->pci, true);
    pci_set_intx(&other->pci, true);
    pci_set_intx(&toy->pci, false);
    ck_assert(irqs[11].level);
    pci_set_intx(&other->pci, false);
    ck_assert(!irqs[11].level);
    dev_destroy(&other->pci.dev);
}
END_TEST

START_TEST(an_address_is_given_once)
{
    struct err e = {0};

    ck_assert_ptr_null(dev_create(&toy_class, &b.env, NULL, &e));
    ck_assert_ptr_nonnull(strstr(e.msg, "03.0 is taken by toy"));
    ck_assert_int_eq(pci_free_devfn(bus), PCI_DEVFN(2, 0));
    b.env.pci = NULL;
    ck_assert_ptr_null(dev_create(&toy_class, &b.env, NULL, &e));
    ck_assert_ptr_nonnull(strstr(e.msg, "needs a PCI bus"));
    b.env.pci = bus;
}
END_TEST

START_TEST(setup_places_every_region_and_interrupt)
{
    const struct pci_setup s = {.mem_base = 0xc0000000,
                                .mem_end = 0xfec00000,
                                .io_base = 0xc000,
                                .io_end = 0xffff,
                                .link_irq = {10, 11, 5, 10}};
    struct err e = {0};

    ck_assert_msg(pci_setup_bus(bus, &s, &e), "%s", e.msg);
    toy->mem_value = 9;
    toy->io_value = 8;
    ck_assert_uint_eq(phys_read(&b.phys, config(3, 0x10, 4) & ~15u, 4), 9);
    ck_assert_uint_eq(iobus_read(b.env.io, (u16)(config(3, 0x14, 4) & ~3u), 4), 8);
    ck_assert(toy->custom_mapped);
    ck_assert_uint_eq(toy->custom_base % 0x100000, 0);
    ck_assert_uint_eq(config(3, PCI_INTERRUPT_LINE, 1), 5);
    ck_assert_uint_eq(config(0, PCI_COMMAND, 2), 0x0006);
}
END_TEST

START_TEST(setup_says_when_there_is_no_room)
{
    const struct pci_setup s = {
        .mem_base = 0xc0000000, .mem_end = 0xc0001000, .io_base = 0xc000, .io_end = 0xffff};
    struct err e = {0};

    ck_assert(!pci_setup_bus(bus, &s, &e));
    ck_assert_ptr_nonnull(strstr(e.msg, "03.0"));
}
END_TEST

START_TEST(a_loaded_state_maps_regions_and_keeps_identity)
{
    u8 state[1024];
    size_t len;
    struct err e = {0};

    set_config(3, 0x14, 0xc000, 4);
    set_config(3, PCI_COMMAND, PCI_COMMAND_IO, 2);
    pci_set_intx(&toy->pci, true);
    toy->pci.config[0] = 0x99;
    len = dev_save(&toy->pci.dev, state, sizeof state);
    ck_assert_uint_le(len, sizeof state);
    dev_reset(&toy->pci.dev);
    piix3_route(south, 2, 11);
    toy->io_value = 3;
    ck_assert_msg(dev_load(&toy->pci.dev, state, len, &e), "%s", e.msg);
    ck_assert_uint_eq(iobus_read(b.env.io, 0xc000, 4), 3);
    ck_assert(irqs[11].level);
}
END_TEST

START_TEST(reset_control_pulses_on_the_rise_of_rcpu)
{
    struct probe reset = {0};

    irq_connect(&south->reset, probe_set, &reset, 0);
    out8(&b, 0xcf9, 0x02);
    ck_assert_uint_eq(reset.rises, 0);
    out8(&b, 0xcf9, 0x06);
    out8(&b, 0xcf9, 0x06);
    ck_assert_uint_eq(reset.rises, 1);
    ck_assert_uint_eq(in8(&b, 0xcf9), 0x06);
}
END_TEST

START_TEST(the_host_bridge_stores_pam_and_resets_by_trc)
{
    struct probe reset = {0};

    irq_connect(&north->reset, probe_set, &reset, 0);
    set_config(0, 0x59, 0x33, 1);
    ck_assert_uint_eq(config(0, 0x59, 1), 0x33);
    set_config(0, 0x93, 0x06, 1);
    ck_assert_uint_eq(reset.rises, 1);
}
END_TEST

/* Makes a file of `len` bytes that begin with `first`. */
static void make_file(char *path, const char *first, size_t len)
{
    FILE *f;

    strcpy(path, "/tmp/parallax-rom-XXXXXX");
    f = fdopen(mkstemp(path), "w");
    ck_assert_ptr_nonnull(f);
    fputs(first, f);
    for (size_t i = strlen(first); i < len; i++)
        fputc((int)(i & 0xff), f);
    fclose(f);
}

START_TEST(the_expansion_rom_is_seen_while_it_and_memory_are_enabled)
{
    const u64 at = 0xe0000000;
    char path[32];
    struct err e = {0};

    make_file(path, "\x55\xaa", 5000);
    ck_assert_msg(pci_load_rom(&toy->pci, path, &e), "%s", e.msg);
    unlink(path);
    set_config(3, PCI_ROM, 0xfffffffe, 4);
    ck_assert_uint_eq(config(3, PCI_ROM, 4), 0xffffe000); /* 8 KiB */
    set_config(3, PCI_ROM, (u32)at, 4);
    set_config(3, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
    ck_assert_uint_eq(phys_read(&b.phys, at, 2), 0xffff);
    set_config(3, PCI_ROM, (u32)at | 1, 4);
    ck_assert_uint_eq(phys_read(&b.phys, at, 2), 0xaa55);
    ck_assert_uint_eq(phys_read(&b.phys, at + 0x1305, 1), 0x05);
    ck_assert_uint_eq(phys_read(&b.phys, at + 5000, 1), 0xff);
    phys_write(&b.phys, at, 0, 2);
    ck_assert_uint_eq(phys_read(&b.phys, at, 2), 0xaa55);
    set_config(3, PCI_COMMAND, 0, 2);
    ck_assert_uint_eq(phys_read(&b.phys, at, 2), 0xffff);
}
END_TEST

START_TEST(what_is_no_expansion_rom_is_refused)
{
    char path[32];
    struct err e = {0};

    make_file(path, "MZ", 100);
    ck_assert(!pci_load_rom(&toy->pci, path, &e));
    unlink(path);
    ck_assert_int_eq(e.exit_code, EXIT_USAGE);
    ck_assert_ptr_null(toy->pci.rom);
    ck_assert(!pci_load_rom(&toy->pci, path, &e));
    ck_assert_int_eq(e.exit_code, EXIT_HOST);
    ck_assert_uint_eq(config(3, PCI_ROM, 4), 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        mechanism_1_is_detected_as_kernels_do_it,
        the_chip_set_identifies,
        nobody_reads_as_ones,
        bytes_and_words_of_registers_are_reached,
        regions_tell_their_size,
        memory_regions_appear_move_and_vanish,
        memory_regions_never_hide_ram,
        io_regions_appear_move_and_vanish,
        an_unplugged_function_is_gone_until_reset,
        regions_of_64_bits_call_their_owner,
        interrupts_follow_the_routing_registers,
        shared_interrupts_are_ored,
        an_address_is_given_once,
        setup_places_every_region_and_interrupt,
        setup_says_when_there_is_no_room,
        a_loaded_state_maps_regions_and_keeps_identity,
        reset_control_pulses_on_the_rise_of_rcpu,
        the_host_bridge_stores_pam_and_resets_by_trc,
        the_expansion_rom_is_seen_while_it_and_memory_are_enabled,
        what_is_no_expansion_rom_is_refused,
        NULL,
    };

    return run_tests("pci", tests, setup, teardown);
}
