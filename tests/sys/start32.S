/*
 * start32.S: multiboot entry, the way into a snippet and back out of it: see sys32.h.
 */
#define MB_MAGIC 0x1badb002
#define R_EDI 0
#define R_ESP 12
#define R_EAX 28
#define R_EIP 32
#define R_CS 36
#define R_EFLAGS 40
#define R_SS 44
#define R_DS 48
#define R_ES 52
#define R_FS 56
#define R_GS 60
#define EFLAGS_VM 0x20000
#define CS0 0x08
#define DS0 0x10
#define CS16 0x48
#define DS16 0x50
#define CS16_BIG 0x58

    .section .multiboot, "a"
    .balign 4
    .long MB_MAGIC, 0, -MB_MAGIC

    .text
    .code32
    .globl start
start:
    cli
    cld
    movl $stack_top, %esp
    pushl $2
    popfl
    movl $low_load, %esi
    movl $low_start, %edi
    movl $low_end, %ecx
    subl %edi, %ecx
    rep movsb
    call sys_main
1:  hlt
    jmp 1b

    .globl load_tables
load_tables:
    lgdt gdtr
    lidt idtr
    ljmp $CS0, $1f
1:  movl $DS0, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %fs
    movl %eax, %gs
    movl %eax, %ss
    ret

/* ---- into protected or virtual-8086 mode ------------------------------------------------------ */

    .globl enter_snippet
enter_snippet:
    pushal
    pushfl
    movl %esp, run_esp
    movl $in, %ebx
    testl $EFLAGS_VM, R_EFLAGS(%ebx)
    jnz 1f
    testl $3, R_CS(%ebx)
    jnz 2f
    movw R_SS(%ebx), %ss
    movl R_ESP(%ebx), %esp
    jmp 3f
1:  pushl R_GS(%ebx)
    pushl R_FS(%ebx)
    pushl R_DS(%ebx)
    pushl R_ES(%ebx)
2:  pushl R_SS(%ebx)
    pushl R_ESP(%ebx)
3:  pushl R_EFLAGS(%ebx)
    pushl R_CS(%ebx)
    pushl R_EIP(%ebx)
    testl $EFLAGS_VM, R_EFLAGS(%ebx)
    jz 4f
    pushl $0
    pushl $0
    pushl $0
    pushl $0
    jmp 5f
4:  pushl R_DS(%ebx)
    pushl R_ES(%ebx)
    pushl R_FS(%ebx)
    pushl R_GS(%ebx)
5:  leal R_EAX(%ebx), %esi
    movl $8, %ecx
6:  pushl (%esi)
    subl $4, %esi
    loop 6b
    popal
    popl %gs
    popl %fs
    popl %es
    popl %ds
    .globl enter_iret
enter_iret:
    iretl

/* ---- back out --------------------------------------------------------------------------------- */

    .balign 16
    .globl stubs
stubs:
    .set n, 0
    .rept 256
    .balign 16
    .byte 0x68
    .long n
    jmp trapped
    .set n, n + 1
    .endr

trapped:
    pushal
    pushfl
    pushl %ds
    pushl %es
    pushl %fs
    pushl %gs
    movl $DS0, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %esp, %eax
    movl %ss, %ecx
    movl %cs, %edx
    movl $DS0, %ebx
    movl %ebx, %ss
    movl run_esp, %esp
    movl %ebx, %fs
    movl %ebx, %gs
    pushl $2
    popfl
    call trap_record
    popfl
    popal
    ret

/* The double fault's task: the state of the run is in the task segment that it came from. */
    .globl df_entry
df_entry:
    popl %eax
    movl run_esp, %esp
    clts
    pushl $2
    popfl
    call df_record
    popfl
    popal
    ret

/* ---- into real mode ------------------------------------------------------------------------- */

    .globl enter_real
enter_real:
    pushal
    pushfl
    movl %esp, run_esp
    lidt real_idtr
    movl real_flat, %edx
    movl $DS16, %ecx
    movl $DS0, %ebx
    .macro real_seg bit, seg
    movl %ecx, %eax
    testl $\bit, %edx
    jz 1f
    movl %ebx, %eax
1:  movl %eax, %\seg
    .endm
    real_seg 2, es
    real_seg 4, fs
    real_seg 8, gs
    movl %ecx, %ss
    real_seg 1, ds
    testl $16, %edx
    jnz 1f
    ljmp $CS16, $to_real
1:  ljmp $CS16, $to_real

    .section .low, "awx"
    .code16
to_real:
    movw %cs:real_flat, %dx
    testw $16, %dx
    jz 1f
    ljmp $CS16_BIG, $1f
1:  movl %cr0, %eax
    andl $0x7ffffffe, %eax
    movl %eax, %cr0
    ljmp $0, $1f
1:  movw %cs:in + R_SS, %ss
    movl %cs:in + R_ESP, %esp
    pushl %cs:in + R_EFLAGS
    pushl %cs:in + R_CS
    pushl %cs:in + R_EIP
    movw %cs:in + R_ES, %es
    movw %cs:in + R_FS, %fs
    movw %cs:in + R_GS, %gs
    movw %cs:in + R_DS, %ds
    movl %cs:in + 0, %edi
    movl %cs:in + 4, %esi
    movl %cs:in + 8, %ebp
    movl %cs:in + 16, %ebx
    movl %cs:in + 20, %edx
    movl %cs:in + 24, %ecx
    movl %cs:in + 28, %eax
    iretl

/* ---- and back ------------------------------------------------------------------------------- */

    .balign 16
    .globl real_stubs
real_stubs:
    .set n, 0
    .rept 256
    .balign 16
    movb $n, %cs:real_vector
    jmp real_trapped
    .set n, n + 1
    .endr

real_trapped:
    movl %edi, %cs:real_regs + 0
    movl %esi, %cs:real_regs + 4
    movl %ebp, %cs:real_regs + 8
    movl %esp, %cs:real_regs + 12
    movl %ebx, %cs:real_regs + 16
    movl %edx, %cs:real_regs + 20
    movl %ecx, %cs:real_regs + 24
    movl %eax, %cs:real_regs + 28
    movw %ss, %cs:real_regs + R_SS
    movw %ds, %cs:real_regs + R_DS
    movw %es, %cs:real_regs + R_ES
    movw %fs, %cs:real_regs + R_FS
    movw %gs, %cs:real_regs + R_GS
    movw $0, %ax
    movw %ax, %ss
    movl $real_stack_top, %esp
    pushfl
    popl %cs:real_flags
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl $CS0, $from_real

    .balign 4
real_idtr:
    .word 0x3ff
    .long 0
    .globl in, real_flat, real_vector, real_regs, real_flags
    .balign 4
in: .fill 16, 4, 0
real_regs:
    .fill 16, 4, 0
real_flat:
    .long 0
real_flags:
    .long 0
real_vector:
    .long 0
    .fill 64, 4, 0
real_stack_top:

    .text
    .code32
from_real:
    movl $DS0, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %fs
    movl %eax, %gs
    movl %eax, %ss
    movl run_esp, %esp
    lidt idtr
    pushl $2
    popfl
    call real_record
    popfl
    popal
    ret

    .data
    .balign 4
run_esp:
    .long 0
    .globl gdtr, idtr
gdtr:
    .word 64 * 8 - 1
    .long gdt
    .balign 4
idtr:
    .word 256 * 8 - 1
    .long idt

    .bss
    .globl page_a, page_b
    .balign 8192
page_a:
    .fill 4096
page_b:
    .fill 4096
    .fill 16384
stack_top:
    .section .note.GNU-stack, "", @progbits
