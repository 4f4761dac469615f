/*
 * fuzz_guest.c: a guest of random bytes, run for a moment, under a personality and in a mode that its
 * first byte chooses: whatever it does, the host neither crashes, nor reaches BUG_ON, nor hangs. The
 * bytes are entered in 32-bit mode (as multiboot 1 does), 16-bit real mode, or 64-bit mode.
 */
#include "base/bits.h"
#include "base/host.h"
#include "cpu/cpu.h"
#include "devices/backend/chardev.h"
#include "machine/vm.h"
#include "mmu/dma.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RUN_NS (5 * 1000 * 1000)

/*
 * What goes before the random bytes, so that a fault does not end the guest: it sets up flat segments
 * and 256 interrupt gates to a handler that goes on at another place of the random bytes (100100h on).
 *
 *     start:
 *         lgdt gdtr - start + 0x100020
 *         ljmp $8, $(1f - start + 0x100020)
 *     1:  mov $0x1000, %edi
 *         mov $256, %ecx
 *     2:  movl $(0x00080000 + ((handler - start + 0x100020) & 0xffff)), (%edi)
 *         movl $(0x00108e00), 4(%edi)
 *         add $8, %edi
 *         loop 2b
 *         lidt idtr - start + 0x100020
 *         movl $0, 0x8000
 *     handler:
 *         mov $0x10, %ax
 *         mov %ax, %ss
 *         mov %ax, %ds
 *         mov %ax, %es
 *         mov $0x90000, %esp
 *         mov %cs:0x8000, %eax
 *         inc %eax
 *         mov %eax, 0x8000
 *         imul $61, %eax, %eax
 *         and $0x7ff, %eax
 *         add $0x100100, %eax
 *         jmp *%eax
 *     .p2align 3
 *     gdt: .quad 0, 0x00cf9a000000ffff, 0x00cf92000000ffff
 *     gdtr: .word 23
 *           .long gdt - start + 0x100020
 *     idtr: .word 2047
 *           .long 0x1000
 */
static const u8 preamble[0xe0] = {
    0x0f, 0x01, 0x15, 0xa0, 0x00, 0x10, 0x00, 0xea, 0x2e, 0x00, 0x10, 0x00, 0x08, 0x00, 0xbf, 0x00,
    0x10, 0x00, 0x00, 0xb9, 0x00, 0x01, 0x00, 0x00, 0xc7, 0x07, 0x5b, 0x00, 0x08, 0x00, 0xc7, 0x47,
    0x04, 0x00, 0x8e, 0x10, 0x00, 0x83, 0xc7, 0x08, 0xe2, 0xee, 0x0f, 0x01, 0x1d, 0xa6, 0x00, 0x10,
    0x00, 0xc7, 0x05, 0x00, 0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x66, 0xb8, 0x10, 0x00, 0x8e,
    0xd0, 0x8e, 0xd8, 0x8e, 0xc0, 0xbc, 0x00, 0x00, 0x09, 0x00, 0x2e, 0xa1, 0x00, 0x80, 0x00, 0x00,
    0x40, 0xa3, 0x00, 0x80, 0x00, 0x00, 0x6b, 0xc0, 0x3d, 0x25, 0xff, 0x07, 0x00, 0x00, 0x05, 0x00,
    0x01, 0x10, 0x00, 0xff, 0xe0, 0x8d, 0x76, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0xff, 0xff, 0x00, 0x00, 0x00, 0x9a, 0xcf, 0x00, 0xff, 0xff, 0x00, 0x00, 0x00, 0x92, 0xcf, 0x00,
    0x17, 0x00, 0x88, 0x00, 0x10, 0x00, 0xff, 0x07, 0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
};

/* The header with addresses: loaded at 1 MiB, entered 20h behind its start. */
static const u8 header[] = {
    0x02, 0xb0, 0xad, 0x1b, 0x00, 0x00, 0x01, 0x00, 0xfe, 0x4f, 0x51, 0xe4, 0x00, 0x00, 0x10, 0x00,
    0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x20, 0x00, 0x10, 0x00,
};

static void write_kernel(const char *path, const u8 *data, size_t size)
{
    size_t len = sizeof header + sizeof preamble + size;
    u8 *file = malloc(len);
    struct err e;

    BUG_ON(!file);
    memcpy(file, header, sizeof header);
    memcpy(file + sizeof header, preamble, sizeof preamble);
    memcpy(file + sizeof header + sizeof preamble, data, size);
    BUG_ON(!host_write_file(path, file, len, &e));
    free(file);
}

/* Where explanations go; opened once. */
static FILE *sink(void)
{
    static FILE *null;

    if (!null)
        null = fopen("/dev/null", "w");
    BUG_ON(!null);
    return null;
}

/* ---- 16 and 64 bits: set up from outside, with a handler of every vector that goes on elsewhere -- */

#define COUNTER 0x8000 /* of faults; what the handlers below count in */
#define HANDLER 0x9000
#define IDT 0xa000
#define GDT 0xb000
#define TABLES 0xc000 /* PML4, PDPT, PD */
#define BYTES16 0x10100
#define BYTES64 0x100100

/*
 *     xor %ax, %ax
 *     mov %ax, %ss
 *     mov %ax, %ds
 *     mov $0x7000, %sp
 *     mov 0x8000, %ax
 *     inc %ax
 *     mov %ax, 0x8000
 *     imul $61, %ax, %ax
 *     and $0x7ff, %ax
 *     add $0x100, %ax
 *     push $0x1000
 *     push %ax
 *     lret
 */
