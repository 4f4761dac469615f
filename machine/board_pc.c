/* board_pc.c: see board_pc.h. */
#include "machine/board_pc.h"
#include "base/nearest.h"
#include "bios/layout.h"
#include "bios/video.h"
#include "cpu/model.h"
#include "machine/board_drives.h"
#include <stdlib.h>
#include <string.h>

/* Numbers of the sources of a shared ISA line. */
enum { INTR_LAPIC, INTR_PV };
enum { SOURCE_CHIP, SOURCE_HPET, SOURCE_PIIX3, SOURCE_SCI, SOURCE_TESTDEV };

/* ---- wires ----------------------------------------------------------------------------------- */

/*T:410 The wires
 *
 * The board is the only place that knows who is connected with whom. An interrupt line of the old
 * bus leads to two controllers at once, the pair of 8259s and the I/O APIC, and the guest decides
 * which of them it believes by masking the other. Line 0, the timer's, is the exception: it arrives
 * at pin 2.
 */
static void set_isa_line(void *opaque, unsigned n, bool level)
{
    struct board *b = opaque;
    pic_set_irq(b->pic, n, level);
    ioapic_set_pin(b->ioapic, n == 0 ? 2 : n, level);
}

static void set_cpu_intr(void *opaque, unsigned n, bool level)
{
    struct board *b = opaque;
    cpu_set_intr(b->cpu[n].cpu, level);
}

static void set_a20(void *opaque, unsigned n, bool level)
{
    struct board *b = opaque;
    (void)n;
    phys_set_a20(b->env.phys, level);
}

static void request_reset(void *opaque, unsigned n, bool level)
{
    struct board *b = opaque;
    (void)n;
    if (level) {
        b->requests.reset = true;
        b->attention(b->opaque);
    }
}

static void request_poweroff(void *opaque, unsigned n, bool level)
{
    struct board *b = opaque;
    (void)n;
    if (level) {
        b->requests.poweroff = true;
        b->attention(b->opaque);
    }
}

static void request_exit(void *opaque, unsigned n, bool level)
{
    struct board *b = opaque;
    (void)n;
    if (!level)
        return;
    for (const struct dev *d = b->devices; d; d = d->next)
        if (d->cls == &debugexit_class && ((const struct debugexit *)(const void *)d)->exit.level)
            b->requests.exit_value = ((const struct debugexit *)(const void *)d)->value;
    b->requests.exit = true;
    b->attention(b->opaque);
}

static void say(const struct board *b, const char *text)
{
    struct err e = {0};
    err_usage(&e, "%s", text);
    if (b->vm->report)
        b->vm->report(&e);
}

static void act(struct board *b, enum vm_action action)
{
    b->requests.reset |= action == VM_ACTION_RESET;
    b->requests.poweroff |= action == VM_ACTION_POWEROFF;
    b->requests.exit |= action == VM_ACTION_FAIL;
    b->requests.exit_value = 0;
    for (unsigned n = 0; action == VM_ACTION_NMI && n < b->cpus; n++)
        cpu_request(b->cpu[n].cpu, REQ_NMI);
    if (action == VM_ACTION_SHUTDOWN && !acpi_pm_power_button(b->acpi_pm))
        say(b, "the guest has no use for its power button");
    b->attention(b->opaque);
}

static void panicked(void *opaque, unsigned n, bool level)
{
    struct board *b = opaque;
    (void)n;
    if (!level)
        return;
    say(b, "the guest says that it panicked");
    act(b, b->vm->on_panic);
}

static void crash_loaded(void *opaque, unsigned n, bool level)
{
    const struct board *b = opaque;
    (void)n;
    if (level)
        say(b, "the guest says that it panicked, and that its crash kernel runs now");
}

static void watchdog_expired(void *opaque, unsigned n, bool level)
{
    struct board *b = opaque;
    (void)n;
    if (!level)
        return;
    say(b, "the watchdog expired: the guest did not feed it");
    act(b, b->vm->on_watchdog);
}

