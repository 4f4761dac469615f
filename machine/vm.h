/*
 * vm.h: one virtual machine: the only interface that front ends call. Two may live in a process.
 */
#pragma once

#include "base/clock.h"
#include "base/err.h"
#include "base/stats.h"
#include "base/types.h"
#include "block/drive.h"
#include "devices/backend/audio.h"
#include "devices/backend/net.h"
#include "devices/backend/resources.h"
#include "machine/plugin.h"
#include <stdio.h>

struct chardev;
struct cpu;
struct dev;
struct iobus;
struct pci_bus;
struct phys;
struct quirks;
struct vga;

enum vm_drive_bus {
    VM_DRIVE_IDE,
    VM_DRIVE_FLOPPY,
    VM_DRIVE_VIRTIO, /* a virtio-blk-pci of its own */
    VM_DRIVE_XEN,    /* a block device of the personality's */
    VM_DRIVE_NONE, /* for a -device that names it */
};

struct vm_drive {
    const char *id; /* NULL: the name of its place */
    enum vm_drive_bus bus;
    enum drive_media media;
    int index;                  /* its place on the bus; -1: the next one that is free */
    struct image_options image; /* path NULL: no medium */
    const char *serial;         /* NULL: the device's own */
    enum drive_on_error rerror, werror;
    bool keep_discarded;
};

/* What follows when the watchdog expires or the guest says that it panicked. */
enum vm_action {
    VM_ACTION_NONE,
    VM_ACTION_RESET,
    VM_ACTION_SHUTDOWN, /* the ACPI power button; of a guest that panicked: the end */
    VM_ACTION_POWEROFF,
    VM_ACTION_FAIL,     /* the end, with exit code 1 */
    VM_ACTION_NMI,      /* to all CPUs */
};

#define VM_OPTION_ROMS 8u

/* All strings are owned by the caller and outlive the VM. */
struct vm_config {
    u64 ram_bytes;         /* multiple of 1 MiB, 1 MiB to 1 TiB */
    const char *cpu_model; /* NULL: default */
    unsigned cpus;         /* 1 to VM_MAX_CPUS; 0: 1 */
    const char *pv;        /* "kvm,-pv-eoi"; NULL: none */
    const char *accel;     /* "interp", "jit"; NULL: interp (see vm_choose_engine) */
    bool pv_exits;         /* no sensitive instruction is served in place */
    const char *jit_test;  /* modes of the translator for tests, "tlb-miss,cache=1M"; NULL: none */
    const char *kernel, *initrd, *append; /* NULL: none; kernel NULL: the embedded demo guest if
                                             demo_guest, else firmware starts */
    bool demo_guest;
    const char *bios;           /* without kernel: "seabios" or the path of a system ROM; NULL: ours */
    const char
        *boot_order; /* letters: a floppy, c disk, d CD, n network; NULL: the firmware's own */
    bool boot_menu;
    const char *nvram; /* file that keeps CMOS memory between runs; NULL: none does */
    const char *option_roms[VM_OPTION_ROMS]; /* files, for firmware to start */
    unsigned option_rom_count;
    bool no_vga;                /* no display adapter */
    bool usb;                   /* a USB host controller, for -device usb-tablet */
    bool icount;                /* deterministic virtual time */
    u64 seed;                   /* of RNGs, with icount */
    bool no_reboot;             /* a reset request stops the machine */
    enum vm_action on_panic, on_watchdog;
    struct chardev *serial;     /* COM1; may be NULL */
    struct chardev *debugcon;   /* port 0xE9; may be NULL */
    struct chardev *xen_console; /* of the personality; may be NULL */
    struct chardev *bios_debug; /* port 0x402, SeaBIOS' messages; may be NULL */
    const char *const *devices; /* -device arguments, NULL-terminated; may be NULL */
    const struct vm_drive *drives;
    unsigned drive_count;
    const struct net_options *nets; /* -netdev; their devices are among `devices` */
    unsigned net_count;
    struct audio_options audio;
    const struct net_dump_options *dumps;
    unsigned dump_count;
    struct resources resources; /* without `seeded` */
    const struct plugin_options *plugins; /* only while vm_create runs */
    unsigned plugin_count;
    const char *timeline; /* file of -timeline; NULL: none */
    const char *name;     /* of the guest, in files; NULL: none */
    /* What the user should know while the guest runs, such as an I/O error of a disk; may be NULL.
     */
    void (*report)(const struct err *e);
};

#define VM_MAX_CPUS 16u

enum vm_stop {
    VM_POWEROFF,   /* ACPI S5 or the like */
    VM_RESET,      /* reset with no_reboot */
    VM_DEBUG_EXIT, /* isa-debug-exit; exit_code is set */
    VM_TRIPLE_FAULT,
    VM_STOPPED,    /* vm_stop was called */
    VM_TIMEOUT,    /* vm_run's limit was reached */
    VM_NO_THREADS, /* the host gives no thread to a vCPU */
    VM_DISK_ERROR, /* a drive failed, and its rerror= or werror= says so; vm_run tries it again */
    VM_DEBUG,      /* a point of the debugger: debug_last_stop (debug.h) */
    VM_HUNG,       /* HLT with interrupts off and nothing that could wake it */
};

struct vm;

/* Sets cfg->accel to the translator, or where the host cannot run it to the interpreter, with the
 * reason in `why`, whose exit_code is 0 otherwise. */
