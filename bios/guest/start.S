/*
 * start.S: the demo guest's way from the PVH entry (32-bit, no paging) into 64-bit C, its descriptor
 * tables, and the interrupt and system call handlers that the rows measure.
 */
#define PTE_P 1
#define PTE_W 2
#define PTE_U 4
#define PTE_PS 0x80
#define CR0_PE 0x1
#define CR0_MP 0x2
#define CR0_NE 0x20
#define CR0_WP 0x10000
#define CR0_PG 0x80000000
#define CR4_PAE 0x20
#define CR4_PGE 0x80
#define MSR_EFER 0xc0000080
#define EFER_SCE 0x1
#define EFER_LME 0x100
#define APIC_EOI 0xfee000b0

#define XEN_ELFNOTE_PHYS32_ENTRY 18

    .section .note.Xen, "a", @note
    .balign 4
    .long 4, 4, XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .long start32

    .text
    .code32
    .global start32
start32:
    cld
    movl $stack_top, %esp
    /* The first 4 GiB, identity-mapped by 2 MiB pages; user-accessible for the syscall row. */
    movl $pdpt + (PTE_P | PTE_W | PTE_U), pml4
    movl $pd + (PTE_P | PTE_W | PTE_U), %eax
    movl $pdpt, %edi
    movl $4, %ecx
1:  movl %eax, (%edi)
    addl $0x1000, %eax
    addl $8, %edi
    loop 1b
    movl $PTE_P | PTE_W | PTE_U | PTE_PS, %eax
    movl $pd, %edi
    movl $2048, %ecx
2:  movl %eax, (%edi)
    addl $0x200000, %eax
    addl $8, %edi
    loop 2b
    movl $CR4_PAE | CR4_PGE, %eax
    movl %eax, %cr4
    movl $pml4, %eax
    movl %eax, %cr3
    movl $MSR_EFER, %ecx
    rdmsr
    orl $EFER_LME | EFER_SCE, %eax
    wrmsr
    movl $CR0_PE | CR0_MP | CR0_NE | CR0_WP | CR0_PG, %eax
    movl %eax, %cr0
    lgdt gdt_pointer
    ljmp $0x08, $start64

    .code64
start64:
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    movq $stack_top, %rsp
    /* The TSS descriptor's base, in pieces. */
    movl $tss, %eax
    movw %ax, gdt + 0x30 + 2
    shrl $16, %eax
    movb %al, gdt + 0x30 + 4
    movb %ah, gdt + 0x30 + 7
    movl $0x30, %eax
    ltr %ax
    call demo_main
3:  cli
    hlt
    jmp 3b

/* ---- exceptions and interrupts --------------------------------------------------------------- */

/* Nobody expects these: vector in the stub, then C reports and powers off. */
    .macro stub n, has_error
    .balign 16
    .if !\has_error
    pushq $0
    .endif
    .byte 0x6a, \n /* PUSH imm8 */
    jmp unexpected
    .endm

    .balign 16
    .global exception_stubs
exception_stubs:
    .set i, 0
    .rept 32
    .if i == 8 || (i >= 10 && i <= 14) || i == 17 || i == 21
    stub i, 1
    .else
    stub i, 0
    .endif
    .set i, i + 1
    .endr

unexpected:
    popq %rdi           /* vector */
    popq %rsi           /* error code */
    popq %rdx           /* RIP */
    cld
    andq $-16, %rsp
    call demo_unexpected
    jmp 3b

/* #DE: the row's DIV has two bytes. */
    .global handle_divide
handle_divide:
    addq $2, (%rsp)
    iretq

/* #UD: without a hypervisor VMCALL (three bytes) is one. */
    .global handle_undefined
handle_undefined:
    incq undefined_count
    addq $3, (%rsp)
    iretq

/* #PF: makes the row's page present again; any other address is unexpected. */
    .global handle_page_fault
handle_page_fault:
    pushq %rax
    movq %cr2, %rax
    cmpq test_page, %rax
    jne 1f
    orq $PTE_P, test_pt
    popq %rax
    addq $8, %rsp
    iretq
1:  popq %rax
    pushq $14
    jmp unexpected

    .global handle_int
handle_int:
    iretq

/* Local APIC timer and IPI: counted, acknowledged in the APIC. */
    .global handle_irq
handle_irq:
    pushq %rax
    incq irq_count
    movl $APIC_EOI, %eax
    movl $0, (%rax)
    popq %rax
    iretq

/* The same, but acknowledged in memory when the hypervisor offers it (KVM PV EOI). */
    .global handle_irq_pv_eoi
handle_irq_pv_eoi:
    incq irq_count
    btrl $0, pv_eoi_word
    jc 1f
    pushq %rax
    movl $APIC_EOI, %eax
    movl $0, (%rax)
    popq %rax
1:  iretq

    .global handle_spurious
handle_spurious:
    iretq

/* ---- system calls ---------------------------------------------------------------------------- */

/* RAX = 0: back at once. Else: the user loop is over, return from run_user_loop. */
    .global handle_syscall
handle_syscall:
    testl %eax, %eax
    jnz 1f
    sysretq
1:  movq saved_rsp, %rsp
    popq %rbx
    ret

/* void run_user_loop(u64 n): n system calls from CPL 3. */
    .global run_user_loop
run_user_loop:
    pushq %rbx
    movq %rsp, saved_rsp
    movq %rdi, %rbx
    movq $user_stack_top, %rsp
    movl $user_loop, %ecx
    movl $2, %r11d
    sysretq

user_loop:
    xorl %eax, %eax
1:  syscall
    decq %rbx
    jnz 1b
    movl $1, %eax
    syscall

/* ---- near calls ------------------------------------------------------------------------------ */

    .global just_return
just_return:
    ret

/* ---- tables ---------------------------------------------------------------------------------- */

    .data
    .balign 16
    .global gdt_pointer
gdt_pointer:
    .word gdt_end - gdt - 1
    .quad gdt
    .balign 16
gdt:
    .quad 0
    .quad 0x00af9b000000ffff /* 08: kernel code, 64-bit */
    .quad 0x00cf93000000ffff /* 10: kernel data */
    .quad 0                  /* 18: SYSRET's 32-bit code, unused */
    .quad 0x00cff3000000ffff /* 20: user data */
    .quad 0x00affb000000ffff /* 28: user code, 64-bit */
    .quad 0x0000890000000067 /* 30: TSS; base filled in above */
    .quad 0
gdt_end:
    .balign 16
tss:
    .long 0
    .quad stack_top /* RSP0 */
    .fill 23, 4, 0
    .global test_page
test_page:
    .quad 0x8000000000 /* first address of PML4 entry 1 */

    .bss
    .balign 4096
    .global pml4, test_pdpt, test_pd, test_pt
pml4:      .skip 4096
pdpt:      .skip 4096
pd:        .skip 4 * 4096
test_pdpt: .skip 4096
test_pd:   .skip 4096
test_pt:   .skip 4096
    .skip 8192
stack_top:
    .skip 4096
user_stack_top:
saved_rsp: .skip 8
    .global irq_count, undefined_count
irq_count: .skip 8
undefined_count: .skip 8
    .balign 64
    .global pv_eoi_word
pv_eoi_word: .skip 4

    .section .note.GNU-stack, "", @progbits
