/*
 * mix.S: lab 4. A guest that does what kernels do, a thousand times: it turns interrupts off and on, reads
 * the time, asks CPUID, and gets an interrupt that it sends to itself and ends. Under KVM it ends it as KVM
 * offers (MSR_KVM_PV_EOI_EN): by clearing a bit in memory, if the bit is set.
 */
#include "guest.inc"

#define ROUNDS 1000
#define LAPIC 0xfee00000
#define VECTOR 0x50
#define IDT 0x9000
#define MSR_KVM_PV_EOI_EN 0x4b564d04

main:
    mov $handler, %eax
    and $0xffff, %eax
    mov %cs, %cx
    shl $16, %ecx
    or %ecx, %eax
    mov %eax, IDT + VECTOR * 8
    mov $handler, %eax
    mov $0x8e00, %ax
    mov %eax, IDT + VECTOR * 8 + 4
    lidt idt_pointer
    mov $0xff, %al /* no interrupts of the 8259s */
    out %al, $0x21
    out %al, $0xa1
    movl $0x1ff, LAPIC + 0xf0
    call use_kvm
    mov $ROUNDS, %edi
1:  cli
    pushf
    popf
    rdtsc
    xor %eax, %eax
    cpuid
    movl $0x44000 | VECTOR, LAPIC + 0x300
    sti
    nop
    dec %edi
    jnz 1b
    cli
    ret

use_kvm:
    mov $1, %eax
    cpuid
    bt $31, %ecx
    jnc 1f
    mov $0x40000000, %eax
    cpuid
    cmp $0x4b4d564b, %ebx /* KVMK */
    jne 1f
    mov $MSR_KVM_PV_EOI_EN, %ecx
    mov $eoi_word + 1, %eax
    xor %edx, %edx
    wrmsr
1:  ret

handler:
    btrl $0, eoi_word
    jc 1f
    movl $0, LAPIC + 0xb0
1:  iret

idt_pointer:
    .word (VECTOR + 1) * 8 - 1
    .long IDT

    .data
    .balign 4
eoi_word: .long 0
