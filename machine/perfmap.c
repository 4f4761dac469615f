/*
 * perfmap.c: -perfmap: /tmp/perf-PID.map, by which perf(1) names translated code: one line "start
 * size name" per piece, in hexadecimal without prefix (tools/perf/Documentation/jit-interface.txt of
 * Linux). Written at the end from what the code memory holds then: code that was evicted before has
 * no line, and no place has two.
 */
#include "base/host.h"
#include "cpu/jit/jit.h"
#include "machine/vm_impl.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void write_piece(void *opaque, const struct jit_piece *p)
{
    FILE *f = opaque;
    fprintf(f, "%" PRIx64 " %" PRIx64 " ", (u64)(uintptr_t)p->code, p->bytes);
    if (!strcmp(p->what, "stubs"))
        fprintf(f, "jit stubs\n");
    else
        fprintf(f, "guest cpl%u %" PRIx64 " pa %" PRIx64 " %s\n", p->cpl, p->lin, p->gpa, p->what);
}

bool vm_write_perfmap(const struct vm *vm, struct err *e)
{
    char path[64], *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    bool ok = f != NULL;
    for (unsigned n = 0; ok && n < vm->cpus; n++)
        if (vm->vcpu[n].cpu->jit)
            jit_visit(vm->vcpu[n].cpu->jit, write_piece, f);
    ok = ok && !fclose(f);
    snprintf(path, sizeof path, "/tmp/perf-%ld.map", (long)getpid());
    ok = ok ? host_write_file(path, text, len, e) : err_host(e, "no memory for %s", path);
    free(text);
    return ok;
}
