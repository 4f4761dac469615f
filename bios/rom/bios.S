/*
 * bios.S: the part of the BIOS that the guest's CPU runs: entry points that hand their registers to
 * the host by one OUT (abi.h), the timer tick, and the ways of waiting. 16-bit code for a 386 or later
 * at F000:E600.
 *
 * Interfaces: IBM PS/2 and PC BIOS Interface Technical Reference; Ralf Brown's Interrupt List.
 */
#include "abi.h"

#define BDA_EQUIPMENT 0x410
#define BDA_MEMORY_KB 0x413
#define BDA_TICKS 0x46c
#define BDA_MIDNIGHT 0x470
#define TICKS_PER_DAY 0x1800b0
#define POST_STACK 0x400 /* below the BIOS data area, in vectors that nobody uses yet */
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
    sti
    int $0x19
1:  hlt /* INT 19h does not come back */
    jmp 1b

    .org 0xfff0 - ROM_CODE
    ljmp $0xf000, $post
    .ascii "01/01/26"
    .byte 0
    .byte 0xfc /* model: PC/AT */
    .byte 0
