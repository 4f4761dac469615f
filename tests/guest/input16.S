/*
 * input16.S: a boot sector that says what keyboard and mouse send: every byte from the 8042 on the
 * screen and on port E9h, in hexadecimal, "k" before one of the keyboard, "m" before one of the mouse.
 */
#define DATA 0x60
#define STATUS 0x64
#define STATUS_FULL 1
#define STATUS_BUSY 2
#define STATUS_MOUSE 0x20

    .code16
    .text
    .globl _start
_start:
    ljmp $0, $1f
1:  cli
    cld
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw $0x7c00, %sp
    movw $0x0100, %ax /* no cursor: the picture stands still */
    movw $0x2000, %cx
    int $0x10
    cli
    movb $0xa8, %al /* mouse on */
    call command
    movb $0x60, %al /* command byte: translation, no interrupts */
    call command
    movb $0x44, %al
    call data
    movb $0xd4, %al
    call command
    movb $0xf4, %al /* the mouse reports */
    call data
    call receive /* its acknowledgement */
    movw $ready, %si
1:  lodsb
    testb %al, %al
    jz loop
    call put
    jmp 1b

loop:
    call receive
    pushw %ax
    movb $'k', %al
    testb $STATUS_MOUSE, %ah
    jz 1f
    movb $'m', %al
1:  call put
    popw %ax
    pushw %ax
    shrb $4, %al
    call digit
    popw %ax
    call digit
    movb $' ', %al
    call put
    jmp loop

/* A byte to AL, the status to AH. */
receive:
    inb $STATUS, %al
    testb $STATUS_FULL, %al
    jz receive
    movb %al, %ah
    inb $DATA, %al
    ret

wait:
    pushw %ax
1:  inb $STATUS, %al
    testb $STATUS_BUSY, %al
    jnz 1b
    popw %ax
    ret

command:
    call wait
    outb %al, $STATUS
    ret

data:
    call wait
    outb %al, $DATA
    ret

digit:
    andb $15, %al
    addb $'0', %al
    cmpb $'9', %al
    jbe put
    addb $'a' - '9' - 1, %al
put:
    outb %al, $0xe9
    movb $0x0e, %ah
    movw $0x0007, %bx
    int $0x10
    cli
    ret

ready: .asciz "input16: ready "
    .org 510
    .word 0xaa55
    .org 1474560 /* a floppy disk */
