/*
 * bios16.S: a program of 16-bit code that calls the BIOS: INT 10h to 1Ah. It boots from a hard disk,
 * loads itself by INT 13h, and says on COM1 what went wrong or "bios16: passed". Both firmwares run it.
 */
#define COM1 0x3f8
#define EXIT_PORT 0xf4
#define LOADED 16      /* sectors behind the first */
#define SCRATCH 59     /* a sector that may be written: the last of the image but four */
#define BUFFER 0x9000

    .code16
    .text
    .globl _start
_start:
    ljmp $0, $1f
1:  cli
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw $0x7c00, %sp
    sti
    cld
    movb %dl, drive
    movw $0x0200 | LOADED, %ax /* the rest of the program, from cylinder 0, head 0, sector 2 */
    movw $0x7e00, %bx
    movw $0x0002, %cx
    movb $0, %dh
    int $0x13
    jc 1f
    cmpw $0x600d, loaded
    je tests
1:  movw $cannot_load, %si
    jmp failed

/* Fails with the text unless the condition holds. */
    .macro ok condition, text
    j\condition 77f
    movw $78f, %si
    jmp failed
78: .asciz "\text"
77:
    .endm

put: /* SI: text to COM1 and to the screen */
    lodsb
    testb %al, %al
    jz 1f
    movw $COM1, %dx
    outb %al, %dx
    movw $0x0007, %bx
    movb $0x0e, %ah
    int $0x10
    jmp put
1:  ret

failed:
    pushw %cs
    popw %ds
    pushw %si
    movw $text_failed, %si
    call put
    popw %si
    call put
    movw $new_line, %si
    call put
    movb $1, %al
    outb %al, $EXIT_PORT
1:  hlt
    jmp 1b

drive: .byte 0
cannot_load: .asciz "INT 13h loads the program"
text_failed: .asciz "bios16: FAILED: "
new_line: .asciz "\r\n"

    .org 510
    .word 0xaa55

/* ---- the rest is loaded --------------------------------------------------------------------- */

    .org 512
loaded: .word 0x600d
tests:
    call video
    call graphics
    call vbe
    call disk
    call memory
    call keyboard
    call time
    movw $text_passed, %si
    call put
    movb $0x10, %al
    outb %al, $EXIT_PORT
1:  hlt
    jmp 1b
text_passed: .asciz "bios16: passed\r\n"

/* ---- INT 10h -------------------------------------------------------------------------------- */

video:
    movw $0x0003, %ax
    int $0x10
    movb $0x0f, %ah
    int $0x10
    cmpw $0x5003, %ax
    ok e, "0Fh tells mode 3 of 80 columns"
    cmpb $0, %bh
    ok e, "0Fh tells page 0"
    movb $0x02, %ah
    movb $0, %bh
    movw $0x0a14, %dx
    int $0x10
    movw $0x0941, %ax /* three times A in light green on blue */
    movw $0x001a, %bx
    movw $3, %cx
    int $0x10
    movb $0x03, %ah
    movb $0, %bh
    int $0x10
    cmpw $0x0a14, %dx
    ok e, "09h does not move the cursor"
    movb $0x08, %ah
    movb $0, %bh
    int $0x10
    cmpw $0x1a41, %ax
    ok e, "08h reads what 09h wrote"
    pushw %es
    pushw $0xb800
    popw %es
    cmpw $0x1a41, %es:(10 * 80 + 22) * 2
    ok e, "09h repeats the character in video memory"
    cmpw $0x0720, %es:(10 * 80 + 23) * 2
    ok e, "09h repeats no more than asked for"
    movw $0x0e42, %ax
    movw $0x0007, %bx
    int $0x10
    cmpw $0x1a42, %es:(10 * 80 + 20) * 2
    ok e, "0Eh keeps the attribute"
    movb $0x03, %ah
    movb $0, %bh
    int $0x10
    cmpw $0x0a15, %dx
    ok e, "0Eh moves the cursor"
    movw $0x0601, %ax /* up by one line, rows 9 to 11 */
    movb $0x30, %bh
    movw $0x0900, %cx
    movw $0x0b4f, %dx
    int $0x10
    cmpw $0x1a42, %es:(9 * 80 + 20) * 2
    ok e, "06h scrolls up"
    cmpw $0x3020, %es:(11 * 80 + 20) * 2
    ok e, "06h fills with its attribute"
    popw %es
    movw $0x1301, %ax /* a string that moves the cursor */
    movw $0x0007, %bx
    movw $5, %cx
    movw $0x0100, %dx
    movw $string, %bp
    int $0x10
    movb $0x03, %ah
    movb $0, %bh
    int $0x10
    cmpw $0x0105, %dx
    ok e, "13h moves the cursor"
    movb $0x02, %ah
    movb $0, %bh
    movw $0x184f, %dx /* the last cell: a character there scrolls */
    int $0x10
    movw $0x0e2a, %ax
    movw $0x0007, %bx
    int $0x10
    movb $0x03, %ah
    movb $0, %bh
    int $0x10
    cmpw $0x1800, %dx
    ok e, "0Eh scrolls at the end of the screen"
    pushw %es
    movw $0x1130, %ax
    movb $6, %bh
    int $0x10
    cmpw $16, %cx
    ok e, "1130h tells 16 lines"
    cmpb $24, %dl
    ok e, "1130h tells 25 rows"
    movw %bp, %di /* the letter I has dots in its first lines */
    addw $'I' * 16 + 4, %di
    cmpb $0, %es:(%di)
    ok ne, "1130h points at the font"
    popw %es
    movw $0x1a00, %ax
    int $0x10
    cmpb $0x1a, %al
    ok e, "1A00h is there"
    cmpb $8, %bl
    ok e, "1A00h tells a colour VGA"
    movw $0x0003, %ax
    int $0x10
    ret
