/*
 * optrom.S: an option ROM of 1 KiB with two expansion headers: a connection vector that adds a hard
 * disk of one sector, and a boot entry that comes back. What happens is said on port E9h: S start,
 * C connected, B boot entry, D the disk's boot sector. The test makes the checksum.
 */
    .code16
    .text
    .globl _start
_start:
    .word 0xaa55
    .byte 2
    jmp start
    .org 0x1a
    .word header

    .macro say letter
    pushw %ax
    movb $\letter, %al
    outb %al, $0xe9
    popw %ax
    .endm

    .macro pnp next, name, bcv, bev
    .ascii "$PnP"
    .byte 1, 2
    .word \next
    .byte 0, 0
    .long 0
    .word 0, \name
    .byte 1, 0, 0, 0
    .word \bcv, 0, \bev, 0, 0
    .endm

    .p2align 4
header:
    pnp second, disk_name, connect, 0
    .p2align 4
second:
    pnp 0, entry_name, 0, entry
disk_name:
    .asciz "disk of the test"
entry_name:
    .asciz "entry of the test"

/* ES:DI is the BIOS's $PnP structure. */
start:
    cmpl $0x506e5024, %es:(%di) /* "$PnP" */
    jne 1f
    say 'S'
1:  movw $0x20, %ax
    lretw

connect:
    pushw %ds
    pushl %eax
    xorw %ax, %ax
    movw %ax, %ds
    movl 4 * 0x13, %eax
    movl %eax, %cs:old_int_13
    pushw %cs
    pushw $int_13
    popl 4 * 0x13
    movb 0x475, %al
    orb $0x80, %al
    movb %al, %cs:number
    incb 0x475
    say 'C'
    popl %eax
    popw %ds
    lretw

entry:
    say 'B'
    lretw

/* Read sectors (02h) gives the boot sector, parameters (08h) and type (15h) a small disk. */
int_13:
    cmpb %cs:number, %dl
    je 1f
    ljmp *%cs:old_int_13
1:  cmpb $0x02, %ah
    je read
    cmpb $0x08, %ah
    je parameters
    cmpb $0x15, %ah
    je type
    movw $0x0100, %ax
    stc
    lretw $2
read:
    pushaw
    pushw %ds
    pushw %cs
    popw %ds
    cld
    movw $sector, %si
    movw %bx, %di
    movw $256, %cx
    rep movsw
    popw %ds
    popaw
    movw $0x0001, %ax
    clc
    lretw $2
parameters:
    xorw %ax, %ax
    movw $0x0001, %cx
    movb $0, %dh
    movb $1, %dl
    clc
    lretw $2
type:
    movw $0x0300, %ax
    xorw %cx, %cx
    movw $1, %dx
    clc
    lretw $2

number:
    .byte 0
old_int_13:
    .long 0

    .org 512
sector:
    say 'D'
1:  hlt
    jmp 1b
    .org 1024 - 2
    .word 0xaa55
