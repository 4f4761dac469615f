/*
 * long_start.S: from the multiboot entry to main() in 64-bit mode, and the ways in and out of guarded
 * calls. The picture of memory is in long.h.
 */
#include "long_defs.h"

    .section .multiboot, "a"
    .balign 4
    .long 0x1badb002, 0, -0x1badb002

    .section .bss
    .balign 4096
    .global boot_pml4, boot_pdpt, boot_pd_low, boot_pd_user, boot_pd_high
boot_pml4:      .skip 4096
boot_pdpt:      .skip 4096
boot_pd_low:    .skip 4096
boot_pd_user:   .skip 4096
boot_pd_high:   .skip 4096
boot_stack:     .skip 32768
boot_stack_top:
user_stack:     .skip 32768
    .global user_stack_top
user_stack_top: .skip 16
    .global tss_area, rsp0_stack_top, ist_stacks
    .balign 16
rsp0_stack:     .skip 16384
rsp0_stack_top:
ist_stacks:     .skip 7 * IST_BYTES
tss_area:       .skip 128

    .data
    .balign 16
    .global gdt
gdt:
    .quad 0
    .quad 0x00af9b000000ffff /* KCS */
    .quad 0x00cf93000000ffff /* KDS */
    .quad 0x00cf9b000000ffff /* KCS32 */
    .quad 0x00cffb000000ffff /* UCS32 */
    .quad 0x00cff3000000ffff /* UDS */
    .quad 0x00affb000000ffff /* UCS */
    .quad 0, 0               /* TSS */
    .skip GDT_BYTES - 9 * 8
gdt_end:
    .global gdt_pointer
    .balign 8
    .skip 6
gdt_pointer:
    .word GDT_BYTES - 1
    .quad gdt

    .text
    .code32
    .global _start
_start:
    cld
    cli
    mov $boot_stack_top, %esp
    mov $0x80000001, %eax
    cpuid
    test $(1 << 29), %edx
    jz no_long_mode

    mov $boot_pdpt + 7, %eax
    mov %eax, boot_pml4
    movl $boot_pd_low + 7, boot_pdpt
    movl $boot_pd_user + 7, boot_pdpt + 8
    movl $boot_pd_high + 7, boot_pdpt + 24
    xor %ecx, %ecx
1:  mov %ecx, %eax
    shl $21, %eax
    lea 0x83(%eax), %edx
    mov %edx, boot_pd_low(, %ecx, 8)
    lea 0x87(%eax), %edx
    mov %edx, boot_pd_user(, %ecx, 8)
    lea 0xc0000083(%eax), %edx
    mov %edx, boot_pd_high(, %ecx, 8)
    inc %ecx
    cmp $512, %ecx
    jb 1b

    mov $(1 << 5 | 3 << 9), %eax /* PAE, OSFXSR, OSXMMEXCPT */
    mov %eax, %cr4
    mov $boot_pml4, %eax
    mov %eax, %cr3
    mov $0xc0000080, %ecx
    rdmsr
    or $(1 << 8), %eax
    wrmsr
    mov $0x80010033, %eax /* PG, WP, NE, ET, MP, PE */
    mov %eax, %cr0
    lgdt gdt_pointer
    ljmp $KCS, $start64

no_long_mode:
    mov $no_long_mode_text, %esi
1:  lodsb
    out %al, $0xe9
    test %al, %al
    jnz 1b
    mov $EXIT_FAIL, %eax
    out %eax, $0xf4
2:  hlt
    jmp 2b

    .section .rodata
no_long_mode_text:
    .asciz "FAIL start: this CPU model has no long mode\n"

    .text
    .code64
start64:
    mov $KDS, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    xor %eax, %eax
    mov %eax, %fs
    mov %eax, %gs
    mov $boot_stack_top, %esp
    call long_main
1:  hlt
    jmp 1b

/* ---- exceptions and interrupts ------------------------------------------------------------------ */

    .balign 16
    .global trap_stubs
trap_stubs:
    .set vector, 0
    .rept 256
    .balign 16
    .if vector != 8 && vector != 17 && vector != 21 && (vector < 10 || vector > 14)
    push $0
    .endif
    push $vector
    jmp trap_common
    .set vector, vector + 1
    .endr

    .global trap_common
trap_common:
    push %rax
    push %rcx
    push %rdx
    push %rbx
    push %rbp
    push %rsi
    push %rdi
    push %r8
    push %r9
    push %r10
    push %r11
    push %r12
    push %r13
    push %r14
    push %r15
    cld
    mov %rsp, %rdi
    mov %rsp, %rbp
    and $-16, %rsp
    call trap_handler
    mov %rbp, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rdi
    pop %rsi
    pop %rbp
    pop %rbx
    pop %rdx
    pop %rcx
    pop %rax
    add $16, %rsp
    iretq

/* ---- guarded calls ------------------------------------------------------------------------------- */

    .bss
    .balign 8
    .global guard_rsp, guard_vector
guard_rsp:    .skip 8
guard_vector: .skip 8

    .text
    .macro SAVE
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    sub $8, %rsp
    mov %rsp, guard_rsp(%rip)
    .endm

/* u64 guarded(void (*fn)(u64), u64 arg): the vector of the exception that ended it, or NO_TRAP. */
    .global guarded
guarded:
    SAVE
    mov %rdi, %rax
    mov %rsi, %rdi
    call *%rax
    movq $NO_TRAP, guard_vector(%rip)

    .global guard_resume
guard_resume:
    movq $0, guard_rsp(%rip)
    cld
    mov guard_vector(%rip), %rax
    add $8, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret

/* u64 guarded_user(u64 rip, u64 arg, u64 cs, u64 rflags): the same at CPL 3; rip is an address as
 * the user sees it. It may return to its caller: on the stack lies the way to VEC_RETURN. */
    .global guarded_user
guarded_user:
    SAVE
    lea user_stack_top(%rip), %rax
    add $USER_OFFSET, %rax
    lea user_return(%rip), %r8
    add $USER_OFFSET, %r8
    lea -8(%rax), %r9
    mov %r8, user_stack_top - 8(%rip)
    push $UDS
    push %r9
    push %rcx
    push %rdx
    push %rdi
    mov %rsi, %rdi
    mov $UDS, %eax
    mov %eax, %ds
    mov %eax, %es
    iretq

user_return:
    int $VEC_RETURN

    .section .note.GNU-stack, "", @progbits
