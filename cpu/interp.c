/*
 * interp.c: the run loop: finds blocks, runs their records, looks at requests between blocks.
 *
 * Records call each other by sibling calls (exec.h) and blocks chain by exec_jump, so control comes
 * back here only when something is requested, the slice ends, or the mode changes. Faults unwind to
 * cpu_run by siglongjmp; priorities at an instruction boundary follow SDM vol. 3A table 6-2.
 */
#include "base/trace.h"
#include "cpu/block.h"
#include "cpu/debug.h"
#include "cpu/exec.h"
#include "cpu/jit/jit.h"
#include "cpu/model.h"
#include "cpu/observe.h"
#include "cpu/smp.h"
#include "cpu/tap.h"

static const struct insn *enter(struct cpu *cpu, struct block *b)
{
    cpu->block = b;
    if (unlikely(b->hits < BLOCK_HOT) && ++b->hits == BLOCK_HOT && cpu->jit)
        jit_translate(cpu, b);
#if EXEC_TAIL_CALLS
    return b->insn[0].fn(cpu, b->insn);
#else
    return b->insn;
#endif
}

static gva_t linear_ip(const struct cpu *cpu)
{
    return (cpu->seg[SEG_CS].base + cpu->rip) & cpu->amask;
}

const struct insn *exec_leave(struct cpu *cpu, const struct insn *in)
{
    cpu->left -= in->idx + 1;
    return NULL;
}

const struct insn *exec_leave_next(struct cpu *cpu, const struct insn *in)
{
    cpu->rip = insn_next_rip(cpu, in);
    cpu->left -= in->idx + 1;
    return NULL;
}

void exec_not_done(struct cpu *cpu, const struct insn *in)
{
    cpu->left -= in->idx;
    if (unlikely(cpu->observer != NULL))
        probe_uncount(cpu, in);
}

void exec_done_after_all(struct cpu *cpu, const struct insn *in)
{
    cpu->left -= 1;
    if (unlikely(cpu->observer != NULL))
        probe_count(cpu, in);
}

bool exec_block_lives(const struct cpu *cpu)
{
    return !cpu->block->dead;
}

/* Looks the target up and remembers it in the block that jumped. */
static const struct insn *link_and_enter(struct cpu *cpu, struct block *from, unsigned n,
                                         gva_t from_lin, gva_t lin)
{
    u32 gen = cpu->block_gen;
    struct block *to = block_find(cpu, lin);
    if (cpu->block_gen == gen && !to->dead) /* and so `from` is still there */
        from->link[n] = (struct block_link){
            .to = to,
            .lin = lin,
            .epoch = cpu->tlb.epoch,
            .gen = gen,
            .same_page = ((from_lin ^ lin) & PAGE_MASK) == 0 && to->gpa2 == ~0ull,
        };
    return enter(cpu, to);
}

static bool slice_is_over(const struct cpu *cpu)
{
    return (cpu->left | __atomic_load_n(&cpu->kick, __ATOMIC_RELAXED)) < 0;
}

const struct insn *exec_jump(struct cpu *cpu, const struct insn *in, unsigned n)
{
    struct block *b = cpu->block;
    cpu->left -= in->idx + 1;
    if (unlikely(slice_is_over(cpu)))
        return NULL;
    gva_t lin = linear_ip(cpu);
    struct block_link *l = &b->link[n];
    cpu->from_block = NULL;
    if (b->jit) { /* the translator links its blocks by what the interpreter sees */
        cpu->from_block = b;
        cpu->from_lin = cpu->gpr[REG_RIP];
        cpu->from_side = (u8)n;
    }
    if (likely(l->lin == lin && l->gen == cpu->block_gen && l->to &&
               (l->same_page || l->epoch == cpu->tlb.epoch) && !l->to->dead)) {
        cpu->gpr[REG_RIP] = lin;
        return enter(cpu, l->to);
    }
    return link_and_enter(cpu, b, n, cpu->gpr[REG_RIP], lin);
}

const struct insn *exec_jump_indirect(struct cpu *cpu, const struct insn *in)
{
    cpu->left -= in->idx + 1;
    cpu->from_block = NULL;
    if (unlikely(slice_is_over(cpu)))
        return NULL;
    return enter(cpu, block_find(cpu, linear_ip(cpu)));
}

