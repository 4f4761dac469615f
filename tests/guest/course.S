/*
 * course.S: the kernel of a course in one file, as students start it by `make QEMU=parallax qemu-nox`: a
 * boot sector that loads the rest by INT 13h, 32-bit code, the second disk read by PIO, a second CPU
 * started by INIT and SIPI, and COM1 by interrupts through the I/O APIC, with MCR clear.
 *
 * It prints what the first sector of the second disk says and a line of the second CPU, then answers each
 * letter by its capital.
 */
#define COM1 0x3f8
#define SECTORS 4
#define AP_START 0x8000 /* SIPI vector 8 */
#define IDT 0x9000
#define TEXT 0xa000 /* the sector of the second disk */
#define VECTOR 0x24
#define IOAPIC 0xfec00000
#define LAPIC 0xfee00000

    .code16
    .globl _start
_start:
    cli
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw $0x7c00, %sp
    movw $0x0200 | SECTORS, %ax
    movw $0x7e00, %bx
    movw $0x0002, %cx /* cylinder 0, sector 2; DL is the boot drive */
    movb $0, %dh
    int $0x13
    jc .
    lgdtl gdt_pointer
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    ljmpl $8, $main

    .balign 8
gdt:
    .quad 0, 0x00cf9a000000ffff, 0x00cf92000000ffff
gdt_pointer:
    .word . - gdt - 1
    .long gdt
    .org 510
    .word 0xaa55

    .code32
main:
    movw $16, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl $0x7c00, %esp
    movb $0xff, %al /* the 8259s are not used */
    outb %al, $0x21
    outb %al, $0xa1
    movl $greeting, %esi
    call print
    call read_second_disk
    movl $TEXT, %esi
    call print
    call start_second_cpu
    call enable_input
    sti
1:  hlt
    jmp 1b

greeting: .asciz "course...\n"

/* Prints the text at ESI on COM1. */
print:
    lodsb
    testb %al, %al
    jz 2f
    call put
    jmp print
put:
    movb %al, %bl
    movw $COM1 + 5, %dx
1:  inb %dx, %al
    testb $0x20, %al
    jz 1b
    movb %bl, %al
    movw $COM1, %dx
    outb %al, %dx
2:  ret

/* Sector 0 of drive 1 on the first channel, as LBA. */
read_second_disk:
    movb $1, %al
    movw $0x1f2, %dx
    outb %al, %dx
    movb $0, %al
1:  incw %dx
    outb %al, %dx
    cmpw $0x1f5, %dx
    jne 1b
    movb $0xf0, %al
    movw $0x1f6, %dx
    outb %al, %dx
    movb $0x20, %al
    incw %dx
    outb %al, %dx
2:  inb %dx, %al
    andb $0x88, %al
    cmpb $8, %al
    jne 2b
    movl $TEXT, %edi
    movl $256, %ecx
    movw $0x1f0, %dx
    rep insw
    ret

start_second_cpu:
    movl $ap, %esi
    movl $AP_START, %edi
    movl $ap_end - ap, %ecx
    rep movsb
    movl $0x01000000, LAPIC + 0x310
    movl $0x4500, LAPIC + 0x300 /* INIT, then start-up twice */
    movl $0x4600 | AP_START >> 12, LAPIC + 0x300
    movl $0x4600 | AP_START >> 12, LAPIC + 0x300
1:  pause
    cmpb $0, ap_runs
    je 1b
    movl $ap_says, %esi
    jmp print

    .code16
ap: movw %cs, %ax /* AP_START / 16 */
    xorw %bx, %bx
    movw %bx, %ds
    movb $1, ap_runs
1:  hlt
    jmp 1b
ap_end:
    .code32
ap_runs: .byte 0
ap_says: .asciz "cpu1: starting\n"

enable_input:
    movl $input, %eax
    andl $0xffff, %eax
    orl $0x80000, %eax
    movl %eax, IDT + VECTOR * 8
    movl $input, %eax
    movw $0x8e00, %ax
    movl %eax, IDT + VECTOR * 8 + 4
    lidt idt_pointer
    movl $0x1ff, LAPIC + 0xf0
    movl $0x10 + 2 * 4, IOAPIC
    movl $VECTOR, IOAPIC + 0x10
    movb $0, %al
    movw $COM1 + 4, %dx
    outb %al, %dx
    movb $1, %al
    movw $COM1 + 1, %dx
    outb %al, %dx
    ret

idt_pointer:
    .word (VECTOR + 1) * 8 - 1
    .long IDT

    .globl input
input:
    pushal
    movw $COM1, %dx
    inb %dx, %al
    andb $0xdf, %al
    call put
    movl $0, LAPIC + 0xb0
    popal
    iret
    .org 512 * (1 + SECTORS)
