/*
 * pci.h: PCI bus 0: configuration mechanism #1 (CF8h, CFCh), functions with their configuration
 * space and regions, and the four interrupt links.
 *
 * A function is a device whose struct begins with struct pci_func, whose field table has
 * PCI_FUNC_FIELDS, and which calls pci_func_init in init, pci_func_reset in reset, pci_func_loaded
 * in loaded and pci_func_destroy in destroy.
 */
#pragma once

#include "devices/device.h"
#include "devices/iobus.h"

#define PCI_VENDOR_ID 0x00
#define PCI_DEVICE_ID 0x02
#define PCI_COMMAND 0x04
#define PCI_COMMAND_IO BIT(0)
#define PCI_COMMAND_MEMORY BIT(1)
#define PCI_COMMAND_MASTER BIT(2)
#define PCI_COMMAND_INTX_DISABLE BIT(10)
#define PCI_STATUS 0x06
#define PCI_STATUS_INTX BIT(3)
#define PCI_REVISION_ID 0x08
#define PCI_CLASS_PROG 0x09
#define PCI_CLASS_DEVICE 0x0a
#define PCI_CACHE_LINE_SIZE 0x0c
#define PCI_HEADER_TYPE 0x0e
#define PCI_HEADER_MULTIFUNCTION 0x80u
#define PCI_BAR0 0x10
#define PCI_BAR_IO BIT(0)
#define PCI_BAR_64 BIT(2)
#define PCI_BAR_PREFETCH BIT(3)
#define PCI_SUBSYSTEM_VENDOR_ID 0x2c
#define PCI_SUBSYSTEM_ID 0x2e
#define PCI_ROM 0x30
#define PCI_INTERRUPT_LINE 0x3c
#define PCI_INTERRUPT_PIN 0x3d

#define PCI_DEVFN(slot, function) ((u8)((slot) << 3 | (function)))
#define PCI_BARS 7u /* 0 to 5 and the expansion ROM */
#define PCI_BAR_ROM 6u

struct pci_func;

/* A region. Its handler moves: map is called when it appears, moves or vanishes. */
struct pci_bar {
    u64 size; /* power of two; 0: none */
    u8 type;  /* PCI_BAR_IO, PCI_BAR_64, PCI_BAR_PREFETCH */
    bool mapped;
    u64 base; /* where it is while mapped */
    void (*map)(struct pci_func *f, unsigned bar, u64 base, bool mapped);
    const struct io_ops *io; /* set up by pci_bar_io */
    struct region *mem;      /* set up by pci_bar_mem, pci_bar_ram */
    const char *name;
    void *opaque;
};

struct pci_func {
    struct dev dev;
    struct pci_bus *bus;
    u8 devfn;
    bool intx; /* the function asserts its interrupt pin */
    bool unplugged; /* not there until the next reset */
    unsigned caps_end; /* where the next capability goes; 0: there is none yet */
    char *romfile;     /* properties of PCI_ROM_PROPS */
    u32 bootindex;
    u8 *rom; /* what the expansion ROM's region shows; NULL: there is none */
    u8 config[256];
    u8 writable[256];  /* bits that software may write */
    u8 clearable[256]; /* status bits that writing 1 clears */
    u8 fixed[256];     /* what the other bits always are */
    struct pci_bar bar[PCI_BARS];
    /* called after software wrote len bytes at off; may be NULL */
    void (*config_written)(struct pci_func *f, unsigned off, unsigned len);
};

struct pci_bus {
    struct dev dev;
    struct irq link[4]; /* PIRQA# to PIRQD#, level true = asserted */
    u32 address;        /* CF8h */
    struct pci_func *func[256];
    /* A message signalled interrupt: a write to FEEx_xxxxh. Set by the board; may be NULL. */
    void (*msi)(void *opaque, u32 address, u32 data);
    void *msi_opaque;
};

struct pci_id {
    u16 vendor, device;
    u8 revision;
    u16 class_code; /* base class << 8 | sub-class */
    u8 prog_if;
    u8 header_type;
    u8 interrupt_pin; /* 0: none, 1: INTA# ... */
};

extern const struct dev_class pci_class;

/* Plugs the function into env->pci at devfn (refused when taken, or without a bus). */
bool pci_func_init(struct pci_func *f, u8 devfn, const struct pci_id *id, struct err *e);
void pci_func_destroy(struct pci_func *f);
/* Command, BARs and interrupt line as after RST#; regions vanish, the pin is released. What else
 * the function has in its configuration space it sets itself, before or after. */
void pci_func_reset(struct pci_func *f);
void pci_func_loaded(struct pci_func *f);
/* Resets the function, and takes it off the bus until it is reset again. */
void pci_func_unplug(struct pci_func *f);
/* First free slot's function 0 from 00:02.0 on, as devfn; -1 when the bus is full. */
int pci_free_devfn(const struct pci_bus *b);

/* Regions, in init. A memory region is at least a page and handled by mmio_ops; `map` is for
 * functions that do something else. */
void pci_bar_io(struct pci_func *f, unsigned bar, u64 size, const char *name,
                const struct io_ops *ops);
void pci_bar_mem(struct pci_func *f, unsigned bar, u64 size, u8 type, const char *name,
                 const struct mmio_ops *ops, void *opaque);
/* The region is the function's own memory: `size` bytes at `host`, which outlive the function. */
void pci_bar_ram(struct pci_func *f, unsigned bar, u64 size, u8 type, const char *name, u8 *host);
void pci_bar_custom(struct pci_func *f, unsigned bar, u64 size, u8 type,
                    void (*map)(struct pci_func *, unsigned, u64, bool));

/* Properties of a function that may have an expansion ROM. pci_func_init reads `romfile`; a machine
 * that is to boot from the function may give it another file after that, if the user has named
 * none. */
#define PCI_ROM_PROPS(type, func)                                                                  \
    {"romfile", PROP_STRING, offsetof(type, func.romfile), 0, 0, 0, "file of the expansion ROM"},  \
    {                                                                                              \
        "bootindex", PROP_U32, offsetof(type, func.bootindex), DEV_NO_BOOTINDEX, 0, 0x7fffffff,    \
            "place in the order of boot"                                                           \
    }
bool pci_load_rom(struct pci_func *f, const char *path, struct err *e);

/* The function's interrupt pin; shared links are ORed by the bus. */
void pci_set_intx(struct pci_func *f, bool level);
/* The link (0 to 3) that a pin (1 to 4) of a function reaches: as PC boards wire PIIX slots. */
unsigned pci_link_of(u8 devfn, unsigned pin);

u32 pci_config_read(struct pci_bus *b, u8 devfn, unsigned off, unsigned size);
void pci_config_write(struct pci_bus *b, u8 devfn, unsigned off, u32 value, unsigned size);

/* What firmware does with the bus, for kernels that start without any: gives every region an
 * address and every function with a pin the interrupt of its link, and turns decoding on. */
struct pci_setup {
    u64 mem_base, mem_end; /* end is exclusive */
    u32 io_base, io_end;
    u8 link_irq[4]; /* ISA interrupt of each link */
};
bool pci_setup_bus(struct pci_bus *b, const struct pci_setup *s, struct err *e);

#define PCI_FUNC_FIELDS(type)                                                                      \
    DEV_FIELD(type, pci.intx, 0, 1, "interrupt pin asserted"),                                     \
        DEV_FIELD(type, pci.unplugged, 0, 1, "taken off the bus"),                                 \
        DEV_FIELD_ARRAY(type, pci.config, 0, 0xff, "configuration space")