/* ---- between blocks -------------------------------------------------------------------------- */

/*T:430 Between two blocks
 *
 * The order is architecture: traps of the instruction before, then NMI, then maskable interrupts.
 * The vector is asked for at the last moment, by the acknowledge cycle, so that a request of higher
 * priority that came meanwhile wins. The shadow of STI and MOV SS is what lets a kernel write STI;
 * HLT without being interrupted between the two.
 */
/* Debug traps, NMI, INTR, in this order. True: something was delivered. */
static bool deliver_events(struct cpu *cpu)
{
    if (unlikely(cpu->dr6_pending && cpu->shadow != SHADOW_MOV_SS)) {
        debug_report(cpu, cpu->dr6_pending);
        cpu->dr6_pending = 0;
        cpu->halted = false;
        excp_trap(cpu, EXC_DB);
        return true;
    }
    if (cpu->shadow)
        return false;
    if (cpu_requests(cpu) & REQ_NMI && !cpu->nmi_blocked) {
        cpu_request_done(cpu, REQ_NMI);
        cpu->halted = false;
        cpu->nmi_blocked = true;
        excp_interrupt(cpu, EXC_NMI);
        return true;
    }
    if (cpu_pending(cpu) & REQ_INTR) {
        int vector = cpu->hooks->intr_ack(cpu->vm);
        if (vector >= 0) {
            cpu->halted = false;
            stat_count(&cpu->stats, STAT_IRQ, SERVED_EXIT);
            TRACE(intr, (unsigned)vector, cpu->rip);
            excp_interrupt(cpu, (unsigned)vector);
            return true;
        }
    }
    return false;
}

/* Has the instruction at `lin` stopped between two elements of its repetition? */
static bool amid_repetition(const struct cpu *cpu, gva_t lin)
{
    const struct block *b = cpu->block;
    return b && linear_ip(cpu) == lin && insn_row(b->insn)->cls == STRING &&
           b->insn->pfx & (PFX_REP | PFX_REPNE);
}

/* One instruction with everything looked at: shadows, TF, breakpoints. */
static void single_step(struct cpu *cpu)
{
    gva_t lin = linear_ip(cpu);
    bool tf = cpu->eflags & EFLAGS_TF;
    u8 shadow = cpu->shadow;

    cpu->shadow = 0; /* the instruction may cast its own */
    if (cpu->dr[7] & 0xff && !(cpu->eflags & EFLAGS_RF)) {
        u32 hit = debug_check_exec(cpu, lin);
        /* Only Intel's MOV SS holds off breakpoints on the instruction that follows it. */
        if (hit && (shadow != SHADOW_MOV_SS || cpu->model->vendor != VENDOR_INTEL)) {
            debug_report(cpu, hit);
            excp_fault(cpu, NULL, EXC_DB);
        }
    }
    cpu->tf_skip = false;
    cpu->key |= KEY_SINGLE;
    bool rf = cpu->eflags & EFLAGS_RF;
    cpu->eflags &= ~EFLAGS_RF;
    cpu->single_rf = rf; /* a fault of this instruction must push the RF that it started with */
    const struct insn *in = enter(cpu, block_find(cpu, lin));
    while (in)
        in = in->fn(cpu, in);
    cpu->single_rf = false;
    cpu_update_key(cpu);
    if (amid_repetition(cpu,
                        lin)) /* its breakpoint hits once, not before every element (17.3.1.1) */
        cpu->eflags |= EFLAGS_RF;
    /* The single-step trap of MOV SS is lost; its data breakpoints wait (SDM vol. 3A 6.8.3). */
    if (tf && !cpu->tf_skip && cpu->shadow != SHADOW_MOV_SS)
        cpu->dr6_pending |= DR6_BS;
}

/* The slice is cut to nothing meanwhile, so that the block does not chain to the next one. */
static void run_single(struct cpu *cpu)
{
    s64 slice = cpu->slice, left = cpu->left;
    cpu->slice -= left;
    cpu->left = 0;
    s64 before = cpu->slice;
    single_step(cpu);
    s64 done = cpu->slice - cpu->left - before;
    cpu->slice = slice;
    cpu->left = left - done;
    cpu->nudged = 0;
}

/* Gives back what cpu_nudge took. */
static void unnudge(struct cpu *cpu)
{
    cpu->slice += cpu->nudged;
    cpu->left += cpu->nudged;
    cpu->nudged = 0;
}

