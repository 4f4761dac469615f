/*
 * bios.S: the part of the BIOS that the guest's CPU runs: entry points that hand their registers to
 * the host by one OUT (abi.h), the timer tick, and the ways of waiting. 16-bit code for a 386 or later
 * at F000:E600.
 *
 * Interfaces: IBM PS/2 and PC BIOS Interface Technical Reference; Ralf Brown's Interrupt List; Plug
 * and Play BIOS 1.0A, 4.4; BIOS Boot Specification 1.01; POST Memory Manager 1.01.
 */
#include "abi.h"

#define BDA_EQUIPMENT 0x410
#define BDA_MEMORY_KB 0x413
#define BDA_TICKS 0x46c
#define BDA_MIDNIGHT 0x470
#define TICKS_PER_DAY 0x1800b0
#define POST_STACK 0x400 /* below the BIOS data area, in vectors that nobody uses yet */
#define BOOT_SECTOR 0x7c00
#define BOOT_STACK 0x7000 /* of option ROMs, and of what is booted until it has its own */
#define PNP_NOT_SUPPORTED 0x82
#define PNP_GET_BBS_VERSION 0x60
#define BBS_VERSION 0x0101
#define EOI 0x20
#define CF 1

    .code16
    .text
    .globl rom_start
rom_start:

/* ---- vectors -------------------------------------------------------------------------------- */

    .macro vector number, entry
    .word \number, \entry
    .endm

    vector 0x08, int_08
    vector 0x09, int_09
    vector 0x10, int_10
    vector 0x11, int_11
    vector 0x12, int_12
    vector 0x13, int_13
    vector 0x14, int_14
    vector 0x15, int_15
    vector 0x16, int_16
    vector 0x17, int_17
    vector 0x18, int_18
    vector 0x19, int_19
    vector 0x1a, int_1a
    vector 0x40, int_13
    vector 0x0a, irq_low
    vector 0x0b, irq_low
    vector 0x0c, irq_low
    vector 0x0d, irq_low
    vector 0x0e, irq_low
    vector 0x0f, irq_low
    vector 0x70, int_70
    vector 0x71, irq_high
    vector 0x72, irq_high
    vector 0x73, irq_high
    vector 0x74, int_74
    vector 0x75, int_75
    vector 0x76, irq_high
    vector 0x77, irq_high
    vector 0xff, ignore
    .word 0x100, 0

/* ---- services of the host ------------------------------------------------------------------- */

    .macro service number, entry
\entry:
    pushw $\number
    jmp call_host
    .endm

    service 0x10, int_10
    service 0x13, int_13
    service 0x14, int_14
    service 0x15, int_15
    service 0x16, int_16
    service 0x17, int_17
    service 0x18, int_18
    service 0x19, int_19
    service 0x1a, int_1a
    service 0x70, int_70
    service BIOS_POST, post_service
    service BIOS_KEY, key_service
    service BIOS_ROMS, roms_service
    service BIOS_PMM, pmm_service

/* On the stack: service, IP, CS, FLAGS. Builds the rest of the frame, calls, and does what the host
 * asks for. */
call_host:
    pushal
    pushw %ds
    pushw %es
again:
    movzwl %sp, %ebp
    xorl %eax, %eax
    movw %ss, %ax
    shll $4, %eax
    addl %ebp, %eax
    movw $BIOS_PORT, %dx
    outl %eax, %dx
    cmpb $ACTION_CALL, FRAME_ACTION(%bp)
    je call_rom
    cmpb $ACTION_RETURN, FRAME_ACTION(%bp)
    jne wait
    popw %es
    popw %ds
    popal
    leaw 2(%esp), %sp /* the service; flags stay */
    iretw
wait:
    cmpb $ACTION_HALT, FRAME_ACTION(%bp)
    sti
    jne 1f
    hlt
1:  nop /* interrupts come in here at the latest */
    cli
    jmp again
call_rom: /* interrupts are off: what POPAD leaves below the stack is still there at the call */
    call flat_real
    popw %es
    popw %ds
    popal
    sti
    lcall *FRAME_TARGET - FRAME_SERVICE(%esp)
    cli
    cld
    jmp call_host

/* Option ROMs that have a memory manager reach all memory by 32-bit offsets: data segments keep the
 * limit of protected mode. */
flat_real:
    lgdtl %cs:flat_gdtr
    movl %cr0, %eax
    incw %ax
    movl %eax, %cr0
    jmp 1f
1:  movw $8, %bx
    movw %bx, %ds
    movw %bx, %es
    movw %bx, %fs
    movw %bx, %gs
    decw %ax
    movl %eax, %cr0
    jmp 1f
1:  ret
    .p2align 3
flat_gdt:
    .quad 0
    .quad 0x008f93000000ffff /* 4 GiB of data */
