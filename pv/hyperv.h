/*
 * hyperv.h: the guest's interface of Hyper-V: numbers, and the state of the personality. Private to
 * the files pv/hyperv*.c and their tests.
 *
 * Hypervisor Top Level Functional Specification (TLFS), 6.0b and its pages on the web.
 */
#pragma once

#include "pv/lazy_eoi.h"

#define HV_CPUID_MAX 0x4000000au
#define HV_INTERFACE 0x31237648u /* "Hv#1" */

#define MSR_HV_GUEST_OS_ID 0x40000000u
#define MSR_HV_HYPERCALL 0x40000001u
#define MSR_HV_VP_INDEX 0x40000002u
#define MSR_HV_RESET 0x40000003u
#define MSR_HV_VP_RUNTIME 0x40000010u
#define MSR_HV_TIME_REF_COUNT 0x40000020u
#define MSR_HV_REFERENCE_TSC 0x40000021u
#define MSR_HV_TSC_FREQUENCY 0x40000022u
#define MSR_HV_APIC_FREQUENCY 0x40000023u
#define MSR_HV_EOI 0x40000070u
#define MSR_HV_ICR 0x40000071u
#define MSR_HV_TPR 0x40000072u
#define MSR_HV_VP_ASSIST_PAGE 0x40000073u
#define MSR_HV_SCONTROL 0x40000080u
#define MSR_HV_SVERSION 0x40000081u
#define MSR_HV_SIEFP 0x40000082u
#define MSR_HV_SIMP 0x40000083u
#define MSR_HV_EOM 0x40000084u
#define MSR_HV_SINT0 0x40000090u
#define MSR_HV_SINT15 0x4000009fu
#define MSR_HV_STIMER0_CONFIG 0x400000b0u
#define MSR_HV_STIMER3_COUNT 0x400000b7u
#define MSR_HV_GUEST_IDLE 0x400000f0u
#define MSR_HV_CRASH_P0 0x40000100u
#define MSR_HV_CRASH_P4 0x40000104u
#define MSR_HV_CRASH_CTL 0x40000105u

/* Of MSRs that hold the address of a page: bits 11:1 are kept as they are. */
#define HV_PAGE_ENABLED 1ull
#define HV_PAGE_GPA(msr) ((msr) & PAGE_MASK)

#define HV_CRASH_PARAMS 5u
#define HV_CRASH_NOTIFY_MSG BIT64(62)
#define HV_CRASH_NOTIFY BIT64(63)

#define HV_SINTS 16u
#define HV_SINT_VECTOR 0xffu
#define HV_SINT_MASKED BIT64(16)
#define HV_SINT_AUTO_EOI BIT64(17)
#define HV_SINT_POLLING BIT64(18)

#define HV_UNIT_NS 100u /* of the reference counter */

#define HV_STIMERS 4u
#define HV_STIMER_ENABLED BIT64(0)
#define HV_STIMER_PERIODIC BIT64(1)
#define HV_STIMER_LAZY BIT64(2)
#define HV_STIMER_AUTO_ENABLE BIT64(3)
#define HV_STIMER_DIRECT BIT64(12)
#define HV_STIMER_VECTOR(config) ((u8)((config) >> 4))
#define HV_STIMER_SINT(config) ((unsigned)((config) >> 16 & 15))

#define HV_MESSAGE_BYTES 256u
#define HV_MESSAGE_PAYLOAD 240u
#define HV_MESSAGE_TIMER_EXPIRED 0x80000010u

enum hv_status {
    HV_SUCCESS = 0,
    HV_INVALID_HYPERCALL_CODE = 2,
    HV_INVALID_HYPERCALL_INPUT = 3,
    HV_INVALID_ALIGNMENT = 4,
    HV_INVALID_PARAMETER = 5,
    HV_ACCESS_DENIED = 6,
    HV_INVALID_PORT_ID = 17,
    HV_INVALID_CONNECTION_ID = 18,
    HV_INSUFFICIENT_BUFFERS = 19,
    HV_INVALID_SYNIC_STATE = 24,
};

enum hv_call_code {
    HV_CALL_FLUSH_SPACE = 0x02,
    HV_CALL_FLUSH_LIST = 0x03,
    HV_CALL_LONG_SPIN_WAIT = 0x08,
    HV_CALL_SEND_IPI = 0x0b,
    HV_CALL_FLUSH_SPACE_EX = 0x13,
    HV_CALL_FLUSH_LIST_EX = 0x14,
    HV_CALL_SEND_IPI_EX = 0x15,
    HV_CALL_POST_MESSAGE = 0x5c,
    HV_CALL_SIGNAL_EVENT = 0x5d,
};

