/* main.c: the program: options, and the command that they name. */
#include "frontends/compare.h"
#include "frontends/config.h"
#include "frontends/demo.h"
#include "frontends/img.h"
#include "frontends/lab.h"
#include "frontends/report.h"
#include "frontends/run.h"
#include "frontends/signals.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static void print_version(void)
{
    printf("parallax %s\n", PARALLAX_VERSION);
}

/* Output that nobody could read is an error: a full disk must not look like success. */
static int finish(int code)
{
    struct err e;

    if (!fflush(stdout) && !ferror(stdout))
        return code;
    err_host(&e, "standard output cannot be written");
    err_print(&e);
    return code ? code : EXIT_HOST;
}

static int print_text(const struct options *o)
{
    if (o->command == CMD_VERSION || o->given[OPT_VERSION])
        print_version();
    else if (o->command == CMD_MAN)
        help_man(stdout);
    else if (o->command == CMD_COMPLETION)
        help_completion(stdout);
    else
        help_print(stdout, report_width(stdout));
    return finish(EXIT_OK);
}

/* A standard stream that was closed must not be the next file that is opened: the console would be
 * written into it. What takes its place refuses every access. */
static void occupy_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

int main(int argc, char **argv)
{
    struct options o;
    struct err e = {0};
    bool listed;

    occupy_standard_streams();
    signals_init();
    if (!options_parse(&o, argc, argv, &e) || !config_lists(&o, stdout, &listed, &e)) {
        err_print(&e);
        return e.exit_code;
    }
    if (listed)
        return EXIT_OK;
    if (o.command == CMD_IMG)
        return finish(img_command(argc - 2, argv + 2));
    if (o.command == CMD_LAB)
        return finish(lab_command(argc - 2, argv + 2));
    if (o.command > CMD_COMPARE || o.given[OPT_HELP] || o.given[OPT_VERSION])
        return print_text(&o);
    if (o.command == CMD_DEMO)
        return finish(demo_command(&o, argc, argv));
    if (o.command == CMD_COMPARE)
        return finish(compare_command(&o, argc, argv));
    return finish(run_command(&o, argc, argv));
}
