/*
 * kvm.c: the KVM interface from the guest's side: signature, features, clock, end of interrupt.
 * Specification: Linux, Documentation/virt/kvm/x86/cpuid.rst, msr.rst and hypercalls.rst.
 */
#include "guest.h"

#define CPUID_HYPERVISOR (1u << 31)
#define LEAF_SIGNATURE 0x40000000
#define LEAF_FEATURES 0x40000001
#define MSR_SYSTEM_TIME_NEW 0x4b564d01
#define MSR_PV_EOI_EN 0x4b564d04

/* pvclock_vcpu_time_info */
static volatile struct {
    u32 version, pad;
    u64 tsc_timestamp, system_time;
    u32 tsc_to_system_mul;
    signed char tsc_shift;
    u8 flags, pad2[2];
} clock __attribute__((aligned(64)));

const char *hypervisor(void)
{
    static char text[13];
    struct cpuid r;
    if (!(cpuid(1).ecx & CPUID_HYPERVISOR))
        return "none";
    r = cpuid(LEAF_SIGNATURE);
    __builtin_memcpy(text, &r.ebx, 4);
    __builtin_memcpy(text + 4, &r.ecx, 4);
    __builtin_memcpy(text + 8, &r.edx, 4);
    return text;
}

int has_kvm(unsigned feature)
{
    const char *h = hypervisor(), *kvm = "KVMKVMKVM";
    while (*kvm)
        if (*h++ != *kvm++)
            return 0;
    return cpuid(LEAF_FEATURES).eax >> feature & 1;
}

void kvm_clock_enable(void)
{
    wrmsr(MSR_SYSTEM_TIME_NEW, (u64)&clock | 1);
}

u64 kvm_clock_ns(void)
{
    u32 version;
    u64 delta, ns;
    do {
        version = clock.version;
        __asm__ volatile("" : : : "memory");
        delta = rdtsc() - clock.tsc_timestamp;
        delta = clock.tsc_shift < 0 ? delta >> -clock.tsc_shift : delta << clock.tsc_shift;
        ns = clock.system_time + (u64)(((unsigned __int128)delta * clock.tsc_to_system_mul) >> 32);
        __asm__ volatile("" : : : "memory");
    } while (version & 1 || version != clock.version);
    return ns;
}

void kvm_eoi_enable(int on)
{
    pv_eoi_word = 0;
    wrmsr(MSR_PV_EOI_EN, on ? (u64)&pv_eoi_word | 1 : 0);
}
