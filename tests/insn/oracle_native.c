/*
 * oracle_native.c: runs an instruction on the host CPU. See oracle.h.
 *
 * A trap arrives as a signal; its vector, error code and CR2 stand in the signal frame, and the
 * handler takes the state from there and jumps back. Nothing of the C library is in use meanwhile.
 */
#include "tests/insn/oracle.h"

#if defined(__x86_64__) && defined(__linux__)

#include "base/bits.h"
#include "cpu/flags.h"
#include <asm/prctl.h>
#include <cpuid.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

/* SDM vol. 1 13.4. */
struct xsave_area {
    u8 fx[512];
    u64 xstate_bv, reserved[7];
    u8 upper[16][16];
};
#define XSTATE_X87_SSE 3u
#define XSTATE_AVX 4u

struct oracle_ctx {
    u64 host_rsp;
    u64 code;
    u32 far_offset;
    u16 far_selector, pad;
    u64 flags_in, flags_out;
    u64 has_avx;
    u64 pad2[2];
    u64 gpr_in[16], gpr_out[16];
    u64 pad3[24];
    struct xsave_area in, out;
};
_Static_assert(offsetof(struct oracle_ctx, flags_in) == CTX_FLAGS_IN - ORACLE_CTX, "layout");
_Static_assert(offsetof(struct oracle_ctx, gpr_in) == CTX_GPR_IN - ORACLE_CTX, "layout");
_Static_assert(offsetof(struct oracle_ctx, gpr_out) == CTX_GPR_OUT - ORACLE_CTX, "layout");
_Static_assert(offsetof(struct oracle_ctx, has_avx) == CTX_HAS_AVX - ORACLE_CTX, "layout");
_Static_assert(offsetof(struct oracle_ctx, in) == CTX_XSAVE_IN - ORACLE_CTX, "layout");
_Static_assert(offsetof(struct oracle_ctx, out) == CTX_XSAVE_OUT - ORACLE_CTX, "layout");

extern const u8 oracle_stub[], oracle_stub_end[];
extern const u8 oracle_stub_leave64[], oracle_stub_enter32[], oracle_stub_leave32[];

/* A signal handler has no argument of ours: the one sandbox of the process. */
static struct {
    u8 *code; /* writable view of CODE */
    sigjmp_buf out;
    volatile sig_atomic_t running;
    struct oracle_result *result;
    bool can32, has_xsave;
    u64 fs_base;                             /* the C library's */
    bool other_bases;                        /* FS and GS have the program's */
    enum oracle_rights rights[ORACLE_PAGES]; /* as they are now */
} box;

static struct oracle_ctx *ctx(void)
{
    return (struct oracle_ctx *)ORACLE_CTX;
}

static u64 in_stub(const u8 *label)
{
    return ORACLE_STUB + (u64)(label - oracle_stub);
}

/* ---- traps ----------------------------------------------------------------------------------- */

/* Linux' order of the frame's registers. <ucontext.h> has names for them only together with one
 * that insn.h has too (REG_RIP). */
enum { FRAME_RIP = 16, FRAME_EFL = 17, FRAME_ERR = 19, FRAME_TRAPNO = 20, FRAME_CR2 = 22 };
static const u8 frame_gpr[16] = {13, 14, 12, 11, 15, 10, 9, 8, 0, 1, 2, 3, 4, 5, 6, 7};

/* Not by the C library's syscall(): that may look for its thread by FS. */
static void set_base(u64 what, u64 base)
{
    u64 rax = SYS_arch_prctl;
    __asm__ volatile("syscall" : "+a"(rax) : "D"(what), "S"(base) : "rcx", "r11", "memory");
}

static void own_bases(void)
{
    if (!box.other_bases)
        return;
    set_base(ARCH_SET_FS, box.fs_base);
    set_base(ARCH_SET_GS, 0);
    box.other_bases = false;
}

static void take_vectors(const struct xsave_area *x, bool has_avx, struct oracle_state *s)
{
    memcpy(s->fx, x->fx, sizeof s->fx);
    if (has_avx && x->xstate_bv & XSTATE_AVX)
        memcpy(s->upper, x->upper, sizeof s->upper);
    else
        memset(s->upper, 0, sizeof s->upper);
}

/* Linux tells in the part of the FXSAVE area that software may use whether the rest follows. */
#define FRAME_MAGIC 0x46505853u
#define FRAME_MAGIC_AT 464