static const u8 handler16[] = {
    0x31, 0xc0, 0x8e, 0xd0, 0x8e, 0xd8, 0xbc, 0x00, 0x70, 0xa1, 0x00, 0x80, 0x40, 0xa3, 0x00, 0x80,
    0x6b, 0xc0, 0x3d, 0x25, 0xff, 0x07, 0x05, 0x00, 0x01, 0x68, 0x00, 0x10, 0x50, 0xcb,
};

/*
 *     mov $0x90000, %rsp
 *     mov 0x8000, %eax
 *     inc %eax
 *     mov %eax, 0x8000
 *     imul $61, %eax, %eax
 *     and $0x7ff, %eax
 *     add $0x100100, %eax
 *     jmp *%rax
 */
static const u8 handler64[] = {
    0x48, 0xc7, 0xc4, 0x00, 0x00, 0x09, 0x00, 0x8b, 0x04, 0x25, 0x00, 0x80, 0x00, 0x00, 0xff, 0xc0, 0x89,
    0x04, 0x25, 0x00, 0x80, 0x00, 0x00, 0x6b, 0xc0, 0x3d, 0x25, 0xff, 0x07, 0x00, 0x00, 0x05, 0x00, 0x01,
    0x10, 0x00, 0xff, 0xe0,
};

static void enter16(struct vm *vm, const u8 *data, size_t size)
{
    struct phys *phys = vm_phys(vm);
    struct cpu *cpu = vm_cpu(vm, 0);

    for (unsigned v = 0; v < 256; v++)
        dma_write32(phys, v * 4, HANDLER);
    dma_write(phys, HANDLER, handler16, sizeof handler16);
    dma_write(phys, BYTES16, data, size);
    cpu_reset(cpu);
    cpu->rip = HANDLER;
    cpu_set_seg(cpu, SEG_CS, 0, 0, 0xffff, 0x9b);
    cpu_update_mode(cpu);
}

static void enter64(struct vm *vm, const u8 *data, size_t size)
{
    struct phys *phys = vm_phys(vm);
    struct cpu *cpu = vm_cpu(vm, 0);

    for (unsigned v = 0; v < 256; v++) {
        dma_write64(phys, IDT + v * 16, 0x8e0000080000ull + HANDLER);
        dma_write64(phys, IDT + v * 16 + 8, 0);
    }
    dma_write64(phys, GDT, 0);
    dma_write64(phys, GDT + 8, 0x00af9b000000ffffull);
    dma_write64(phys, GDT + 16, 0x00cf93000000ffffull);
    dma_write64(phys, TABLES, (TABLES + 0x1000) | 7);
    dma_write64(phys, TABLES + 0x1000, (TABLES + 0x2000) | 7);
    dma_write64(phys, TABLES + 0x2000, 0x87);             /* RAM, */
    dma_write64(phys, TABLES + 0x2000 + 8, 0xfee00087);   /* the APICs, */
    dma_write64(phys, TABLES + 0x2000 + 16, 0xfec00087);
    dma_write64(phys, TABLES + 0x2000 + 24, 0xfffffe00000087ull); /* and nothing */
    dma_write(phys, HANDLER, handler64, sizeof handler64);
    dma_write(phys, BYTES64, data, size);
    cpu->idtr.base = IDT;
    cpu->idtr.limit = 0xfff;
    cpu->gdtr.base = GDT;
    cpu->gdtr.limit = 23;
    cpu_set_seg(cpu, SEG_CS, 8, 0, ~0u, 0x9b | SEG_L | SEG_G);
    cpu_set_cr(cpu, CR0_PE | CR0_ET | CR0_NE | CR0_PG, TABLES, CR4_PAE | CR4_OSFXSR,
               EFER_LME | EFER_LMA | EFER_SCE);
    cpu_set_eflags(cpu, 2);
    cpu->rip = HANDLER;
}

static void enter(struct vm *vm, unsigned mode, const u8 *data, size_t size)
{
    if (size > 0x4000)
        size = 0x4000;
    if (mode == 1)
        enter16(vm, data, size);
    else if (mode == 2)
        enter64(vm, data, size);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static const char *const personalities[] = {"none", "null", "kvm", "hyperv", "vmware"};
    static const char *const devices[] = {"isa-debug-exit", "pc-testdev", NULL};
    char path[64];
    struct err e = {0};
    struct vm_config cfg = {
        .ram_bytes = 2 * MIB,
        .pv = personalities[size ? data[0] % ARRAY_SIZE(personalities) : 0],
        .kernel = path,
        .no_reboot = true,
        .devices = devices,
    };
    struct vm *vm;

    if (size < 2)
        return 0;
    snprintf(path, sizeof path, "/tmp/parallax-fuzz-%ld", (long)getpid());
    write_kernel(path, data + 1, size - 1);
    cfg.serial = chardev_open("null", &e);
    BUG_ON(!cfg.serial);
    vm = vm_create(&cfg, &e);
    unlink(path);
    if (vm) {
        enter(vm, data[0] / ARRAY_SIZE(personalities) % 3, data + 1, size - 1);
        vm_explain_stop(vm, vm_run(vm, RUN_NS), sink());
        vm_destroy(vm);
    }
    chardev_close(cfg.serial);
    return 0;
}
