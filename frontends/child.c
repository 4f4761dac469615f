/* child.c: a process per run (child.h). PR_SET_PDEATHSIG is Linux's: without it a child would outlive
 * a killed parent. */
#include "frontends/child.h"

#include "base/host.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define TICK_MS 200

static void write_all(int fd, const u8 *p, size_t len)
{
    while (len) {
        ssize_t n = write(fd, p, len);

        if (n < 0 && errno != EINTR)
            return;
        if (n > 0) {
            p += n;
            len -= (size_t)n;
        }
    }
}

static _Noreturn void be_child(const struct child_job *job, int out, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent) {
        memset(job->result, 0, job->size);
        job->run(job->arg, job->result);
        write_all(out, job->result, job->size);
    }
    fflush(stderr);
    _exit(0);
}

/* Reads until the child closes its end, ticking meanwhile. Returns the bytes read. */
static size_t collect(const struct child_job *job, int in)
{
    u64 start = host_now_ns();
    size_t got = 0;

    for (;;) {
        struct pollfd p = {.fd = in, .events = POLLIN};
        ssize_t n;

        if (poll(&p, 1, TICK_MS) <= 0) {
            if (job->tick)
                job->tick(job->opaque, host_now_ns() - start);
            continue;
        }
        n = read(in, (u8 *)job->result + got, job->size - got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return got;
        got += (size_t)n;
    }
}

bool child_run(const struct child_job *job, struct err *e)
{
    pid_t parent = getpid(), child;
    int fds[2], status = 0;
    size_t got;

    if (pipe(fds))
        return err_host(e, "no pipe: %s", strerror(errno));
    fflush(stdout); /* what is buffered must not be printed by both */
    fflush(stderr);
    child = fork();
    if (child < 0) {
        err_host(e, "no process: %s", strerror(errno));
        close(fds[0]);
        close(fds[1]);
        return false;
    }
    if (!child) {
        close(fds[0]);
        be_child(job, fds[1], parent);
    }
    close(fds[1]);
    got = collect(job, fds[0]);
    close(fds[0]);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFSIGNALED(status))
        return err_host(e, "the process of the run died of signal %d (%s)", WTERMSIG(status),
                        strsignal(WTERMSIG(status)));
    return got == job->size || err_host(e, "the process of the run ended without a result");
}