flat_gdtr:
    .word 15
    .long 0xf0000 + flat_gdt

int_11:
    pushw %ds
    pushw $0
    popw %ds
    movw BDA_EQUIPMENT, %ax
    popw %ds
    iretw

int_12:
    pushw %ds
    pushw $0
    popw %ds
    movw BDA_MEMORY_KB, %ax
    popw %ds
    iretw

/* ---- far calls of option ROMs: arguments on the stack, the caller's to remove ------------------ */

pmm:
    pushw %bp
    movw %sp, %bp
    pushl %ebx
    pushl %ecx
    movw 6(%bp), %ax
    movl 8(%bp), %ebx
    movl 12(%bp), %ecx
    movw 16(%bp), %dx
    pushfw
    pushw %cs
    call pmm_service
    popl %ecx
    popl %ebx
    popw %bp
    lretw

/* The only function is the one that says which Boot Specification the BIOS follows. */
pnp:
    pushw %bp
    movw %sp, %bp
    movw $PNP_NOT_SUPPORTED, %ax
    cmpw $PNP_GET_BBS_VERSION, 6(%bp)
    jne 1f
    pushw %es
    pushw %bx
    lesw 8(%bp), %bx
    movw $BBS_VERSION, %es:(%bx)
    popw %bx
    popw %es
    xorw %ax, %ax
1:  popw %bp
    lretw

/* ---- interrupts of chips -------------------------------------------------------------------- */

int_08:
    pushw %ds
    pushw %dx
    pushl %eax
    pushw $0
    popw %ds
    movl BDA_TICKS, %eax
    incl %eax
    cmpl $TICKS_PER_DAY, %eax
    jb 1f
    xorl %eax, %eax
    movb $1, BDA_MIDNIGHT
1:  movl %eax, BDA_TICKS
    int $0x1c
    movb $EOI, %al
    outb %al, $0x20
    popl %eax
    popw %dx
    popw %ds
    iretw

/* The keyboard: INT 15h, AH=4Fh may change or take the byte. */
int_09:
    pushw %ax
    inb $0x60, %al
    movb $0x4f, %ah
    stc
    int $0x15
    jnc 1f
    pushfw
    pushw %cs
    call key_service
    cmpb $KEY_BREAK, %al
    jne 2f
    int $0x1b
2:  cmpb $KEY_PRINT_SCREEN, %al
    jne 1f
    int $0x05
1:  movb $EOI, %al
    outb %al, $0x20
    popw %ax
    iretw

int_74: /* the mouse: the byte is taken, nobody wants it */
    pushw %ax
    inb $0x60, %al
    jmp eoi_high
int_75: /* FERR#, as an 80287 would have it: INT 02h */
    pushw %ax
    xorb %al, %al
    outb %al, $0xf0
    movb $EOI, %al
    outb %al, $0xa0
    outb %al, $0x20
    popw %ax
    int $0x02
    iretw
irq_high:
    pushw %ax
eoi_high:
    movb $EOI, %al
    outb %al, $0xa0
    outb %al, $0x20
    popw %ax
    iretw
irq_low:
    pushw %ax
    movb $EOI, %al
    outb %al, $0x20
    popw %ax
ignore:
    iretw

/* ---- power-on ------------------------------------------------------------------------------- */

post:
    cli
    cld
    xorw %ax, %ax
    movw %ax, %ss
    movw $POST_STACK, %sp
    pushfw
    pushw %cs
    call post_service
    movw $BOOT_STACK, %sp
    pushfw
    pushw %cs
    call roms_service
    sti
    int $0x19
1:  hlt /* INT 19h does not come back */
    jmp 1b

    .org ROM_PMM - ROM_CODE
    .ascii "$PMM"
    .byte 1, ROM_PMM_BYTES, 0
    .word pmm, 0xf000
    .org ROM_PNP - ROM_CODE
    .ascii "$PnP"
    .byte 0x10, ROM_PNP_BYTES
    .word 0 /* no events */
    .byte 0
    .long 0
    .word pnp, 0xf000 /* in real mode */
    .word pnp
    .long 0xf0000 /* in protected mode: base of the segment */
    .long 0
    .word 0xf000
    .long 0xf0000

    .org ROM_BOOT_DISK - ROM_CODE
    xorw %cx, %cx
    movw %cx, %ds
    movw %cx, %es
    movw $BOOT_SECTOR, %bx
    movw $0x0201, %ax
    incw %cx
    movb $0, %dh
    int $0x13
    jc 1f
    cmpw $0xaa55, BOOT_SECTOR + 510
    jne 1f
    ljmp $0, $BOOT_SECTOR
1:  lretw

    .org 0xfff0 - ROM_CODE
    ljmp $0xf000, $post
    .ascii "01/01/26"
    .byte 0
    .byte 0xfc /* model: PC/AT */
    .byte 0
