/*
 * modes.S: the guest of the debuggers' tests: a boot sector that goes from real through protected to
 * long mode. What a test stops at has a fixed address; between, there are NOPs.
 *
 *   7c00 start      7c20 real: counts CX down to 0, `count` up    7c30 calls 7c38
 *   7c50 turns protection on    7c80 protected: a far jump later, EAX = DEADBEEF
 *   7ca8 turns paging on, 0 to 2 MiB one to one    7d00 long: RAX = 1122334455667788
 *   7d20 loop: counts RCX down from 1000, RBX up, writes it to `word`
 *   7d40 page fault at 123456789000, whose handler 7d60 says so at port E9
 *   7d80 WRMSR, OUT to 80h, CPUID, an x87 and an SSE number    7dc0 HLT
 */
#define COUNT 0x600
#define WORD 0x608

    .code16
    .globl _start
_start:
    xor %ax, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $0x7c00, %sp
    ljmp $0x7c0, $0x20 /* from here on CS has a base */

    .org 0x20, 0x90
    mov $5, %cx
    movw $0, COUNT
1:  incw COUNT
    loop 1b
    .org 0x30, 0x90
    mov $0x1234, %ax
    call function
    jmp 2f

    .org 0x38, 0x90
function:
    push %ax
    pop %bx
    ret

    .org 0x50, 0x90
2:  cli
    lgdtl 0x7db0
    mov %cr0, %eax
    or $1, %al
    mov %eax, %cr0
    ljmpl $8, $0x7c80

    .code32
    .org 0x80, 0x90
    mov $16, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $0x9000, %esp
    mov $0xdeadbeef, %eax
    push %eax
    pop %edx
    nop

    .org 0xa8, 0x90
    mov $0x1000, %edi /* PML4 1000, PDPT 2000, page directory 3000 */
    mov %edi, %cr3
    xor %eax, %eax
    mov $0x1000, %ecx
    rep stosl
    movl $0x2003, 0x1000
    movl $0x3003, 0x2000
    movl $0x83, 0x3000
    mov $0x620, %eax /* PAE, OSFXSR, OSXMMEXCPT */
    mov %eax, %cr4
    mov $0xc0000080, %ecx
    rdmsr
    or $1, %ah
    wrmsr
    mov $0x80000011, %eax
    mov %eax, %cr0
    ljmp $24, $0x7d00

    .code64
    .org 0x100, 0x90
    lidt 0x7db6
    movabs $0x1122334455667788, %rax
    xor %ebx, %ebx
    mov $1000, %ecx
    .org 0x120, 0x90
3:  inc %rbx
    mov %rbx, WORD
    dec %rcx
    jnz 3b

    .org 0x140, 0x90
    movabs $0x123456789000, %rsi
    mov (%rsi), %rdx
    nop
    jmp 4f
    .org 0x160, 0x90
    mov $0x46, %al /* F; the handler goes on behind the instruction */
    out %al, $0xe9
    addq $3, 8(%rsp)
    add $8, %rsp
    iretq

    .org 0x180, 0x90
4:
    mov $0xc0000102, %ecx
    mov $0x77, %eax
    xor %edx, %edx
    wrmsr
    out %al, $0xe4
    fninit
    fldpi
    mov $0x3ff0000000000000, %rax
    movq %rax, %xmm1
    .org 0x1ac, 0x90
    hlt

    .org 0x1b0, 0x90 /* what LGDT loads */
    .word 31
    .long 0x7dd0
    /* The page fault's gate is entry 14 of a table that nothing else is read of. */
    .org 0x1b6, 0x90
    .word 0xff
    .long 0x7dc0 - 14 * 16, 0
    .org 0x1c0, 0x90
    .word 0x7d60, 24, 0x8e00, 0, 0, 0, 0, 0
    .org 0x1d0, 0x90
    .long 0, 0, 0x0000ffff, 0x00cf9a00, 0x0000ffff, 0x00cf9200, 0x0000ffff, 0x00af9a00
    .org 0x1fe, 0x90
    .word 0xaa55