static void take_state(const ucontext_t *uc, struct oracle_result *r)
{
    const greg_t *g = uc->uc_mcontext.gregs;

    for (unsigned i = 0; i < 16; i++)
        r->after.gpr[i] = (u64)g[frame_gpr[i]];
    r->after.flags = (u64)g[FRAME_EFL];
    const struct xsave_area *x = (const void *)uc->uc_mcontext.fpregs;
    take_vectors(x, ld_le32(x->fx + FRAME_MAGIC_AT) == FRAME_MAGIC, &r->after);
    r->trap = (unsigned)g[FRAME_TRAPNO];
    r->error = (u32)g[FRAME_ERR];
    r->cr2 = (u64)g[FRAME_CR2];
    r->rip = (u64)g[FRAME_RIP] - ORACLE_CODE;
}

static void on_trap(int sig, siginfo_t *info, void *frame)
{
    (void)info;
    /* The kernel leaves AC as it was, and the C library does not align: a fault in the handler
     * would come back for ever. */
    __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() & ~(u64)EFLAGS_AC);
    own_bases();
    if (!box.running) {
        signal(sig, SIG_DFL); /* a crash of the test itself */
        return;
    }
    box.running = 0;
    take_state(frame, box.result);
    siglongjmp(box.out, 1);
}

