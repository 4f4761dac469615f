/*
 * oracle_stub.S: loads a complete user-mode state, jumps to the instruction under test, and stores
 * the state behind it. Copied to ORACLE_STUB; every address is absolute. See oracle.h.
 */
#if defined(__x86_64__)
#include "tests/insn/oracle.h"

        .section .rodata
        .code64
        .globl oracle_stub, oracle_stub_end
        .globl oracle_stub_leave64, oracle_stub_enter32, oracle_stub_leave32

/* void enter64(void): SysV call; comes back through leave64. */
oracle_stub:
        push    %rbx
        push    %rbp
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        mov     %rsp, CTX_HOST_RSP
        mov     $7, %eax
        xor     %edx, %edx
        xrstor64 CTX_XSAVE_IN
        mov     $CTX_FLAGS_IN, %esp
        popfq
        mov     CTX_GPR_IN + 0, %rax
        mov     CTX_GPR_IN + 8, %rcx
        mov     CTX_GPR_IN + 16, %rdx
        mov     CTX_GPR_IN + 24, %rbx
        mov     CTX_GPR_IN + 32, %rsp
        mov     CTX_GPR_IN + 40, %rbp
        mov     CTX_GPR_IN + 48, %rsi
        mov     CTX_GPR_IN + 56, %rdi
        mov     CTX_GPR_IN + 64, %r8
        mov     CTX_GPR_IN + 72, %r9
        mov     CTX_GPR_IN + 80, %r10
        mov     CTX_GPR_IN + 88, %r11
        mov     CTX_GPR_IN + 96, %r12
        mov     CTX_GPR_IN + 104, %r13
        mov     CTX_GPR_IN + 112, %r14
        mov     CTX_GPR_IN + 120, %r15
        jmp     *CTX_CODE

oracle_stub_leave64:
        mov     %rsp, CTX_GPR_OUT + 32
        mov     $CTX_FLAGS_OUT + 8, %esp
        pushfq
        mov     %rax, CTX_GPR_OUT + 0
        mov     %rcx, CTX_GPR_OUT + 8
        mov     %rdx, CTX_GPR_OUT + 16
        mov     %rbx, CTX_GPR_OUT + 24
        mov     %rbp, CTX_GPR_OUT + 40
        mov     %rsi, CTX_GPR_OUT + 48
        mov     %rdi, CTX_GPR_OUT + 56
        mov     %r8, CTX_GPR_OUT + 64
        mov     %r9, CTX_GPR_OUT + 72
        mov     %r10, CTX_GPR_OUT + 80
        mov     %r11, CTX_GPR_OUT + 88
        mov     %r12, CTX_GPR_OUT + 96
        mov     %r13, CTX_GPR_OUT + 104
        mov     %r14, CTX_GPR_OUT + 112
        mov     %r15, CTX_GPR_OUT + 120
        jmp     save_vectors

/* Comes here from leave32 too: clean flags and floating point, back to the caller's stack. */
save_vectors:
        mov     $7, %eax
        xor     %edx, %edx
        xsave64 CTX_XSAVE_OUT
        cmpl    $0, CTX_HAS_AVX
        je      1f
        vzeroupper
1:
        mov     CTX_HOST_RSP, %rsp
        push    $2
        popfq
        fninit
        push    $0x1f80
        ldmxcsr (%rsp)
        pop     %rax
        pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        pop     %rbp
        pop     %rbx
        ret

/* The same for 32-bit code: the far jump goes to the compatibility code segment. */
oracle_stub_enter32:
        push    %rbx
        push    %rbp
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        mov     %rsp, CTX_HOST_RSP
        mov     $ORACLE_DS, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     $7, %eax
        xor     %edx, %edx
        xrstor64 CTX_XSAVE_IN
        mov     $CTX_FLAGS_IN, %esp
        popfq
        mov     CTX_GPR_IN + 0, %eax
        mov     CTX_GPR_IN + 8, %ecx
        mov     CTX_GPR_IN + 16, %edx
        mov     CTX_GPR_IN + 24, %ebx
        mov     CTX_GPR_IN + 32, %esp
        mov     CTX_GPR_IN + 40, %ebp
        mov     CTX_GPR_IN + 48, %esi
        mov     CTX_GPR_IN + 56, %edi
        ljmp    *CTX_FAR

        .code32
oracle_stub_leave32:
        mov     %esp, CTX_GPR_OUT + 32
        mov     $CTX_FLAGS_OUT + 4, %esp
        pushf
        mov     %eax, CTX_GPR_OUT + 0
        mov     %ecx, CTX_GPR_OUT + 8
        mov     %edx, CTX_GPR_OUT + 16
        mov     %ebx, CTX_GPR_OUT + 24
        mov     %ebp, CTX_GPR_OUT + 40
        mov     %esi, CTX_GPR_OUT + 48
        mov     %edi, CTX_GPR_OUT + 56
        ljmp    $ORACLE_CS64, $(ORACLE_STUB + (in_64_bit_mode - oracle_stub))

        .code64
in_64_bit_mode:
        jmp     save_vectors
oracle_stub_end:
#endif
        .section .note.GNU-stack, "", @progbits