/* The hypercall input value. */
#define HV_CALL_FAST BIT64(16)
#define HV_CALL_VAR_QWORDS(control) ((unsigned)((control) >> 17 & 0x3ff))
#define HV_CALL_REPS(control) ((unsigned)((control) >> 32 & 0xfff))
#define HV_CALL_REP_START(control) ((unsigned)((control) >> 48 & 0xfff))

#define HV_FLUSH_ALL_PROCESSORS BIT64(0)
#define HV_FLUSH_ALL_SPACES BIT64(1)
#define HV_FLUSH_NON_GLOBAL_ONLY BIT64(2)

/* Rows of hv_features. */
enum hv_feature {
    HV_F_HYPERCALL, HV_F_VP_INDEX, HV_F_RESET, HV_F_RELAXED, HV_F_VAPIC, HV_F_LAZY_EOI,
    HV_F_RUNTIME, HV_F_REF_COUNTER, HV_F_REF_TSC, HV_F_FREQUENCIES, HV_F_CRASH, HV_F_SYNIC,
    HV_F_STIMER, HV_F_STIMER_DIRECT, HV_F_XMM_INPUT, HV_F_TLB_FLUSH, HV_F_IPI, HV_F_EX_MASKS,
    HV_F_SPIN_WAIT, HV_F_GUEST_IDLE, HV_F_CONNECTIONS, HV_F_COUNT
};

struct pv_hyperv;
struct hv_vcpu;

/* A synthetic timer. Times are of the reference counter: units of 100 ns. */
struct hv_stimer {
    struct hv_vcpu *v;
    unsigned n;
    u64 config, count; /* MSRs */
    u64 expires;       /* next */
    bool waits;        /* its message has found no empty slot yet ... */
    u64 expired;       /* ... and is of this time */
    struct timer timer;
};

/* A message on its way to a slot of the message page. */
struct hv_message {
    u32 type;
    u8 sint;
    u8 bytes; /* of payload */
    u64 sender;
    u8 payload[HV_MESSAGE_PAYLOAD];
};

/* Of each port; here those of one processor share them. */
#define HV_MESSAGE_BUFFERS 16u

/* What belongs to one virtual processor. */
struct hv_vcpu {
    struct pv_hyperv *h;
    unsigned n; /* number of the vCPU, and VP index */

    struct lazy_eoi eoi;
    u64 assist_page, scontrol, siefp, simp, sint[HV_SINTS]; /* MSRs as written */
    struct hv_stimer stimer[HV_STIMERS];
    struct hv_message queue[HV_MESSAGE_BUFFERS]; /* posted, oldest first */
    unsigned queued;

    bool inside; /* between pv_enter and pv_leave: it may run guest code */
    bool flush, flush_global; /* to be done before it runs guest code again */
    u64 runtime_ns, entered_ns;
};

/* Where a connection leads. */
struct hv_port {
    enum { HV_PORT_NONE, HV_PORT_MESSAGE, HV_PORT_EVENT } kind;
    unsigned vp, sint;
};

#define HV_CONNECTIONS 256u

struct pv_hyperv {
    struct pv pv;
    bool alive; /* what reset and destroy undo has been set up */
    u64 os_id, hypercall, reference_tsc, crash[HV_CRASH_PARAMS]; /* MSRs of the partition */
    u32 tsc_sequence;
    u64 tsc_scale; /* reference = (tsc * scale >> 64) + add; 0: the TSCs differ */
    s64 tsc_add;
    u64 last_reference;
    u8 *code;              /* the hypercall page */
    struct region *overlay; /* ... laid over guest memory */
    bool undefined;        /* the call that runs ends in #UD */
    struct hv_port port[HV_CONNECTIONS];
    struct hv_vcpu vcpu[SMP_MAX];
};

extern const struct pv_personality pv_hyperv;

static inline struct pv_hyperv *hv_of(struct pv *pv)
{
    return container_of(pv, struct pv_hyperv, pv);
}

static inline struct hv_vcpu *hv_vcpu_of(struct pv_hyperv *h, const struct cpu *cpu)
{
    return &h->vcpu[cpu->id];
}

static inline struct cpu *hv_cpu(const struct hv_vcpu *v)
{
    return v->h->pv.env.cpu[v->n];
}

static inline struct lapic *hv_lapic(const struct hv_vcpu *v)
{
    return v->h->pv.env.lapic[v->n];
}

/* A write of an MSR is false: #GP. */