string: .ascii "Hello"

/* Mode in AL: a pixel is read as it was written. */
    .macro pixel mode, colour, name
    movw $\mode, %ax
    int $0x10
    movw $0x0c00 | \colour, %ax
    movb $0, %bh
    movw $101, %cx
    movw $57, %dx
    int $0x10
    movw $0x0d00, %ax
    movb $0, %bh
    int $0x10
    cmpb $\colour, %al
    ok e, "\name"
    movw $0x0d00, %ax
    movb $0, %bh
    movw $102, %cx
    int $0x10
    cmpb $0, %al
    ok e, "\name, beside"
    .endm

graphics:
    pixel 0x13, 0x5a, "mode 13h: 0Ch and 0Dh"
    pushw %es
    pushw $0xa000
    popw %es
    cmpb $0x5a, %es:57 * 320 + 101
    ok e, "mode 13h: a byte per pixel"
    popw %es
    pixel 0x12, 0x0b, "mode 12h: 0Ch and 0Dh"
    pixel 0x0d, 0x06, "mode 0Dh: 0Ch and 0Dh"
    pixel 0x04, 0x02, "mode 04h: 0Ch and 0Dh"
    pixel 0x06, 0x01, "mode 06h: 0Ch and 0Dh"
    movw $0x0013, %ax
    int $0x10
    movw $0x0edb, %ax /* a full block: its pixels have the colour */
    movw $0x0004, %bx
    int $0x10
    pushw %es
    pushw $0xa000
    popw %es
    cmpw $0x0404, %es:7 * 320 + 6
    ok e, "mode 13h: 0Eh draws"
    popw %es
    movw $0x0003, %ax
    int $0x10
    ret

vbe:
    movl $0x32454256, BUFFER /* VBE2 */
    movw $0x4f00, %ax
    movw $BUFFER, %di
    int $0x10
    cmpw $0x004f, %ax
    ok e, "4F00h"
    cmpl $0x41534556, BUFFER
    ok e, "4F00h says VESA"
    movw $0x4f01, %ax
    movw $0x112, %cx
    movw $BUFFER, %di
    int $0x10
    cmpw $0x004f, %ax
    ok e, "4F01h of mode 112h"
    cmpw $640, BUFFER + 18
    ok e, "mode 112h is 640 wide"
    cmpw $480, BUFFER + 20
    ok e, "mode 112h is 480 high"
    cmpl $0, BUFFER + 40
    ok ne, "mode 112h has a linear buffer"
    movw $0x4f02, %ax
    movw $0x4112, %bx
    int $0x10
    cmpw $0x004f, %ax
    ok e, "4F02h"
    movw $0x4f03, %ax
    int $0x10
    andw $0x3fff, %bx
    cmpw $0x0112, %bx
    ok e, "4F03h tells the mode"
    movw $0x0003, %ax
    int $0x10
    movw $0x4f03, %ax
    int $0x10
    cmpb $3, %bl
    ok e, "4F03h tells mode 3 after it"
    ret

/* ---- INT 13h -------------------------------------------------------------------------------- */

