/*
 * hypercall.S: lab 1. Find KVM, make CALLS hypercalls KVM_HC_VAPIC_POLL_IRQ (number 1), and print
 *
 *     calls=1000 result=0 ticks=N
 *
 * N being the ticks of the TSC of all calls together; without KVM print "no hypervisor" and make no call.
 *
 * CPUID.01H:ECX[bit 31] says that there is a hypervisor; leaf 40000000H has its name in EBX, ECX, EDX:
 * KVMKVMKVM and three bytes 0. A call is VMCALL, or on AMD's processors VMMCALL: RAX is the number, and
 * comes back as the result.
 */
#include "guest.inc"

#define CALLS 1000

main:
    /* Your code. */
    say "nothing yet\n"
    ret