void vm_choose_engine(struct vm_config *cfg, struct err *why);
struct vm *vm_create(const struct vm_config *cfg, struct err *e);
void vm_destroy(struct vm *vm);
/* Runs until something stops it. limit_ns: host time, 0 = none. */
enum vm_stop vm_run(struct vm *vm, u64 limit_ns);
/* From a callback (tap, trace) or a signal handler: vm_run returns VM_STOPPED soon. */
void vm_stop(struct vm *vm);
/* Polled by the event loop every few milliseconds of guest execution; may be NULL. Extra fds of
 * front ends go through vm_add_fd. */
bool vm_add_fd(struct vm *vm, int fd, void (*ready)(void *opaque), void *opaque);
void vm_remove_fd(struct vm *vm, int fd); /* not while vm_run runs */

/* While vm_run does not run: waits, at most so long, and hands on what comes for vm_add_fd's callers;
 * ticks. The guest gets nothing. */
void vm_wait(struct vm *vm, u64 timeout_ns);

int vm_exit_code(const struct vm *vm, enum vm_stop why); /* the program's exit code, README */
/* Presses the ACPI power button, from a callback of vm_add_fd or vm_set_tick. False: the guest has not
 * enabled it. */
bool vm_powerdown(struct vm *vm);
void vm_reset(struct vm *vm);

/* Calls `fn` every period_ns of the host's time, roughly, while vm_run runs; NULL: no more. */
void vm_set_tick(struct vm *vm, u64 period_ns, void (*fn)(void *opaque), void *opaque);

/* The guest's keyboard, from a callback of vm_add_fd or vm_set_tick: a key (USB HID keyboard page) goes
 * down or up; vm_key_room says how many bytes of keys it still takes before it loses some. */
void vm_key(struct vm *vm, u8 usage, bool down);
unsigned vm_key_room(const struct vm *vm);
/* The same for its mouse: counts to the right and downwards, notches of the wheel towards the user,
 * buttons: bit 0 left, 1 right, 2 middle. */
void vm_mouse(struct vm *vm, int dx, int dy, int dz, unsigned buttons);
/* Does the guest use a device that takes places, and no movements? Then the pointer is at (x, y), 0 to
 * VM_POINTER_MAX from the left and upper edge. */
#define VM_POINTER_MAX 0x7fffu
bool vm_pointer_is_absolute(const struct vm *vm);
void vm_pointer(struct vm *vm, unsigned x, unsigned y, int dz, unsigned buttons);

struct cpu *vm_cpu(struct vm *vm, unsigned n); /* NULL beyond the last */
unsigned vm_cpus(const struct vm *vm);
struct phys *vm_phys(struct vm *vm);
struct clock *vm_clock(struct vm *vm);
struct vga *vm_display(struct vm *vm); /* NULL: none */
struct dev *vm_devices(struct vm *vm); /* list by ->next */
struct iobus *vm_ports(struct vm *vm);
struct pci_bus *vm_pci(struct vm *vm);
struct drives *vm_drives(struct vm *vm);
/* Of all CPUs and devices together. Good until the next call. Numbers, facts and counts that are asked
 * for while vCPUs with threads of their own run may be a little behind. */
const struct stats *vm_stats(struct vm *vm);
/* Trace points were switched on or off; while vm_run does not run. */
void vm_traces_changed(struct vm *vm);
/* Where the host's time goes between the two, in percent of the threads that run vCPUs. In between
 * vm_run runs once. False: the host cannot say. */
struct vm_share {
    const char *name;
    double percent;
    const char *doc;
};
#define VM_SHARES_MAX 16
bool vm_perf_begin(struct vm *vm, struct err *e);
/* Returns how many there are. */
unsigned vm_perf_end(struct vm *vm, struct vm_share share[VM_SHARES_MAX]);
/* The machine has run: plugins print what they found, the timeline ends. False: a file did not take
 * it. */
bool vm_finish(struct vm *vm, struct err *e);
/* Writes /tmp/perf-PID.map, by which perf names the code that the translator made. */
bool vm_write_perfmap(const struct vm *vm, struct err *e);
/* What the engines did: counters and ratios. Returns how many there are. */
struct vm_fact {
    const char *name;
    double value;
    const char *doc;
};
#define VM_FACTS_MAX 48
unsigned vm_engine_facts(const struct vm *vm, struct vm_fact facts[VM_FACTS_MAX]);
u64 vm_icount(const struct vm *vm); /* of all CPUs together */
u64 vm_ram_hash(const struct vm *vm);
/* Per-feature use counters of the personality: name and count by index; false at the end. */
bool vm_pv_feature(const struct vm *vm, unsigned i, const char **name, const char **doc, bool *on,
                   u64 *count);
const char *vm_pv_name(const struct vm *vm);
/* What the guest touched that is not there: all CPUs, ports and memory together. */
void vm_quirks(const struct vm *vm, struct quirks *sum);
/* Prints the resolved machine: -explain. */
void vm_explain(const struct vm *vm, FILE *out);
/* Prints why the machine stopped: the chain of faults, CR2 and its walk, the descriptor. */
void vm_explain_stop(struct vm *vm, enum vm_stop why, FILE *out);
/* While vm_run does not run. Of an exception: why the instruction at CS:RIP raised it, as far as
 * #UD and the #GP of an MSR go. Of a CPU that is halted or takes no interrupts: which are held
 * back, and where. Of the machine: what the guest touched that is not there. Nothing where there is
 * nothing to say. */
void vm_explain_fault(struct vm *vm, struct cpu *cpu, unsigned vector, FILE *out);
void vm_explain_wait(struct vm *vm, struct cpu *cpu, FILE *out);
void vm_explain_quirks(struct vm *vm, FILE *out);

const char *vm_exception_name(unsigned vector); /* "#PF page fault" */

/* The lists behind -pv help, -cpu help and -device help. */
void vm_pv_help(FILE *out);
void vm_cpu_help(FILE *out);
void vm_device_help(FILE *out);