disk:
    movb $0x08, %ah
    movb drive, %dl
    xorw %di, %di
    int $0x13
    ok nc, "08h"
    cmpb $1, %dl
    ok e, "08h tells one disk"
    pushw $0
    popw %es
    movb $0x15, %ah
    movb drive, %dl
    int $0x13
    ok nc, "15h"
    cmpb $3, %ah
    ok e, "15h tells a hard disk"
    movb $0x41, %ah
    movw $0x55aa, %bx
    movb drive, %dl
    int $0x13
    ok nc, "41h"
    cmpw $0xaa55, %bx
    ok e, "41h answers"
    testw $1, %cx
    ok nz, "41h tells 42h to 48h"
    movw $0x4200, %ax /* block 0: this program */
    call edd
    ok nc, "42h"
    cmpw $0xaa55, BUFFER + 510
    ok e, "42h reads the boot sector"
    movw $BUFFER, %di
    movw $256, %cx
    movw $0x1234, %ax
1:  stosw
    addw $0x0101, %ax
    loop 1b
    movl $SCRATCH, block
    movw $0x4300, %ax
    call edd
    ok nc, "43h"
    movw $BUFFER, %di
    movw $256, %cx
    xorw %ax, %ax
    rep stosw
    movw $0x0201, %ax /* the same by cylinder, head, sector: SCRATCH is below 63 */
    movw $BUFFER, %bx
    movw $SCRATCH + 1, %cx
    movb $0, %dh
    movb drive, %dl
    int $0x13
    ok nc, "02h"
    cmpb $1, %al
    ok e, "02h tells one sector"
    cmpw $0x1234, BUFFER
    ok e, "02h reads what 43h wrote"
    cmpw $0x1234 + 255 * 0x0101 - 0x10000, BUFFER + 510
    ok e, "02h reads all of it"
    movw $0x1e, BUFFER
    movb $0x48, %ah
    movw $BUFFER, %si
    movb drive, %dl
    int $0x13
    ok nc, "48h"
    cmpl $64, BUFFER + 16
    ok e, "48h tells the sectors"
    cmpw $512, BUFFER + 24
    ok e, "48h tells their size"
    movl $64, block /* behind the end */
    movw $0x4200, %ax
    call edd
    ok c, "42h behind the end fails"
    movw $0x0201, %ax
    movw $BUFFER, %bx
    movw $1, %cx
    movw $0x00ff, %dx
    int $0x13
    ok c, "02h of no drive fails"
    movb $0x00, %ah
    movb drive, %dl
    int $0x13
    ok nc, "00h"
    ret
edd:
    movw $packet, %si
    movb drive, %dl
    int $0x13
    ret
packet:
    .byte 16, 0
    .word 1, BUFFER, 0
block:
    .quad 0

/* ---- INT 11h, 12h, 15h ---------------------------------------------------------------------- */

memory:
    int $0x11
    testw $2, %ax
    ok nz, "INT 11h tells a coprocessor"
    int $0x12
    cmpw $600, %ax
    ok ae, "INT 12h tells more than 600 KiB"
    cmpw $640, %ax
    ok be, "INT 12h tells no more than 640 KiB"
    xorl %ebx, %ebx
    movw $0, regions
    movl $0, usable
1:  movl $0xe820, %eax
    movl $0x534d4150, %edx
    movl $20, %ecx
    movw $BUFFER, %di
    int $0x15
    ok nc, "E820h"
    cmpl $0x534d4150, %eax
    ok e, "E820h answers SMAP"
    incw regions
    cmpl $1, BUFFER + 16
    jne 2f
    movl BUFFER + 8, %eax
    addl %eax, usable
2:  testl %ebx, %ebx
    jnz 1b
    cmpw $4, regions
    ok ae, "E820h has several regions"
    cmpl $31 << 20, usable
    ok ae, "E820h tells nearly 32 MiB of RAM"
    cmpl $32 << 20, usable
    ok b, "E820h tells less than 32 MiB of RAM"
    movb $0x88, %ah
    int $0x15
    ok nc, "88h"
    cmpw $30 * 1024, %ax
    ok ae, "88h tells what is above 1 MiB"
    movw $0xe801, %ax
    int $0x15
    ok nc, "E801h"
    cmpw $15 * 1024, %ax
    ok e, "E801h tells 15 MiB"
    cmpw $250, %bx
    ok ae, "E801h tells what is above 16 MiB"
    movw $0x2401, %ax
    int $0x15
    ok nc, "2401h"
    movw $0x2402, %ax
    int $0x15
    ok nc, "2402h"
    cmpb $1, %al
    ok e, "2402h tells A20 on"
    movl $0xcafef00d, BUFFER /* up to 2 MiB and back */
    movw $move_up, %si
    call move
    movl $0, BUFFER
    movw $move_down, %si
    call move
    cmpl $0xcafef00d, BUFFER
    ok e, "87h copies to 2 MiB and back"
    movb $0xc0, %ah
    int $0x15
    ok nc, "C0h"
    cmpb $0xfc, %es:2(%bx)
    ok e, "C0h tells a PC/AT"
    pushw $0
    popw %es
    movw $0x5555, %ax
    int $0x15
    ok c, "an unknown function of INT 15h fails"
    ret
