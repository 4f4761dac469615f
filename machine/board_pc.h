/*
 * board_pc.h: the PC board: which chips there are and how they are wired (i440FX with PIIX3, as
 * QEMU's "pc" machine).
 *
 *   ISA line n  -> 8259 input n and I/O APIC pin n (line 0: pin 2)
 *   8259 INT    -> LINT0 of the local APIC (or the CPU itself, on models without APIC)
 *   PIRQA-D     -> ISA lines by PIIX3's routing registers
 *   HPET        -> lines 0 and 8 in legacy replacement, I/O APIC pins else
 */
#pragma once

#include "cpu/smp.h"
#include "devices/acpi_pm.h"
#include "devices/ahci.h"
#include "devices/apicbus.h"
#include "devices/debugcon.h"
#include "devices/debugexit.h"
#include "devices/fdc.h"
#include "devices/fwcfg.h"
#include "devices/hpet.h"
#include "devices/i440fx.h"
#include "devices/i6300esb.h"
#include "devices/i8237.h"
#include "devices/ide.h"
#include "devices/ioapic.h"
#include "devices/iobus.h"
#include "devices/irqline.h"
#include "devices/lapic.h"
#include "devices/pci.h"
#include "devices/pic.h"
#include "devices/piix3.h"
#include "devices/pit.h"
#include "devices/port92.h"
#include "devices/postcode.h"
#include "devices/ps2.h"
#include "devices/pvpanic.h"
#include "devices/rtc.h"
#include "devices/speaker.h"
#include "devices/testdev.h"
#include "devices/uart.h"
#include "devices/uhci.h"
#include "devices/usb_tablet.h"
#include "devices/vga.h"
#include "devices/virtio_blk.h"
#include "devices/virtio_serial.h"
#include "devices/xen_platform.h"
#include "devices/xen_vif.h"

#define ISA_LINES 16

struct vm_config;

/* What the chips ask of the machine, latched until the run loop looks. */
struct board_requests {
    bool reset, poweroff, exit;
    u32 exit_value;
};

struct board_config {
    struct phys *phys;
    struct clock *clock;
    struct cpu *const *cpu; /* by number */
    unsigned cpus;
    u64 rtc_base; /* seconds since 1970; 0: the host's clock */
    bool xen;     /* with Xen's platform device */
    struct drives *drives;
    struct nets *nets;
    struct audio *audio;
    const struct resources *resources;
    const struct vm_config *vm; /* streams, drives, -device arguments */
    void (*attention)(void *opaque);
    void *opaque;
};

struct board {
    struct dev_env env;
    struct apic_bus apic_bus;
    struct board_cpu {
        struct board *board;
        struct cpu *cpu;
        struct lapic *lapic; /* NULL on models without one */
    } cpu[SMP_MAX];
    unsigned cpus;
    struct stats stats;  /* what devices count */
    struct dev *devices; /* all of them, by ->next */
    struct ioapic *ioapic;
    struct pic *pic;
    struct pit *pit;
    struct speaker *speaker;
    struct rtc *rtc;
    struct hpet *hpet;
    struct uart *uart;
    struct ps2 *ps2;
    struct port92 *port92;
    struct pci_bus *pci;
    struct i440fx *i440fx;
    struct piix3 *piix3;
    struct ide *ide;
    struct i8237 *i8237;
    struct fdc *fdc;
    struct acpi_pm *acpi_pm;
    struct debugcon *debugcon;
    struct vga *vga;           /* NULL: none */
    struct uhci *uhci;         /* the same */
    struct usb_tablet *tablet; /* the same; the last that was added */
    struct fwcfg *fwcfg;
    struct drive *ide_drives[IDE_DRIVES]; /* by place; NULL: none */
    struct drive *floppies[FDC_DRIVES];   /* the same */
    const char *virtio_drives[32]; /* names of drives that get a virtio-blk-pci of their own */
    unsigned virtio_count;
    const char *xen_drives[16]; /* names of drives that the personality presents */
    unsigned xen_count;
    struct xen_platform *xen_platform; /* NULL: none */
    struct irqline cpu_intr[SMP_MAX];  /* local APIC, personality */
    struct irqline isa[ISA_LINES];
    struct irqline a20;
    struct irq ferr; /* FERR# of the CPU, IRQ 13 */
    const struct vm_config *vm;
    struct board_requests requests;
    /* `requests` changed, or the first deadline did. */
    void (*attention)(void *opaque);
    void *opaque;
};

bool board_create(struct board *b, const struct board_config *c, struct err *e);
void board_destroy(struct board *b);
/* RESET# for all chips. */
void board_reset(struct board *b);
/* What firmware sets up before it starts a kernel, for one that is loaded without. */
bool board_setup(struct board *b, struct err *e);
/* The personality's interrupt of a CPU, beside that of its local APIC. */
void board_pv_intr(struct board *b, unsigned cpu, bool level);
/* Interrupt acknowledge of a CPU: vector, -1 for none. */
int board_intr_ack(struct board *b, unsigned cpu);