/* hyperv_calls.c */
void hv_calls_attach(struct pv_hyperv *h);
void hv_calls_detach(struct pv_hyperv *h);
void hv_calls_write_os_id(struct pv_hyperv *h, u64 value);
bool hv_calls_write_page(struct pv_hyperv *h, u64 value);
bool hv_calls_hypercall(struct pv *pv, struct cpu *cpu);
extern const struct pv_hypercall hv_calls[];

/* What a call takes, and what this one was given. */
struct hv_shape {
    unsigned header;  /* bytes of fixed input */
    unsigned element; /* bytes of each list element; 0: a simple call */
    bool sparse;      /* a variable header of banks of processors */
};

struct hv_input {
    u8 block[PAGE_SIZE]; /* header, variable header, list */
    unsigned banks;      /* quadwords of variable header, at block + header */
    unsigned reps, start;
    const u8 *list;
};

/* Reads and checks the input of the call with `arg`, the control word and two registers; the caller
 * returns what is not HV_SUCCESS. */
enum hv_status hv_calls_input(struct pv *pv, struct cpu *cpu, const u64 arg[4],
                              const struct hv_shape *shape, struct hv_input *in);
/* The result value of a call. `done`: of its repetitions; 0 of a simple call. */
static inline u64 hv_result(enum hv_status status, unsigned done)
{
    return status | (u64)done << 32;
}

/* hyperv_vpset.c: calls that act on a set of processors. */
u64 hv_hc_flush(struct pv *pv, struct cpu *cpu, const u64 arg[4]);
u64 hv_hc_send_ipi(struct pv *pv, struct cpu *cpu, const u64 arg[4]);
/* Does what others asked for while the processor did not run. */
void hv_vpset_enter(struct hv_vcpu *v);

/* hyperv_apic.c: EOI, ICR, TPR, the assist page, the idle state. */
void hv_apic_attach(struct pv_hyperv *h);
void hv_apic_detach(struct pv_hyperv *h);
bool hv_apic_read(struct hv_vcpu *v, u32 msr, u64 *value);
bool hv_apic_write(struct hv_vcpu *v, u32 msr, u64 value);
void hv_apic_idle(struct hv_vcpu *v);

/* hyperv_time.c */
void hv_time_attach(struct pv_hyperv *h);
u64 hv_time_reference(struct pv_hyperv *h); /* never goes back */
void hv_time_write_page(struct pv_hyperv *h, u64 value);
void hv_time_tsc_changed(struct pv *pv, struct cpu *cpu);
void hv_time_enter(struct hv_vcpu *v);
void hv_time_leave(struct hv_vcpu *v);
u64 hv_time_runtime(struct hv_vcpu *v); /* in the same units */

/* hyperv_timer.c */
void hv_timer_attach(struct hv_vcpu *v);
void hv_timer_detach(struct hv_vcpu *v);
u64 hv_timer_read(const struct hv_vcpu *v, u32 msr);
bool hv_timer_write(struct hv_vcpu *v, u32 msr, u64 value);
/* Sends again what waits for an empty slot of `sint`. True: it is in the slot. */
bool hv_timer_retry(struct hv_vcpu *v, unsigned sint);

/* hyperv_synic.c */
void hv_synic_reset(struct hv_vcpu *v);
bool hv_synic_read(const struct hv_vcpu *v, u32 msr, u64 *value);
bool hv_synic_write(struct hv_vcpu *v, u32 msr, u64 value);
/* Can it get messages, event flags? */
bool hv_synic_takes_messages(const struct hv_vcpu *v);
bool hv_synic_takes_events(const struct hv_vcpu *v);
void hv_synic_interrupt(struct hv_vcpu *v, unsigned sint);
/* Into its slot, with the interrupt. False: the slot is full, or there is none. */
bool hv_synic_send(struct hv_vcpu *v, const struct hv_message *m);
/* Sets a flag of the event page; false: there is none, or the SINT is masked. */
bool hv_synic_signal(struct hv_vcpu *v, unsigned sint, unsigned flag);
/* Hooks of struct lapic. */
bool hv_synic_auto_eoi(void *opaque, u8 vector);
void hv_synic_ended(void *opaque, u8 vector);

/* hyperv_port.c */
void hv_port_attach(struct pv_hyperv *h);
void hv_port_detach(struct pv_hyperv *h);
u64 hv_hc_post_message(struct pv *pv, struct cpu *cpu, const u64 arg[4]);
u64 hv_hc_signal_event(struct pv *pv, struct cpu *cpu, const u64 arg[4]);