move:
    movb $0x87, %ah
    movw $2, %cx
    int $0x15
    ok nc, "87h"
    ret
    .macro descriptor base
    .word 0xffff, (\base) & 0xffff
    .byte (\base) >> 16 & 0xff, 0x93
    .word 0
    .endm
    .balign 8
move_up:
    .quad 0, 0
    descriptor BUFFER
    descriptor 0x200000
    .quad 0, 0
move_down:
    .quad 0, 0
    descriptor 0x200000
    descriptor BUFFER
    .quad 0, 0
regions: .word 0
usable: .long 0

/* ---- INT 16h -------------------------------------------------------------------------------- */

/* A byte as if it came from the keyboard: the 8042's command D2h. */
type:
    movb %al, %ah
    call settle
    movb $0xd2, %al
    outb %al, $0x64
    call settle
    movb %ah, %al
    outb %al, $0x60
settle: /* the controller takes the next byte, and the interrupt is over */
    movw $0x4000, %cx
1:  inb $0x64, %al
    testb $2, %al
    loopnz 1b
    movw $0x0400, %cx
2:  nop
    loop 2b
    ret

    .macro types codes:vararg
    .irp code, \codes
    movb $\code, %al
    call type
    .endr
    .endm
    .macro key function, code, text
    movb $\function, %ah
    int $0x16
    cmpw $\code, %ax
    ok e, "\text"
    .endm

keyboard:
    movb $0x01, %ah
    int $0x16
    ok z, "01h: no key"
    types 0x1e, 0x9e
    movb $0x01, %ah
    int $0x16
    ok nz, "01h: a key"
    cmpw $0x1e61, %ax
    ok e, "01h: a"
    key 0x00, 0x1e61, "00h: a"
    movb $0x01, %ah
    int $0x16
    ok z, "00h takes the key"
    types 0x2a, 0x1e
    movb $0x02, %ah
    int $0x16
    testb $2, %al
    ok nz, "02h: left shift"
    types 0x9e, 0xaa
    key 0x00, 0x1e41, "00h: A"
    types 0x1d, 0x2e, 0xae, 0x9d
    key 0x10, 0x2e03, "10h: Ctrl-C"
    types 0x38, 0x3b, 0xbb, 0xb8
    key 0x10, 0x6800, "10h: Alt-F1"
    types 0xe0, 0x48, 0xe0, 0xc8
    key 0x10, 0x48e0, "10h: the grey arrow up"
    types 0xe0, 0x48, 0xe0, 0xc8
    key 0x00, 0x4800, "00h: the grey arrow up"
    movb $0x05, %ah
    movw $0x1234, %cx
    int $0x16
    testb %al, %al
    ok z, "05h"
    key 0x10, 0x1234, "10h: what 05h put there"
    ret

/* ---- INT 1Ah -------------------------------------------------------------------------------- */

time:
    movb $0x00, %ah
    int $0x1a
    movw %dx, %si
    movb $0x00, %ah
1:  pushw %si
    int $0x1a
    popw %si
    cmpw %si, %dx
    movb $0x00, %ah
    je 1b /* a tick comes, or the test hangs */
    movb $0x02, %ah
    int $0x1a
    ok nc, "02h: the clock"
    cmpb $0x24, %ch
    ok b, "02h: an hour in BCD"
    movb $0x04, %ah
    int $0x1a
    ok nc, "04h: the date"
    cmpb $0x20, %ch
    ok e, "04h: the century"
    movw $0xb101, %ax
    int $0x1a
    ok nc, "B101h"
    cmpl $0x20494350, %edx
    ok e, "B101h says PCI"
    movw $0xb102, %ax /* the host bridge */
    movw $0x1237, %cx
    movw $0x8086, %dx
    movw $0, %si
    int $0x1a
    ok nc, "B102h"
    testw %bx, %bx
    ok z, "B102h finds the host bridge"
    movw $0xb109, %ax
    movw $0x0002, %di
    int $0x1a
    ok nc, "B109h"
    cmpw $0x1237, %cx
    ok e, "B109h reads the device id"
    xorw %cx, %cx /* 20 ms */
    movw $20000, %dx
    movb $0x86, %ah
    int $0x15
    ok nc, "INT 15h, 86h"
    ret

    .org 64 * 512 /* a disk of 32 KiB */
