/* config.c: from options to a configuration (config.h). */
#include "frontends/config.h"

#include "base/trace.h"
#include "frontends/keys.h"
#include "frontends/report.h"
#include "frontends/until.h"

#include <stdlib.h>
#include <string.h>

static bool is_help(const char *value)
{
    return value && (!strcmp(value, "help") || !strcmp(value, "?"));
}

static bool any_help(const char *const *values)
{
    while (*values)
        if (is_help(*values++))
            return true;
    return false;
}

/* -plugin FILE,help. Returns whether there is one. */
static bool help_of_plugin(const struct options *o, FILE *out, struct err *e)
{
    const char *comma;
    char path[4096];

    for (unsigned i = 0; o->plugins[i]; i++) {
        comma = strrchr(o->plugins[i], ',');
        if (!comma || strcmp(comma, ",help"))
            continue;
        snprintf(path, sizeof path, "%.*s", (int)(comma - o->plugins[i]), o->plugins[i]);
        plugin_help(path, out, e);
        return true;
    }
    return false;
}

bool config_lists(const struct options *o, FILE *out, bool *done, struct err *e)
{
    *done = true;
    if (is_help(o->value[OPT_PV]))
        vm_pv_help(out);
    else if (is_help(o->value[OPT_CPU]))
        vm_cpu_help(out);
    else if (any_help(o->devices))
        vm_device_help(out);
    else if (any_help(o->traces) || any_help(o->groups))
        trace_help(out);
    else if (help_of_plugin(o, out, e))
        return !e->exit_code;
    else
        *done = false;
    if (fflush(out) || ferror(out))
        return err_host(e, "standard output cannot be written");
    return true;
}

static bool parse_smp(struct config *c, const char *text, struct err *e)
{
    const char *digits = strncmp(text, "cpus=", 5) ? text : text + 5;
    u64 n;

    if (!options_u64(OPT_SMP, digits, 1, VM_MAX_CPUS, &n, e))
        return false;
    c->vm.cpus = (unsigned)n;
    if (n == 1 || !c->check)
        return true;
    err_usage(e, "-check compares machines of one CPU");
    return err_hint(e, "leave -smp away, or -check");
}

static bool check_accel(const char *text, struct err *e)
{
    if (!strcmp(text, "interp") || !strcmp(text, "jit"))
        return true;
    err_usage(e, "-accel: no such engine: '%s'", text);
    return err_hint(e, "there are 'interp', the portable interpreter, and 'jit', the translator");
}

/* The translator, unless it was said otherwise or the host cannot. */
static void choose_engine(struct vm_config *vm)
{
    struct err why;

    vm_choose_engine(vm, &why);
    if (why.exit_code)
        fprintf(stderr, "parallax: %s; the interpreter runs\n", why.msg);
}

/* -check makes both engines itself, and needs the time that only -icount makes the same for both.
 */
static bool parse_engine(struct config *c, const struct options *o, struct err *e)
{
    const char *accel = o->value[OPT_ACCEL];

    if (accel && !check_accel(accel, e))
        return false;
    c->check = o->given[OPT_CHECK];
    c->vm.accel = accel;
    c->vm.jit_test = o->value[OPT_JIT_TEST];
    if (c->check && accel) {
        err_usage(e, "-check runs both engines: -accel has no effect with it");
        return err_hint(e, "leave -accel away");
    }
    if (c->vm.jit_test && accel && strcmp(accel, "jit")) {
        err_usage(e, "-jit-test has no effect without the translator");
        return err_hint(e, "leave -accel away");
    }
    if (o->given[OPT_PV_INLINE]) {
        const char *v = o->value[OPT_PV_INLINE];
        c->vm.pv_exits = !strcmp(v, "off");
        if (!c->vm.pv_exits && strcmp(v, "on")) {
            err_usage(e, "-pv-inline: '%s' is neither on nor off", v);
            return err_hint(e, "leave it away for on");
        }
    }
    c->perfmap = o->given[OPT_PERFMAP];
    if (c->perfmap && (c->check || (accel && strcmp(accel, "jit")))) {
        err_usage(e, "-perfmap has no effect without the translator");
        return err_hint(e, c->check ? "leave -check away" : "leave -accel away");
    }
    if (c->check)
        c->vm.accel = "interp";
    else if (!accel)
        choose_engine(&c->vm);
    return true;
}