/* The slice that runs was cut for the deadline that was the first when it began. */
static void end_slice(void *opaque)
{
    struct board *b = opaque;
    b->attention(b->opaque);
}

static int ack_extint(struct board *b)
{
    return pic_has_intr(b->pic) ? pic_ack(b->pic) : -1;
}

static int ack_extint_of(void *opaque)
{
    struct board_cpu *c = opaque;
    return ack_extint(c->board);
}

static void cpu_nmi(void *opaque)
{
    struct board_cpu *c = opaque;
    cpu_request(c->cpu, REQ_NMI);
}

static void cpu_init(void *opaque)
{
    struct board_cpu *c = opaque;
    cpu_request_done(c->cpu, REQ_SIPI); /* of before */
    cpu_request(c->cpu, REQ_INIT);
}

static void cpu_sipi(void *opaque, u8 vector)
{
    struct board_cpu *c = opaque;
    if (cpu_requests(c->cpu) & REQ_SIPI)
        return;
    c->cpu->sipi_vector = vector;
    cpu_request(c->cpu, REQ_SIPI);
}

static unsigned accessing_cpu(void *opaque)
{
    const struct cpu *cpu = smp_current();
    (void)opaque;
    return cpu ? cpu->id : 0;
}

static bool ioapic_deliver(void *opaque, const struct apic_msg *msg)
{
    struct board *b = opaque;
    return apic_bus_send(&b->apic_bus, NULL, msg) > 0;
}

static void pci_msi(void *opaque, u32 address, u32 data)
{
    struct board *b = opaque;
    if (address >> 20 == 0xfee)
        apic_bus_msi(&b->apic_bus, address, data);
}

static u64 cpu_tsc_read(void *cpu)
{
    return cpu_tsc(cpu);
}

void board_pv_intr(struct board *b, unsigned cpu, bool level)
{
    irqline_set(&b->cpu_intr[cpu], INTR_PV, level);
}

int board_intr_ack(struct board *b, unsigned cpu)
{
    struct lapic *l = b->cpu[cpu].lapic;
    return l ? lapic_ack(l) : ack_extint(b);
}

/* ---- parts ----------------------------------------------------------------------------------- */

/* Creates a chip and puts it at the end of the list, so that resets go in order of creation. */
static void *add(struct board *b, const struct dev_class *cls, const char *props, struct err *e)
{
    struct dev *d = dev_create(cls, &b->env, props, e);
    if (!d)
        return NULL;
    struct dev **end = &b->devices;
    while (*end)
        end = &(*end)->next;
    *end = d;
    return d;
}

/* The 8259 reaches the first CPU only. */
static bool add_lapic(struct board *b, unsigned n, struct err *e)
{
    struct board_cpu *c = &b->cpu[n];
    const struct cpu_model *m = c->cpu->model;
    char props[64];
    snprintf(props, sizeof props, "id=%u,x2apic=%s,tsc-deadline=%s", n,
             model_has(m, CPUID_1_ECX, F1C_X2APIC) ? "on" : "off",
             model_has(m, CPUID_1_ECX, F1C_TSC_DEADLINE) ? "on" : "off");
    struct lapic *l = add(b, &lapic_class, props, e);
    if (!l)
        return false;
    c->lapic = l;
    apic_bus_add_cpu(&b->apic_bus, l);
    l->out = (struct lapic_out){.opaque = c, .nmi = cpu_nmi, .init = cpu_init, .sipi = cpu_sipi};
    l->access_exits = c->cpu->exits_only;
    l->tsc = (struct lapic_tsc){.opaque = c->cpu, .read = cpu_tsc_read, .khz = c->cpu->tsc_khz};
    irq_connect(&l->intr, irqline_set, &b->cpu_intr[n], INTR_LAPIC);
    return true;
}

