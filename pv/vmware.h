/*
 * vmware.h: the guest's interface of VMware: numbers, and the state of the personality. Private to
 * the files pv/vmware*.c and their tests.
 *
 * VMware's knowledge base 1009458 (detection, CPUID); the interface of the backdoor as the guests'
 * own drivers and the open-vm-tools use it.
 */
#pragma once

#include "pv/pv.h"
#include "pv/steal.h"

#define VMW_CPUID_SIGNATURE 0x40000000u
#define VMW_CPUID_TIMING 0x40000010u
#define VMW_CPUID_VMMCALL BIT(0) /* ECX of the latter */
#define VMW_CPUID_VMCALL BIT(1)

#define VMW_MAGIC 0x564d5868u /* EAX of each call: "VMXh" */
#define VMW_PORT 0x5658u      /* IN EAX, DX */
#define VMW_PORT_HB 0x5659u   /* REP INSB, REP OUTSB */
#define VMW_HYPERCALL_HB BIT(0) /* EDX of VMCALL and VMMCALL */

#define VMW_NO_ANSWER 0xffffffffu

enum vmw_command {
    VMW_GETMHZ = 1,
    VMW_GETVERSION = 10,
    VMW_GETHWVERSION = 17,
    VMW_GETUUID = 19,
    VMW_GETMEMSIZE = 20,
    VMW_GETTIME = 23,
    VMW_MESSAGE = 30,
    VMW_POINTER_DATA = 39,
    VMW_POINTER_STATUS = 40,
    VMW_POINTER_COMMAND = 41,
    VMW_GETHZ = 45,
    VMW_GETTIMEFULL = 46,
    VMW_GETVCPU_INFO = 68,
    VMW_STEALCLOCK = 91,
};

#define VMW_PMC_HOST_TSC 0x10000u
#define VMW_PMC_REAL_NS 0x10001u
#define VMW_PMC_APPARENT_NS 0x10002u

/* Channels: bits 31:16 of ECX say what to do, and come back as the status. */
enum vmw_message { MSG_OPEN, MSG_SENDSIZE, MSG_SEND, MSG_RECVSIZE, MSG_RECV, MSG_RECVSTATUS, MSG_CLOSE };
#define MSG_SUCCESS BIT(0)
#define MSG_DORECV BIT(1)
#define MSG_HB BIT(7)
#define MSG_RPCI 0x49435052u /* protocols; EBX of MSG_OPEN */
#define MSG_TCLO 0x4f4c4354u
#define MSG_COOKIE BIT(31) /* ... with cookies */

/* Rows of vmw_features. */
enum vmw_feature {
    VMW_F_PORT, VMW_F_HYPERCALL, VMW_F_TIMING_LEAF, VMW_F_GETHZ, VMW_F_TIME, VMW_F_VCPU_INFO,
    VMW_F_STEAL_CLOCK, VMW_F_PMC, VMW_F_RPC, VMW_F_HB, VMW_F_POINTER, VMW_F_COUNT
};

#define VMW_CHANNELS 8u
#define VMW_MESSAGE_MAX 65536u
#define VMW_INFO_MAX 64u
#define VMW_INFO_NAME 128u
#define VMW_STEAL_BYTES 64u

/* A message on its way: `done` of `bytes`. */
struct vmw_buffer {
    u8 *data; /* room for one byte more than `bytes`; NULL: none */
    u32 bytes, done;
};

struct vmw_channel {
    bool open;
    bool is_rpci; /* the other kind never has anything to say */
    u32 cookie_high, cookie_low;
    struct vmw_buffer in, out; /* in: from the guest */
};

/* A variable that the guest has set: guestinfo.NAME. */
struct vmw_info {
    char name[VMW_INFO_NAME]; /* "": free */
    u8 *value;
    u32 bytes;
};

#define VMW_POINTER_WORDS 256u

struct vmw_pointer {
    bool enabled, absolute; /* as the guest said */
    u32 words[VMW_POINTER_WORDS];
    u32 head, count;
};

struct vmw_vcpu {
    u64 steal_gpa; /* 0: not registered */
    struct steal steal;
};

struct pv_vmware {
    struct pv pv;
    bool alive; /* what reset and destroy undo has been set up */
    bool by_port; /* the call that runs came by the port */
    u32 cookies;  /* given out */
    struct vmw_channel channel[VMW_CHANNELS];
    struct vmw_info info[VMW_INFO_MAX];
    struct vmw_pointer pointer;
    struct vmw_vcpu vcpu[SMP_MAX];
};

extern const struct pv_personality pv_vmware;

static inline struct pv_vmware *vmw_of(struct pv *pv)
{
    return container_of(pv, struct pv_vmware, pv);
}

/* 32-bit registers, as the backdoor sees and leaves them. */
static inline u32 vmw_reg(const struct cpu *cpu, unsigned r)
{
    return (u32)cpu->gpr[r];
}

static inline void vmw_set(struct cpu *cpu, unsigned r, u32 value)
{
    cpu->gpr[r] = value;
}

/* vmware_pointer.c */
u64 vmw_pointer_data(struct pv *pv, struct cpu *cpu, const u64 arg[4]);
u64 vmw_pointer_status(struct pv *pv, struct cpu *cpu, const u64 arg[4]);
u64 vmw_pointer_command(struct pv *pv, struct cpu *cpu, const u64 arg[4]);
bool vmw_pointer_place(struct pv *pv, const struct pv_place *place);

/* vmware_rpc.c */
u64 vmw_message(struct pv *pv, struct cpu *cpu, const u64 arg[4]);
void vmw_rpc_attach(struct pv_vmware *w);
void vmw_rpc_detach(struct pv_vmware *w);