static const char *const display_names[] = {
    [DISPLAY_NONE] = "none", [DISPLAY_TERM] = "term", [DISPLAY_SDL] = "sdl"};

/* What has no display; NULL: this run may have one. */
static const char *without_display(const struct config *c, const struct options *o)
{
    return c->vm.no_vga               ? "-vga none"
           : o->given[OPT_CHECK]      ? "-check"
           : o->given[OPT_NOGRAPHIC]  ? "-nographic"
           : o->command != CMD_RUN    ? "compare"
                                      : NULL;
}

/* A guest that boots from its disk shows itself on its screen, one with -kernel on its console: the
 * first has a window where there is a desktop. */
static void imply_display(struct config *c, const struct options *o)
{
    if (without_display(c, o) || o->given[OPT_KERNEL] || !display_has_desktop() ||
        !display_is_built(DISPLAY_SDL))
        return;
    c->display = DISPLAY_SDL;
    c->display_implied = true;
}

static bool parse_display(struct config *c, const struct options *o, struct err *e)
{
    const char *text = o->value[OPT_DISPLAY], *not_with = without_display(c, o);
    unsigned kind = 0;

    c->vnc = o->value[OPT_VNC];
    if (text && !strncmp(text, "vnc=", 4)) {
        c->vnc = text + 4;
        text = "none";
    }
    if (c->vnc && not_with && !o->given[OPT_NOGRAPHIC])
        return err_usage(e, "-vnc does not go with %s", not_with);
    if (!text) {
        if (!c->vnc)
            imply_display(c, o);
        return true;
    }
    while (kind < ARRAY_SIZE(display_names) && strcmp(text, display_names[kind]))
        kind++;
    if (kind == ARRAY_SIZE(display_names)) {
        err_usage(e, "-display: no such display: '%s'", text);
        return err_hint(e, "there are 'sdl', 'term', 'vnc=WHERE' and 'none'");
    }
    c->display = (enum display_kind)kind;
    if (c->display != DISPLAY_NONE && not_with)
        return err_usage(e, "-display %s does not go with %s", text, not_with);
    return true;
}

static bool parse_vga(struct config *c, const struct options *o, struct err *e)
{
    const char *type = o->value[OPT_VGA];

    if (type && strcmp(type, "std") && strcmp(type, "none")) {
        err_usage(e, "-vga: no such display adapter: '%s'", type);
        return err_hint(e, "there are 'std' and 'none'");
    }
    c->vm.no_vga = type && !strcmp(type, "none");
    c->screendump = o->value[OPT_SCREENDUMP];
    if (!c->screendump)
        return true;
    if (c->vm.no_vga) {
        err_usage(e, "-screendump has no effect with -vga none");
        return err_hint(e, "leave one of them away");
    }
    return report_check_writable(c->screendump, e);
}

static bool parse_audio_item(struct audio_options *a, char *item, struct err *e)
{
    if (!strncmp(item, "id=", 3) && item[3])
        a->id = item + 3;
    else if (!strncmp(item, "path=", 5) && item[5] && !strcmp(a->driver, "wav"))
        a->path = item + 5;
    else
        return err_usage(e, "-audiodev %s: '%s' is not understood", a->driver, item);
    return true;
}

static bool parse_audiodev(struct config *c, const struct options *o, struct err *e)
{
    struct audio_options *a = &c->vm.audio;
    char *rest;

    if (!o->given[OPT_AUDIODEV])
        return true;
    rest = c->audiodev = strdup(o->value[OPT_AUDIODEV]);
    BUG_ON(!rest);
    a->driver = keys_next(&rest);
    if (strcmp(a->driver, "none") != 0 && strcmp(a->driver, "wav") != 0 && strcmp(a->driver, "sdl") != 0) {
        err_usage(e, "-audiodev: no such driver: '%s'", a->driver);
        return err_hint(e, "there are 'sdl', 'wav' and 'none'");
    }
    while (rest)
        if (!parse_audio_item(a, keys_next(&rest), e))
            return false;
    if (!strcmp(a->driver, "wav") && !a->path) {
        err_usage(e, "-audiodev wav needs path=FILE");
        return err_hint(e, "-audiodev wav,path=sound.wav");
    }
    if (c->check && strcmp(a->driver, "none") != 0)
        return err_usage(e, "-audiodev %s does not go with -check", a->driver);
    return true;
}