static bool add_apics(struct board *b, struct err *e)
{
    const struct cpu_model *m = b->cpu[0].cpu->model;
    apic_bus_init(&b->apic_bus);
    b->ioapic = add(b, &ioapic_class, NULL, e);
    if (!b->ioapic)
        return false;
    apic_bus_add_ioapic(&b->apic_bus, b->ioapic);
    b->ioapic->deliver = ioapic_deliver;
    b->ioapic->opaque = b;
    if (!model_has(m, CPUID_1_EDX, F1D_APIC)) {
        irq_connect(&b->pic->intr, irqline_set, &b->cpu_intr[0], INTR_LAPIC);
        if (b->cpus == 1)
            return true;
        err_usage(e, "-smp %u: -cpu %s has no local APIC, without which there is one CPU", b->cpus,
                  m->name);
        return err_hint(e, "choose a later model: -cpu help lists them");
    }
    for (unsigned n = 0; n < b->cpus; n++)
        if (!add_lapic(b, n, e))
            return false;
    if (b->cpus > 1)
        b->apic_bus.current = accessing_cpu;
    b->cpu[0].lapic->out.extint_ack = ack_extint_of;
    irq_connect(&b->pic->intr, lapic_set_lint, b->cpu[0].lapic, 0);
    return true;
}

static bool add_chips(struct board *b, const struct board_config *c, struct err *e)
{
    char rtc_props[64];
    snprintf(rtc_props, sizeof rtc_props, "base=%llu", (unsigned long long)c->rtc_base);
    return (b->pit = add(b, &pit_class, NULL, e)) &&
           (b->speaker = add(b, &speaker_class, NULL, e)) && (b->rtc = add(b, &rtc_class, rtc_props, e)) &&
           (b->hpet = add(b, &hpet_class, NULL, e)) && (b->uart = add(b, &uart_class, NULL, e)) &&
           (b->ps2 = add(b, &ps2_class, NULL, e)) && (b->port92 = add(b, &port92_class, NULL, e)) &&
           (b->debugcon = add(b, &debugcon_class, NULL, e)) && add(b, &postcode_class, NULL, e) &&
           (b->fwcfg = add(b, &fwcfg_class, NULL, e));
}

/* SeaBIOS says there what it does. */
static bool add_bios_debug(struct board *b, struct chardev *chr, struct err *e)
{
    struct debugcon *c = chr ? add(b, &debugcon_class, "iobase=0x402", e) : NULL;
    if (c)
        debugcon_set_chardev(c, chr);
    return c || !chr;
}

static u32 floppy_dma(void *opaque, u8 *buf, u32 len, bool to_memory, bool *terminal)
{
    struct board *b = opaque;
    return i8237_move(b->i8237, 2, buf, len, to_memory, terminal);
}

static bool add_floppies(struct board *b, struct err *e)
{
    char props[256];
    board_drives_fdc_props(b, props, sizeof props);
    if (!(b->i8237 = add(b, &i8237_class, NULL, e)) || !(b->fdc = add(b, &fdc_class, props, e)))
        return false;
    b->fdc->dma = floppy_dma;
    b->fdc->dma_opaque = b;
    rtc_set_cmos(b->rtc, 0x10, (u8)(fdc_cmos_type(b->fdc, 0) << 4 | fdc_cmos_type(b->fdc, 1)));
    return true;
}

static bool add_pci(struct board *b, const struct board_config *c, struct err *e)
{
    char ide_props[256];
    board_drives_ide_props(b, ide_props, sizeof ide_props);
    b->pci = add(b, &pci_class, NULL, e);
    if (!b->pci)
        return false;
    b->env.pci = b->pci;
    b->pci->msi = pci_msi;
    b->pci->msi_opaque = b;
    return (b->i440fx = add(b, &i440fx_class, NULL, e)) &&
           (b->piix3 = add(b, &piix3_class, NULL, e)) &&
           (b->ide = add(b, &ide_class, ide_props, e)) &&
           (b->acpi_pm = add(b, &acpi_pm_class, NULL, e)) &&
           (c->vm->no_vga || (b->vga = add(b, &vga_class, NULL, e)));
}

