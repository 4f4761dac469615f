/*
 * smp_start.S: from the start-up IPI to ap_main() in 64-bit mode. The trampoline is copied to
 * AP_CODE; it takes the tables of the first CPU and a stack by its number.
 */
#include "smp_defs.h"

    .section .rodata
    .global ap_code, ap_code_end
    .code16
ap_code:
    cli
    cld
    mov %cs, %ax
    mov %ax, %ds
    mov %ax, ap_entry_cs - ap_code
    sgdt ap_entry_gdt - ap_code
    mov %cr0, %eax
    mov %eax, ap_entry_cr0 - ap_code
    lidtl no_idt - ap_code
    lgdtl ap_gdt_pointer - ap_code
    mov ap_cr4 - ap_code, %eax
    mov %eax, %cr4
    mov ap_cr3 - ap_code, %eax
    mov %eax, %cr3
    mov $0xc0000080, %ecx
    rdmsr
    or $(1 << 8), %eax
    wrmsr
    mov $0x80010033, %eax
    mov %eax, %cr0
    ljmpl *ap_target - ap_code

    .balign 8
no_idt:         .word 0; .long 0
ap_gdt_pointer: .word 0; .long 0
    .global ap_gdt_pointer, ap_cr3, ap_cr4, ap_target
ap_cr3:         .long 0
ap_cr4:         .long 0
ap_target:      .long 0; .word KCS
    .global ap_entry_cs, ap_entry_cr0, ap_entry_gdt
ap_entry_cs:    .word 0
ap_entry_cr0:   .long 0
ap_entry_gdt:   .word 0; .long 0
ap_code_end:

    .text
    .code64
    .global ap_start64
ap_start64:
    mov $KDS, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    xor %eax, %eax
    mov %eax, %fs
    mov %eax, %gs
    mov $1, %eax
    cpuid
    shr $24, %ebx /* APIC ID */
    lea 1(%rbx), %eax
    imul $AP_STACK_BYTES, %eax, %eax
    lea ap_stacks(%rip), %rsp
    add %rax, %rsp
    mov %ebx, %edi
    call ap_main
1:  hlt
    jmp 1b

    .bss
    .balign 16
ap_stacks: .skip AP_STACK_BYTES * CPUS_MAX

    .section .note.GNU-stack, "", @progbits