static bool parse_machine(struct config *c, const struct options *o, struct err *e)
{
    c->vm.ram_bytes = DEFAULT_RAM_BYTES;
    if (o->given[OPT_M] && !options_size(o->value[OPT_M], &c->vm.ram_bytes, e))
        return false;
    c->vm.cpu_model = o->value[OPT_CPU]; /* the choice of the engine looks at it */
    if (!parse_engine(c, o, e))
        return false;
    if (o->given[OPT_SMP] && !parse_smp(c, o->value[OPT_SMP], e))
        return false;
    if (!parse_vga(c, o, e) || !parse_display(c, o, e) || !parse_audiodev(c, o, e))
        return false;
    c->vm.pv = o->value[OPT_PV];
    c->vm.no_reboot = o->given[OPT_NO_REBOOT];
    c->vm.usb = o->given[OPT_USB];
    c->vm.nvram = o->value[OPT_NVRAM];
    return true;
}

/* order=LETTERS, once per letter, or LETTERS alone; menu=on|off. */
static bool parse_boot_item(struct config *c, const char *item, struct err *e)
{
    const char *letters = strncmp(item, "order=", 6) ? item : item + 6;

    if (!strcmp(item, "menu=on") || !strcmp(item, "menu=off")) {
        c->vm.boot_menu = !strcmp(item, "menu=on");
        return true;
    }
    if (*letters && strlen(letters) < sizeof c->boot_order &&
        strspn(letters, "acdn") == strlen(letters)) {
        strcpy(c->boot_order, letters);
        c->vm.boot_order = c->boot_order;
        return true;
    }
    err_usage(e, "-boot: '%s' is not understood", item);
    return err_hint(e,
                    "order=LETTERS, from a (floppy), c (hard disk), d (CD-ROM), n (network), and "
                    "menu=on|off: -boot order=dc,menu=on");
}

static bool parse_option_roms(struct config *c, const struct options *o, struct err *e)
{
    if (c->vm.kernel && o->given[OPT_OPTION_ROM]) {
        err_usage(e, "-option-rom has no effect with -kernel");
        return err_hint(e, "it is for firmware: leave one of them away");
    }
    for (unsigned i = 0; o->option_roms[i]; i++) {
        if (i == VM_OPTION_ROMS)
            return err_usage(e, "there are more than %u -option-rom", VM_OPTION_ROMS);
        c->vm.option_roms[c->vm.option_rom_count++] = o->option_roms[i];
    }
    return true;
}

static bool parse_boot(struct config *c, const char *text, struct err *e)
{
    char *copy = strdup(text ? text : ""), *rest = copy, *item;
    bool ok = copy != NULL;

    while (ok && (item = strsep(&rest, ",")))
        ok = !*item || parse_boot_item(c, item, e);
    if (!copy)
        err_host(e, "out of memory");
    free(copy);
    return ok;
}

static bool parse_guest(struct config *c, const struct options *o, struct err *e)
{
    c->vm.kernel = o->value[OPT_KERNEL];
    c->vm.initrd = o->value[OPT_INITRD];
    c->vm.append = o->value[OPT_APPEND];
    c->vm.bios = o->value[OPT_BIOS];
    if (o->command == CMD_DEMO) {
        c->vm.demo_guest = true;
        return true;
    }
    if (c->vm.bios && c->vm.kernel) {
        err_usage(e, "-bios has no effect with -kernel");
        return err_hint(e, "a kernel is loaded without firmware: leave one of them away");
    }
    if (!parse_boot(c, o->value[OPT_BOOT], e))
        return false;
    if (c->vm.kernel && o->given[OPT_BOOT]) {
        err_usage(e, "-boot has no effect with -kernel");
        return err_hint(e, "it is for firmware: leave one of them away");
    }
    if (!parse_option_roms(c, o, e))
        return false;
    if (!c->vm.kernel && !c->vm.bios && !c->vm.drive_count && !o->given[OPT_BOOT] &&
        !o->given[OPT_OPTION_ROM]) {
        err_usage(e, "no guest: there is no -kernel, no disk and no -bios");
        return err_hint(e,
                        "parallax -m 512 -kernel vmlinuz -initrd rd.gz -append console=ttyS0; or "
                        "'parallax' alone for the embedded guest");
    }
    return true;
}