static bool add_usb(struct board *b, struct err *e)
{
    b->uhci = add(b, &uhci_class, NULL, e);
    if (b->uhci)
        b->env.usb = &b->uhci->bus;
    return b->uhci;
}

static void wire(struct board *b)
{
    for (unsigned i = 0; i < ISA_LINES; i++)
        irq_connect(&b->isa[i].out, set_isa_line, b, i);
    speaker_connect(b->speaker, b->pit);
    irq_connect(&b->pit->irq0, irqline_set, &b->isa[0], SOURCE_CHIP);
    irq_connect(&b->hpet->legacy_irq[0], irqline_set, &b->isa[0], SOURCE_HPET);
    irq_connect(&b->ps2->irq1, irqline_set, &b->isa[1], SOURCE_CHIP);
    irq_connect(&b->uart->irq, irqline_set, &b->isa[4], SOURCE_CHIP);
    irq_connect(&b->fdc->irq, irqline_set, &b->isa[6], SOURCE_CHIP);
    irq_connect(&b->rtc->irq8, irqline_set, &b->isa[8], SOURCE_CHIP);
    irq_connect(&b->hpet->legacy_irq[1], irqline_set, &b->isa[8], SOURCE_HPET);
    irq_connect(&b->acpi_pm->sci, irqline_set, &b->isa[9], SOURCE_SCI);
    irq_connect(&b->ps2->irq12, irqline_set, &b->isa[12], SOURCE_CHIP);
    irq_connect(&b->ferr, irqline_set, &b->isa[13], SOURCE_CHIP);
    irq_connect(&b->ide->channel[0].irq, irqline_set, &b->isa[14], SOURCE_CHIP);
    irq_connect(&b->ide->channel[1].irq, irqline_set, &b->isa[15], SOURCE_CHIP);
    for (unsigned i = 0; i < ISA_LINES; i++)
        irq_connect(&b->piix3->irq[i], irqline_set, &b->isa[i], SOURCE_PIIX3);
    for (unsigned i = 0; i < ARRAY_SIZE(b->pci->link); i++)
        irq_connect(&b->pci->link[i], piix3_set_pirq, b->piix3, i);
    for (unsigned i = 0; i < HPET_ROUTES; i++)
        irq_connect(&b->hpet->route[i], ioapic_set_pin, b->ioapic, i);
}

/* Lines that are not interrupts. The HPET cuts PIT and RTC off their lines in legacy replacement.
 */
static void set_hpet_legacy(void *opaque, unsigned n, bool level)
{
    struct board *b = opaque;
    pit_set_legacy_disabled(b->pit, n, level);
    rtc_set_legacy_disabled(b->rtc, n, level);
}

static void wire_control(struct board *b)
{
    irq_connect(&b->hpet->legacy_on, set_hpet_legacy, b, 0);
    irq_connect(&b->a20.out, set_a20, b, 0);
    irq_connect(&b->port92->a20, irqline_set, &b->a20, 0);
    irq_connect(&b->ps2->a20, irqline_set, &b->a20, 1);
    irq_connect(&b->port92->reset, request_reset, b, 0);
    irq_connect(&b->ps2->reset, request_reset, b, 0);
    irq_connect(&b->i440fx->reset, request_reset, b, 0);
    irq_connect(&b->piix3->reset, request_reset, b, 0);
    irq_connect(&b->acpi_pm->poweroff, request_poweroff, b, 0);
}

static void wire_testdev(struct board *b, struct testdev *t)
{
    for (unsigned i = 0; i < TESTDEV_LINES; i++) {
        if (i < ISA_LINES)
            irq_connect(&t->line[i], irqline_set, &b->isa[i], SOURCE_TESTDEV);
        else
            irq_connect(&t->line[i], ioapic_set_pin, b->ioapic, i);
    }
}

