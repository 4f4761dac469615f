/* steal.c: see steal.h. */
#include "pv/steal.h"
#include "base/host.h"

void steal_open(struct steal *s)
{
    s->entered_cpu_ns = s->clock->mode == CLOCK_HOST ? host_thread_cpu_ns() : 0;
    s->entered_ns = clock_now_ns(s->clock);
    s->left_ns = s->entered_ns;
}

bool steal_enter(struct steal *s)
{
    u64 left = s->left_ns, before = s->ns;

    s->ns += s->inside_ns;
    s->inside_ns = 0;
    steal_open(s);
    if (!s->left_halted)
        s->ns += s->entered_ns - left;
    return s->ns != before;
}

void steal_leave(struct steal *s, bool halted)
{
    u64 ran, cpu_ns;

    s->left_halted = halted;
    s->left_ns = clock_now_ns(s->clock);
    if (s->clock->mode != CLOCK_HOST)
        return;
    ran = s->left_ns - s->entered_ns;
    cpu_ns = host_thread_cpu_ns() - s->entered_cpu_ns;
    s->inside_ns += ran > cpu_ns ? ran - cpu_ns : 0;
}