struct action_name {
    const char *name;
    enum vm_action action;
};
static const struct action_name panic_actions[] = {{"shutdown", VM_ACTION_POWEROFF},
                                                   {"exit-failure", VM_ACTION_FAIL},
                                                   {"none", VM_ACTION_NONE},
                                                   {NULL, VM_ACTION_NONE}};
static const struct action_name watchdog_actions[] = {{"reset", VM_ACTION_RESET},
                                                      {"shutdown", VM_ACTION_SHUTDOWN},
                                                      {"poweroff", VM_ACTION_POWEROFF},
                                                      {"inject-nmi", VM_ACTION_NMI},
                                                      {"none", VM_ACTION_NONE},
                                                      {NULL, VM_ACTION_NONE}};

static bool find_action(const struct action_name *names, const char *event, const char *name,
                        enum vm_action *action, struct err *e)
{
    for (; names->name; names++)
        if (!strcmp(names->name, name)) {
            *action = names->action;
            return true;
        }
    err_usage(e, "-action: '%s' does not follow %s", name, event);
    return err_hint(e, "panic=shutdown|exit-failure|none, "
                       "watchdog=reset|shutdown|poweroff|inject-nmi|none");
}

static bool parse_action_item(struct config *c, const char *item, struct err *e)
{
    if (!strncmp(item, "panic=", 6))
        return find_action(panic_actions, "a panic", item + 6, &c->vm.on_panic, e);
    if (!strncmp(item, "watchdog=", 9))
        return find_action(watchdog_actions, "the watchdog", item + 9, &c->vm.on_watchdog, e);
    err_usage(e, "-action: '%s' is not understood", item);
    return err_hint(e, "-action panic=exit-failure,watchdog=poweroff");
}

static bool parse_actions(struct config *c, const struct options *o, struct err *e)
{
    const char *text = o->value[OPT_ACTION], *watchdog = o->value[OPT_WATCHDOG_ACTION];
    char *copy = strdup(text ? text : ""), *rest = copy, *item;
    bool ok = copy != NULL;

    c->vm.on_panic = VM_ACTION_POWEROFF;
    c->vm.on_watchdog = VM_ACTION_RESET;
    while (ok && (item = strsep(&rest, ",")))
        ok = !*item || parse_action_item(c, item, e);
    if (!copy)
        err_host(e, "out of memory");
    free(copy);
    return ok && (!watchdog || find_action(watchdog_actions, "the watchdog", watchdog,
                                           &c->vm.on_watchdog, e));
}

static bool parse_time(struct config *c, const struct options *o, struct err *e)
{
    const char *until = o->value[OPT_UNTIL];

    if (until && (!*until || strlen(until) > UNTIL_MAX))
        return err_usage(e, "-until: the text has 1 to %d bytes", UNTIL_MAX);
    c->until = until;
    c->timeout_ns = o->command == CMD_COMPARE ? DEFAULT_COMPARE_TIMEOUT_NS : 0;
    if (o->given[OPT_TIMEOUT] &&
        !options_seconds(OPT_TIMEOUT, o->value[OPT_TIMEOUT], &c->timeout_ns, e))
        return false;
    c->vm.icount = o->given[OPT_ICOUNT] || c->check;
    if (!o->given[OPT_SEED])
        return true;
    if (!c->vm.icount) {
        err_usage(e, "-seed has no effect without -icount");
        return err_hint(e, "add -icount for runs that repeat exactly");
    }
    return options_u64(OPT_SEED, o->value[OPT_SEED], 0, ~0ull, &c->vm.seed, e);
}

static bool is_stdio(const char *stream)
{
    return stream && (!strcmp(stream, "stdio") || !strcmp(stream, "mon:stdio"));
}

/* How many of the streams beside COM1 want the terminal. */
static unsigned stdio_streams(const struct config *c)
{
    unsigned n = (unsigned)is_stdio(c->debugcon) + is_stdio(c->bios_debug) + is_stdio(c->xen_console);

    for (unsigned i = 0; i < c->resources.streams; i++)
        n += is_stdio(c->resources.stream_spec[i]);
    return n;
}