static const struct dev_class *user_class(const char *arg, struct err *e)
{
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(arg, ","), arg);

    const struct dev_class *cls = dev_class_find(name);
    if (cls && cls->user_creatable)
        return cls;
    const char *names[64] = {0};
    unsigned count = 0;
    for (unsigned i = 0; dev_classes[i] && count + 1 < ARRAY_SIZE(names); i++)
        if (dev_classes[i]->user_creatable)
            names[count++] = dev_classes[i]->name;
    const char *near = nearest(name, names);
    err_usage(e, "-device %s: %s", name,
              cls ? "this device is part of the board" : "no such device");
    if (near)
        err_hint(e, "did you mean %s? -device help lists them", near);
    else
        err_hint(e, "-device help lists them");
    return NULL;
}

static bool check_id(const struct board *b, const struct dev *d, struct err *e)
{
    for (const struct dev *other = b->devices; other && d->id; other = other->next)
        if (other != d && other->id && !strcmp(other->id, d->id))
            return err_usage(e, "there are two devices of the name '%s'", d->id);
    return true;
}

/* -device CLASS[,prop=value...] */
static bool add_user_device(struct board *b, const struct dev_class *cls, const char *arg,
                            struct err *e)
{
    const char *comma = strchr(arg, ',');
    struct dev *d = add(b, cls, comma ? comma + 1 : NULL, e);
    if (!d || !check_id(b, d, e))
        return false;
    if (cls == &debugexit_class)
        irq_connect(&((struct debugexit *)(void *)d)->exit, request_exit, b, 0);
    if (cls == &pvpanic_class) {
        irq_connect(&((struct pvpanic *)(void *)d)->panicked, panicked, b, 0);
        irq_connect(&((struct pvpanic *)(void *)d)->crash_loaded, crash_loaded, b, 0);
    }
    if (cls == &i6300esb_class)
        irq_connect(&((struct i6300esb *)(void *)d)->expired, watchdog_expired, b, 0);
    if (cls == &virtio_serial_class) /* ports that follow are its */
        b->env.vserial = (struct virtio_serial *)(void *)d;
    if (cls == &testdev_class)
        wire_testdev(b, (struct testdev *)(void *)d);
    if (cls == &usb_tablet_class)
        b->tablet = (struct usb_tablet *)(void *)d;
    return cls != &ahci_class || board_drives_plug_ahci(b, (struct ahci *)(void *)d, e);
}

/* Drives come before the controllers that they hang on, all else comes last. */
static bool add_user_devices(struct board *b, const char *const *args, bool drives, struct err *e)
{
    for (unsigned i = 0; args && args[i]; i++) {
        const struct dev_class *cls = user_class(args[i], e);
        if (!cls || (drives == board_drives_is_disk(cls) && !add_user_device(b, cls, args[i], e)))
            return false;
    }
    return true;
}

bool board_create(struct board *b, const struct board_config *c, struct err *e)
{
    memset(b, 0, sizeof *b);
    b->cpus = c->cpus;
    b->vm = c->vm;
    for (unsigned n = 0; n < c->cpus; n++) {
        b->cpu[n] = (struct board_cpu){.board = b, .cpu = c->cpu[n]};
        irq_connect(&b->cpu_intr[n].out, set_cpu_intr, b, n);
    }
    b->attention = c->attention;
    b->opaque = c->opaque;
    b->env = (struct dev_env){.phys = c->phys,
                              .clock = c->clock,
                              .stats = &b->stats,
                              .drives = c->drives,
                              .nets = c->nets,
                              .audio = c->audio,
                              .resources = c->resources};
    c->clock->first_changed = end_slice;
    c->clock->first_changed_opaque = b;
    b->env.io = iobus_create();
    if (!b->env.io)
        return err_host(e, "out of memory for the I/O bus");
    if (!add_user_devices(b, c->vm->devices, true, e) || !board_drives_open(b, c->vm, e))
        return false;
    b->pic = add(b, &pic_class, NULL, e);
    if (!b->pic || !add_apics(b, e) || !add_chips(b, c, e) || !add_floppies(b, e) ||
        !add_pci(b, c, e) || (c->vm->usb && !add_usb(b, e)) ||
        !add_bios_debug(b, c->vm->bios_debug, e))
        return false;
    if (c->xen && !(b->xen_platform = add(b, &xen_platform_class, NULL, e)))
        return false;
    wire(b);
    wire_control(b);
    uart_set_chardev(b->uart, c->vm->serial);
    debugcon_set_chardev(b->debugcon, c->vm->debugcon);
    for (unsigned i = 0; i < b->virtio_count; i++) {
        char props[128];
        snprintf(props, sizeof props, "drive=%s", b->virtio_drives[i]);
        if (!add(b, &virtio_blk_class, props, e))
            return false;
    }
    return add_user_devices(b, c->vm->devices, false, e) && board_drives_check(b, e);
}

