/*
 * lab_tlb.c: lab 2: a guest that notices when the TLB is not flushed. The student's program is the
 * test, and machines that are broken on purpose are what is tested: in lockstep with one that is
 * right, each has to come to differ from it, and a right one must not.
 */
#include "frontends/lab.h"

#include "base/bits.h"
#include "devices/backend/chardev.h"
#include "machine/check.h"

#include <string.h>

#define GUEST_LIMIT_NS (20 * NS_PER_SEC)
#define DIFFERS "-check: the engines differ"

enum verdict { AGREES, DIFFERENT, UNKNOWN };

static enum verdict check(struct vm *vm, enum vm_stop *why, struct err *e)
{
    FILE *nowhere = fopen("/dev/null", "w");
    enum verdict result = AGREES;

    if (!nowhere) {
        err_host(e, "/dev/null cannot be opened");
        return UNKNOWN;
    }
    if (!check_run(vm, GUEST_LIMIT_NS, why, nowhere, e))
        result = strncmp(e->msg, DIFFERS, strlen(DIFFERS)) ? UNKNOWN : DIFFERENT;
    if (result == DIFFERENT)
        *e = (struct err){0};
    fclose(nowhere);
    return result;
}

/* broken: words of -jit-test, or NULL. */
static enum verdict run(const char *guest, const char *broken, enum vm_stop *why, struct err *e)
{
    static const char *const devices[] = {"isa-debug-exit", NULL};
    const struct vm_config cfg = {.ram_bytes = 64 * MIB,
                                  .kernel = guest,
                                  .accel = "interp",
                                  .jit_test = broken,
                                  .icount = true,
                                  .no_reboot = true,
                                  .devices = devices};
    struct vm *vm = vm_create(&cfg, e);
    enum verdict result = vm ? check(vm, why, e) : UNKNOWN;

    vm_destroy(vm);
    return result;
}

bool lab_tlb(char *const *answer, struct lab_verdict *v, struct err *e)
{
    enum vm_stop why = VM_STOPPED;
    enum verdict r = run(answer[0], NULL, &why, e);

    if (r == UNKNOWN)
        return false;
    lab_judge(v, r == AGREES && why == VM_DEBUG_EXIT, NULL,
              "on a machine that is right both engines agree, and the guest ends by port 501h");
    r = run(answer[0], "no-invlpg", &why, e);
    if (r == UNKNOWN)
        return false;
    lab_judge(v, r == DIFFERENT,
              "use a page, change its entry, INVLPG, use it again; let a register depend on what "
              "was there",
              "it notices that INVLPG flushes nothing");
    r = run(answer[0], "no-cr3-flush", &why, e);
    if (r == UNKNOWN)
        return false;
    lab_judge(v, r == DIFFERENT, "the same, with MOV CR3 in the place of INVLPG",
              "it notices that a load of CR3 flushes nothing");
    return true;
}