static void catch_signals(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    static u8 stack[65536];
    stack_t ss = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction sa = {.sa_sigaction = on_trap,
                           .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

    sigaltstack(&ss, NULL);
    sigemptyset(&sa.sa_mask);
    for (unsigned i = 0; i < ARRAY_SIZE(signals); i++)
        sigaction(signals[i], &sa, NULL);
}

/* ---- running --------------------------------------------------------------------------------- */

/* Puts the instruction and the jump behind it, which is the same in 32- and 64-bit code. */
static void put_code(const struct oracle_case *c)
{
    u64 end = c->at + c->len;
    u64 leave = in_stub(c->code == 64 ? oracle_stub_leave64 : oracle_stub_leave32);
    u32 rel = (u32)(leave - (ORACLE_CODE + end + 5));

    if (c->program)
        memset(box.code, 0xcc, ORACLE_CODE_BYTES);
    memcpy(box.code + c->at, c->bytes, c->len);
    box.code[end] = 0xe9;
    memcpy(box.code + end + 1, &rel, 4);
}

static void enter(const struct oracle_case *c)
{
    u64 entry = c->code == 64 ? ORACLE_STUB : in_stub(oracle_stub_enter32);
    void (*run)(void);

    memcpy(&run, &entry, sizeof run);
    if (sigsetjmp(box.out, 0) == 0) {
        box.running = 1;
        if (c->seg_base[0] | c->seg_base[1]) {
            box.other_bases = true;
            set_base(ARCH_SET_GS, c->seg_base[1]);
            set_base(ARCH_SET_FS, c->seg_base[0]);
        }
        run();
        own_bases();
        box.running = 0;
        box.result->trap = ORACLE_NO_TRAP;
        box.result->rip = c->at + c->len;
        memcpy(box.result->after.gpr, ctx()->gpr_out, sizeof ctx()->gpr_out);
        box.result->after.flags = ctx()->flags_out;
        take_vectors(&ctx()->out, ctx()->has_avx, &box.result->after);
    }
}

static void protect(unsigned page, enum oracle_rights rights)
{
    static const int prot[] = {PROT_READ | PROT_WRITE, PROT_READ, PROT_NONE};

    if (box.rights[page] != rights)
        mprotect((void *)(u64)oracle_page_va(page), PAGE_SIZE, prot[rights]);
    box.rights[page] = rights;
}

static void put_data(const struct oracle_case *c)
{
    for (unsigned i = 0; i < ORACLE_PAGES; i++) {
        if (i < oracle_pages(c)) {
            protect(i, ORACLE_WRITABLE);
            memcpy((void *)(u64)oracle_page_va(i), c->data + i * PAGE_SIZE, PAGE_SIZE);
        }
        protect(i, oracle_page_rights(c, i));
    }
}

static void take_data(const struct oracle_case *c, struct oracle_result *r)
{
    for (unsigned i = 0; i < oracle_pages(c); i++) {
        if (c->rights[i] == ORACLE_ABSENT)
            protect(i, ORACLE_READ_ONLY);
        memcpy(r->data + i * PAGE_SIZE, (void *)(u64)oracle_page_va(i), PAGE_SIZE);
    }
}

void oracle_native_run(const struct oracle_case *c, struct oracle_result *r)
{
    struct oracle_ctx *x = ctx();

    put_code(c);
    put_data(c);
    memcpy(x->gpr_in, c->before.gpr, sizeof x->gpr_in);
    memcpy(x->gpr_out, c->before.gpr, sizeof x->gpr_out);
    memcpy(x->in.fx, c->before.fx, sizeof x->in.fx);
    memcpy(x->in.upper, c->before.upper, sizeof x->in.upper);
    x->in.xstate_bv = XSTATE_X87_SSE | (x->has_avx ? XSTATE_AVX : 0);
    x->flags_in = c->before.flags;
    x->flags_out = 0;
    x->code = ORACLE_CODE + c->at;
    x->far_offset = (u32)x->code;
    x->far_selector = ORACLE_CS32;
    r->error = 0;
    r->cr2 = 0;
    box.result = r;
    enter(c);
    take_data(c, r);
    memset(box.code + c->at, 0xcc, c->len + 5);
}

/* ---- setting up ------------------------------------------------------------------------------ */

static void look_at_the_host(void)
{
    unsigned a, b, c = 0, d;
    __get_cpuid(1, &a, &b, &c, &d);
    box.has_xsave = c & bit_OSXSAVE;
    ctx()->has_avx = box.has_xsave && c & bit_AVX;
}

static void *map_at(u64 address, size_t bytes, int prot, int fd)
{
    int flags = MAP_FIXED_NOREPLACE | (fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED);
    void *p = mmap((void *)address, bytes, prot, flags, fd, 0);
    return p == MAP_FAILED || (u64)p != address ? NULL : p;
}

static bool map_code(void)
{
    int fd = (int)syscall(SYS_memfd_create, "oracle", 0);
    bool ok;

    if (fd < 0 || ftruncate(fd, ORACLE_CODE_BYTES))
        return false;
    box.code = mmap(NULL, ORACLE_CODE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ok =
        box.code != MAP_FAILED && map_at(ORACLE_CODE, ORACLE_CODE_BYTES, PROT_READ | PROT_EXEC, fd);
    close(fd);
    if (ok)
        memset(box.code, 0xcc, ORACLE_CODE_BYTES);
    return ok;
}

/* Runs a NOP of 32-bit code: some kernels and hypervisors have no compatibility mode. */
static bool try_code32(void)
{
    static struct oracle_case c;
    static struct oracle_result r;

    c = (struct oracle_case){.code = 32, .bytes = {0x90}, .len = 1};
    c.before.flags = 2;
    c.before.fx[0] = 0x7f;
    c.before.fx[1] = 0x03;
    c.before.fx[24] = 0x80;
    c.before.fx[25] = 0x1f;
    oracle_native_run(&c, &r);
    return r.trap == ORACLE_NO_TRAP;
}

bool oracle_native_open(void)
{
    if (box.code) /* by the test before, in the same process */
        return true;
    u8 *stub = map_at(ORACLE_STUB, PAGE_SIZE, PROT_READ | PROT_WRITE, -1);

    if (!stub || !map_at(ORACLE_CTX, PAGE_SIZE, PROT_READ | PROT_WRITE, -1) ||
        !map_at(ORACLE_DATA, ORACLE_DATA_BYTES, PROT_READ | PROT_WRITE, -1) ||
        !map_at(ORACLE_STACK, ORACLE_DATA_BYTES, PROT_READ | PROT_WRITE, -1) || !map_code())
        return false;
    memcpy(stub, oracle_stub, (size_t)(oracle_stub_end - oracle_stub));
    if (mprotect(stub, PAGE_SIZE, PROT_READ | PROT_EXEC))
        return false;
    catch_signals();
    syscall(SYS_arch_prctl, ARCH_GET_FS, &box.fs_base);
    look_at_the_host();
    box.can32 = box.has_xsave && try_code32();
    return true;
}

bool oracle_native_has_avx(void)
{
    return ctx()->has_avx;
}

bool oracle_native_can(unsigned code)
{
    return box.has_xsave && (code == 64 || (code == 32 && box.can32));
}

#else

bool oracle_native_open(void)
{
    return false;
}

bool oracle_native_has_avx(void)
{
    return false;
}

bool oracle_native_can(unsigned code)
{
    (void)code;
    return false;
}

void oracle_native_run(const struct oracle_case *c, struct oracle_result *r)
{
    (void)c;
    r->trap = ORACLE_NO_TRAP;
}

#endif