void board_destroy(struct board *b)
{
    /* Last made, first gone: functions leave the bus before the bus goes. */
    while (b->devices) {
        struct dev **last = &b->devices;
        while ((*last)->next)
            last = &(*last)->next;
        struct dev *d = *last;
        *last = NULL;
        dev_destroy(d);
    }
    if (b->env.io)
        iobus_destroy(b->env.io);
    if (b->env.clock)
        b->env.clock->first_changed = NULL;
    memset(b, 0, sizeof *b);
}

void board_reset(struct board *b)
{
    for (struct dev *d = b->devices; d; d = d->next)
        dev_reset(d);
    b->requests = (struct board_requests){0};
    for (unsigned n = 0; n < b->cpus; n++)
        if (b->cpu[n].lapic)
            b->cpu[n].cpu->apic_base = b->cpu[n].lapic->apic_base;
}

/* As a PC/AT BIOS leaves them: interrupts 0 to 7 at vector 08h, 8 to 15 at 70h, the timer ticking
 * 18.2 times a second and alone unmasked. bios/services.c has the handlers. */
static void setup_8259_and_8254(struct board *b)
{
    static const struct {
        u16 port;
        u8 value;
    } out[] = {
        {0x20, 0x11}, {0x21, 0x08}, {0x21, 0x04}, {0x21, 0x01}, {0x21, 0xfa}, /* master */
        {0xa0, 0x11}, {0xa1, 0x70}, {0xa1, 0x02}, {0xa1, 0x01}, {0xa1, 0xff}, /* slave */
        {0x43, 0x34}, {0x40, 0x00}, {0x40, 0x00}, /* channel 0, mode 2, count 65536 */
    };
    for (unsigned i = 0; i < ARRAY_SIZE(out); i++)
        iobus_write(b->env.io, out[i].port, out[i].value, 1);
}

/* A kernel that is loaded directly finds A20 on, interrupts as the real-mode services expect them,
 * the APIC in virtual wire mode and PCI set up. */
bool board_setup(struct board *b, struct err *e)
{
    static const u8 irqs[4] = {10, 11, 10, 11};
    struct pci_setup s = {.mem_base = PCI_HOLE_BASE,
                          .mem_end = LAYOUT_PCI_MEM_END + 1,
                          .io_base = 0xc000,
                          .io_end = 0x10000};
    iobus_write(b->env.io, 0x92, 2, 1);
    /* PAM: all is memory, but for a ROM that is there: it goes on running. */
    for (unsigned reg = b->i440fx->rom ? 0x5a : 0x59; reg <= 0x5f; reg++)
        pci_config_write(b->pci, PCI_DEVFN(0, 0), reg, 0x33, 1);
    setup_8259_and_8254(b);
    iobus_write(b->env.io, 0x4d1, 0x0e, 1); /* ELCR: IRQ 9, 10, 11 are level triggered */
    if (b->cpu[0].lapic)
        lapic_set_virtual_wire(b->cpu[0].lapic);
    for (unsigned i = 0; i < 4; i++) {
        piix3_route(b->piix3, i, irqs[i]);
        s.link_irq[i] = irqs[i];
    }
    if (b->vga)
        video_set_mode(b->env.io, b->env.phys, VIDEO_TEXT_MODE, false);
    return pci_setup_bus(b->pci, &s, e);
}