/* Faults of the first instruction of their own handler use nothing of the slice up, and would never let
 * anybody look whether the machine shall stop. */
#define FAULTS_IN_PLACE 10000u

static bool is_stuck(struct cpu *cpu)
{
    if (cpu->faults_left != cpu->left) {
        cpu->faults_left = cpu->left;
        cpu->faults = 0;
    }
    if (++cpu->faults < FAULTS_IN_PLACE)
        return false;
    cpu->faults = 0;
    return true;
}

/* What an instruction raised. False: cpu_run returns *why. */
static bool deliver_fault(struct cpu *cpu, enum cpu_stop *why)
{
    bool restarts = !cpu->delivering, stop = false;
    if (unlikely(cpu->taps != NULL)) {
        if (cpu->tapped == TAPPED_BY_DATA) /* it completed no access */
            cpu->tapped = TAPPED_NO;
        stop = !cpu->triple_fault && tap_excp(cpu, cpu->excp.vector, !restarts);
    }
    *why = STOP_REQUEST;
    if (unlikely(stop && restarts))
        return false;
    *why = STOP_TRIPLE_FAULT;
    if (!excp_deliver(cpu))
        return false;
    *why = STOP_STEPPED;
    if (cpu->stepping & STEP_ONE)
        return false;
    *why = STOP_BUDGET;
    return !is_stuck(cpu);
}

/*T:130 One slice of one CPU
 *
 * The loop that everything happens in. A caller gives a number of instructions; between blocks of
 * code it looks whether somebody asked for something: an interrupt, a non-maskable one, an end.
 *
 * An instruction that faults does not return here step by step. It jumps to the sigsetjmp() above
 * the loop, with its state untouched: a fault must leave the CPU as if the instruction had never
 * begun, and the shortest way out of a deep call is to forget it.
 */
enum cpu_stop cpu_run(struct cpu *cpu, u64 insns)
{
    cpu->slice = cpu->left = (s64)insns;
    cpu->nudged = 0;
    cpu->delivering = false;
    cpu_stop_pace(cpu); /* the clock may have stood still */
    if (sigsetjmp(cpu->unwind, 0)) {
        if (unlikely(cpu->alone)) {
            cpu->alone = false;
            smp_resume(cpu->smp);
        }
        jit_x87_leave(cpu);
        jit_unwound(cpu);
        cpu_update_key(cpu);
        cpu->shadow = 0;
        enum cpu_stop why;
        if (!deliver_fault(cpu, &why)) {
            cpu_end_slice(cpu);
            return why;
        }
    }
    enum cpu_stop why;
    for (;;) {
        if (unlikely(cpu->nudged))
            unnudge(cpu);
        if (unlikely(__atomic_load_n(&cpu->kick, __ATOMIC_RELAXED)))
            __atomic_exchange_n(&cpu->kick, 0, __ATOMIC_SEQ_CST); /* before `req` is looked at */
        if (unlikely(cpu_requests(cpu) & (REQ_EXIT | REQ_INIT | REQ_SIPI))) {
            why = STOP_REQUEST;
            break;
        }
        if (unlikely(cpu_requests(cpu) | cpu->dr6_pending) && deliver_events(cpu))
            continue;
        if (unlikely(cpu->halted)) {
            if (cpu_wakes_masked(cpu)) {
                cpu->halted = false;
                continue;
            }
            why = STOP_HALTED;
            break;
        }
        if (unlikely(cpu->left <= 0)) {
            why = STOP_BUDGET;
            break;
        }
        if (unlikely(cpu->shadow || cpu->debug_active || cpu->stepping)) {
            if (tap_code(cpu, linear_ip(cpu)))
                continue;
            gva_t at = linear_ip(cpu);
            run_single(cpu);
            if (unlikely(cpu->stepping & STEP_HISTORY))
                tap_insn(cpu, at);
            if (!(cpu->stepping & STEP_ONE))
                continue;
            why = STOP_STEPPED;
            break;
        }
        cpu->from_block = NULL;
        const struct insn *in = enter(cpu, block_find(cpu, linear_ip(cpu)));
        while (in)
            in = in->fn(cpu, in);
    }
    cpu_end_slice(cpu);
    return why;
}