static bool parse_streams(struct config *c, const struct options *o, struct err *e)
{
    bool shown = (o->given[OPT_DISPLAY] || o->given[OPT_VNC]) && !o->given[OPT_NOGRAPHIC];
    const char *implied = shown ? "null" : "mon:stdio";

    c->debugcon = o->value[OPT_DEBUGCON];
    c->bios_debug = o->value[OPT_BIOS_DEBUG];
    c->xen_console = o->value[OPT_XEN_CONSOLE];
    if (stdio_streams(c) && !o->given[OPT_NOGRAPHIC])
        implied = "null";
    c->serial = o->value[OPT_SERIAL] ? o->value[OPT_SERIAL] : implied;
    if (!strcmp(c->serial, "none")) /* QEMU's word for a port with nothing at it */
        c->serial = "null";
    if (c->display == DISPLAY_TERM && (is_stdio(c->serial) || stdio_streams(c))) {
        err_usage(e, "-display term has the terminal: no stream can be stdio");
        return err_hint(e, "send it to file:PATH or to a pty");
    }
    if (is_stdio(c->serial) + stdio_streams(c) > 1) {
        err_usage(e, "-serial, -debugcon, -bios-debug, -xen-console and -chardev cannot share the terminal");
        return err_hint(e, "send the others to file:PATH");
    }
    return true;
}

/* The terminal is for one of them. */
static bool parse_terminal(struct config *c, const struct options *o, struct err *e)
{
    const char *who = is_stdio(c->gdb)       ? "-gdb"
                      : is_stdio(c->monitor) ? "-monitor"
                      : is_stdio(c->qmp)     ? "-qmp"
                                             : NULL;

    if (is_stdio(c->gdb) + is_stdio(c->monitor) + is_stdio(c->qmp) > 1)
        return err_usage(e, "-gdb, -monitor and -qmp cannot share the terminal");
    if (!who || !is_stdio(c->serial))
        return true;
    if (o->given[OPT_SERIAL])
        return err_usage(e, "%s and -serial cannot share the terminal", who);
    c->serial = "null";
    return true;
}

/* What is debugged is one machine that runs on. */
static bool parse_debugging(struct config *c, const struct options *o, struct err *e)
{
    c->paused = o->given[OPT_S];
    c->monitor = o->value[OPT_MONITOR];
    if (c->monitor && (!strcmp(c->monitor, "none") || !strcmp(c->monitor, "null")))
        c->monitor = NULL; /* QEMU's words */
    c->qmp = o->value[OPT_QMP];
    c->gdb = o->given[OPT_GDB_1234] ? "tcp::1234" : o->value[OPT_GDB];
    if (o->given[OPT_GDB_1234] && o->given[OPT_GDB])
        return err_usage(e, "-s is -gdb tcp::1234: give one of them");
    if (c->check && (c->paused || c->gdb || c->monitor || c->qmp))
        return err_usage(e, "-check has two machines: it does not go with %s",
                         c->gdb       ? "-gdb"
                         : c->monitor ? "-monitor"
                         : c->qmp     ? "-qmp"
                                      : "-S");
    if (c->paused && !c->gdb && !c->monitor && !c->qmp && !is_stdio(c->serial)) {
        err_usage(e, "-S: nobody is there who could start the guest");
        return err_hint(e, "add -s, -gdb, -monitor or -qmp");
    }
    return parse_terminal(c, o, e);
}

static bool parse_stats(struct config *c, const struct options *o, struct err *e)
{
    const char *v = o->value[OPT_STATS];

    c->stats = o->given[OPT_STATS];
    if (!v)
        return true;
    c->stats_json = true;
    if (!strncmp(v, "json:", 5) && v[5]) {
        c->stats_file = v + 5;
        return report_check_writable(c->stats_file, e);
    }
    if (!strcmp(v, "json"))
        return true;
    err_usage(e, "-stats: no such form: '%s'", v);
    return err_hint(e, "-stats, -stats=json or -stats=json:FILE");
}

static bool enable_list(const char *words, struct err *e)
{
    char *copy = strdup(words), *rest = copy, *word;
    bool ok = copy != NULL;

    while (ok && (word = strsep(&rest, ",")))
        if (*word)
            ok = trace_enable(strncmp(word, "enable=", 7) ? word : word + 7, e);
    if (!copy)
        err_host(e, "out of memory");
    free(copy);
    return ok;
}

/* Does a list of -d or -trace name what only the translator has? */
static bool names_host_code(const char *const *lists)
{
    for (; *lists; lists++)
        if (strstr(*lists, "out_asm") || strstr(*lists, "host_code"))
            return true;
    return false;
}

static bool parse_traces(const struct config *c, const struct options *o, struct err *e)
{
    if (!strcmp(c->vm.accel, "interp") &&
        (names_host_code(o->groups) || names_host_code(o->traces))) {
        err_usage(e, "-d out_asm has no effect without the translator");
        return err_hint(e, c->check ? "leave -check away"
                                    : "-d in_asm shows the guest's instructions");
    }
    for (unsigned i = 0; o->groups[i]; i++)
        if (!enable_list(o->groups[i], e))
            return false;
    for (unsigned i = 0; o->traces[i]; i++)
        if (!enable_list(o->traces[i], e))
            return false;
    if (!o->given[OPT_D_FILE])
        return true;
    if (!o->groups[0] && !o->traces[0]) {
        err_usage(e, "-D has no effect without -d or -trace");
        return err_hint(e, "'-trace help' lists what can be traced");
    }
    return trace_set_file(o->value[OPT_D_FILE], e);
}

static bool parse_drives(struct config *c, const struct options *o, struct err *e)
{
    if (!drives_from_options(&c->drives, o, e))
        return false;
    c->vm.drives = c->drives.drive;
    c->vm.drive_count = c->drives.count;
    c->vm.report = err_print;
    return true;
}

static bool parse_nets(struct config *c, const struct options *o, struct err *e)
{
    if (!nets_from_options(&c->nets, o, e))
        return false;
    c->vm.nets = c->nets.net;
    c->vm.net_count = c->nets.count;
    c->vm.dumps = c->nets.dump;
    c->vm.dump_count = c->nets.dumps;
    return true;
}

static bool parse_resources(struct config *c, const struct options *o, struct err *e)
{
    struct resource_list *l = &c->resources;

    if (!resources_from_options(l, o, e))
        return false;
    c->vm.resources = (struct resources){.streams = l->stream,
                                         .stream_count = l->streams,
                                         .entropies = l->entropy,
                                         .entropy_count = l->entropies,
                                         .shares = l->share,
                                         .share_count = l->shares};
    memcpy(c->devices, c->nets.devices, c->nets.device_count * sizeof *c->devices);
    memcpy(c->devices + c->nets.device_count, l->device, l->devices * sizeof *c->devices);
    c->vm.devices = c->devices;
    return true;
}

static bool parse_observers(struct config *c, const struct options *o, struct err *e)
{
    if (!plugins_from_options(&c->plugins, o, e))
        return false;
    c->vm.plugins = c->plugins.plugin;
    c->vm.plugin_count = c->plugins.count;
    c->vm.timeline = o->value[OPT_TIMELINE];
    if (c->vm.timeline && c->check) {
        err_usage(e, "-check has two machines: it does not go with -timeline");
        return err_hint(e, "leave one of the two away");
    }
    return true;
}

static const char *file_of(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;

    return slash ? slash + 1 : path;
}

bool config_from_options(struct config *c, const struct options *o, struct err *e)
{
    *c = (struct config){0};
    if (!parse_machine(c, o, e) || !parse_drives(c, o, e) || !parse_nets(c, o, e) ||
        !parse_resources(c, o, e) || !parse_guest(c, o, e) || !parse_actions(c, o, e) ||
        !parse_time(c, o, e) || !parse_observers(c, o, e) || !parse_streams(c, o, e) ||
        !parse_debugging(c, o, e) || !parse_stats(c, o, e) || !parse_traces(c, o, e))
        return false;
    c->name = o->value[OPT_NAME] ? o->value[OPT_NAME]
              : c->vm.kernel     ? file_of(c->vm.kernel)
                                 : "firmware";
    c->vm.name = c->name;
    return true;
}

void config_free(struct config *c)
{
    drives_free(&c->drives);
    nets_free(&c->nets);
    free(c->audiodev);
    resources_free(&c->resources);
    plugins_free(&c->plugins);
}
