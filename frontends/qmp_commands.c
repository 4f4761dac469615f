/*
 * qmp_commands.c: what QMP's commands do and tell. Shapes of answers: QEMU's qapi/ (block.json,
 * control.json, machine.json, misc.json, pci.json, qom.json, run-state.json, stats.json, ui.json).
 */
#include "frontends/qmp_impl.h"

#include "base/bits.h"
#include "block/drive.h"
#include "block/image.h"
#include "cpu/model.h"
#include "devices/device.h"
#include "devices/pci.h"
#include "devices/virtio_balloon.h"
#include "frontends/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UNUSED(q, args, class, e) (void)(q), (void)(args), (void)(class), (void)(e)

static cJSON *nothing(bool ok)
{
    return ok ? cJSON_CreateObject() : NULL;
}

/* A command of the monitor, whose errors become ours. */
static bool monitor_does(struct qmp *q, monitor_fn *fn, const char *args, struct err *e)
{
    FILE *outer = q->m->out;
    char *text = NULL;
    size_t size;
    bool ok;

    q->m->out = open_memstream(&text, &size);
    BUG_ON(!q->m->out);
    ok = fn(q->m, args, e);
    fclose(q->m->out);
    free(text);
    q->m->out = outer;
    return ok;
}

/* ---- the program ----------------------------------------------------------------------------- */

/* Programs look at QEMU's number to know what they may ask: that of the version whose schema we
 * follow. */
cJSON *qmp_query_version(struct qmp *q, const cJSON *args, const char **class, struct err *e)
{
    cJSON *o = cJSON_CreateObject(), *v = cJSON_AddObjectToObject(o, "qemu");

    UNUSED(q, args, class, e);
    cJSON_AddNumberToObject(v, "micro", 0);
    cJSON_AddNumberToObject(v, "minor", 2);
    cJSON_AddNumberToObject(v, "major", 7);
    cJSON_AddStringToObject(o, "package", "parallax " PARALLAX_VERSION);
    return o;
}

cJSON *qmp_query_kvm(struct qmp *q, const cJSON *args, const char **class, struct err *e)
{
    cJSON *o = cJSON_CreateObject();

    UNUSED(q, args, class, e);
    cJSON_AddBoolToObject(o, "enabled", false);
    cJSON_AddBoolToObject(o, "present", false);
    return o;
}

cJSON *qmp_query_target(struct qmp *q, const cJSON *args, const char **class, struct err *e)
{
    cJSON *o = cJSON_CreateObject();

    UNUSED(q, args, class, e);
    cJSON_AddStringToObject(o, "arch", "x86_64");
    return o;
}

cJSON *qmp_query_machines(struct qmp *q, const cJSON *args, const char **class, struct err *e)
{
    cJSON *list = cJSON_CreateArray(), *o = cJSON_CreateObject();

    UNUSED(q, args, class, e);
    cJSON_AddStringToObject(o, "name", "pc");
    cJSON_AddBoolToObject(o, "is-default", true);
    cJSON_AddNumberToObject(o, "cpu-max", VM_MAX_CPUS);
    cJSON_AddBoolToObject(o, "hotpluggable-cpus", false);
    cJSON_AddBoolToObject(o, "numa-mem-supported", false);
    cJSON_AddBoolToObject(o, "deprecated", false);
    cJSON_AddStringToObject(o, "default-cpu-type", model_find(NULL, NULL)->name);
    cJSON_AddItemToArray(list, o);
    return list;
}

cJSON *qmp_query_cpu_definitions(struct qmp *q, const cJSON *args, const char **class, struct err *e)
{
    cJSON *list = cJSON_CreateArray();
    const struct cpu_model *model;

    UNUSED(q, args, class, e);
    for (unsigned i = 0; (model = model_by_number(i)); i++) {
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "name", model->name);
        cJSON_AddStringToObject(o, "typename", model->name);
        cJSON_AddBoolToObject(o, "static", true);
        cJSON_AddBoolToObject(o, "migration-safe", true);
        cJSON_AddBoolToObject(o, "deprecated", false);
        cJSON_AddItemToObject(o, "unavailable-features", cJSON_CreateArray());
        cJSON_AddItemToArray(list, o);
    }
    return list;
}

/* Our classes of devices, which are all below QEMU's "device" and have no further order. */
cJSON *qmp_list_types(struct qmp *q, const cJSON *args, const char **class, struct err *e)
{
    const char *implements = qmp_text(args, "implements", "device");
    cJSON *list = cJSON_CreateArray();

    UNUSED(q, args, class, e);
    for (unsigned i = 0; dev_classes[i]; i++) {
        cJSON *o;
        if (strcmp(implements, "device") != 0 && strcmp(implements, dev_classes[i]->name) != 0)
            continue;
        o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "name", dev_classes[i]->name);
        cJSON_AddStringToObject(o, "parent", "device");
        cJSON_AddItemToArray(list, o);
    }
    return list;
}

/* ---- the machine ----------------------------------------------------------------------------- */

cJSON *qmp_query_status(struct qmp *q, const cJSON *args, const char **class, struct err *e)
{
    bool running = q->d->running && !q->d->dead;
    const char *status = running                ? "running"
                         : q->d->dead           ? "internal-error"
                         : vm_icount(q->vm) == 0 ? "prelaunch"
                                                : "paused";
    cJSON *o = cJSON_CreateObject();

    UNUSED(q, args, class, e);
    cJSON_AddStringToObject(o, "status", status);
    cJSON_AddBoolToObject(o, "singlestep", false);
    cJSON_AddBoolToObject(o, "running", running);
    return o;
}

cJSON *qmp_query_name(struct qmp *q, const cJSON *args, const char **class, struct err *e)
{
    cJSON *o = cJSON_CreateObject();

    UNUSED(q, args, class, e);
    cJSON_AddStringToObject(o, "name", q->name);
    return o;
}

cJSON *qmp_query_uuid(struct qmp *q, const cJSON *args, const char **class, struct err *e)
{
    cJSON *o = cJSON_CreateObject();

    UNUSED(q, args, class, e);
    cJSON_AddStringToObject(o, "UUID", "00000000-0000-0000-0000-000000000000");
    return o;
}

cJSON *qmp_query_cpus(struct qmp *q, const cJSON *args, const char **class, struct err *e)
{
    cJSON *list = cJSON_CreateArray();

    UNUSED(q, args, class, e);
    for (unsigned n = 0; n < vm_cpus(q->vm); n++) {
        cJSON *o = cJSON_CreateObject(), *props;
        char path[40];

        snprintf(path, sizeof path, "/machine/unattached/device[%u]", n);
        cJSON_AddNumberToObject(o, "cpu-index", n);
        cJSON_AddStringToObject(o, "qom-path", path);
        cJSON_AddNumberToObject(o, "thread-id", getpid());
        props = cJSON_AddObjectToObject(o, "props");
        cJSON_AddNumberToObject(props, "socket-id", 0);
        cJSON_AddNumberToObject(props, "core-id", n);
        cJSON_AddNumberToObject(props, "thread-id", 0);
        cJSON_AddStringToObject(o, "target", "x86_64");
        cJSON_AddItemToArray(list, o);
    }
    return list;
}

cJSON *qmp_query_memory(struct qmp *q, const cJSON *args, const char **class, struct err *e)
{
    cJSON *o = cJSON_CreateObject();

    UNUSED(q, args, class, e);
    cJSON_AddNumberToObject(o, "base-memory", (double)vm_phys(q->vm)->ram_bytes);
    cJSON_AddNumberToObject(o, "plugged-memory", 0);
    return o;
}

cJSON *qmp_stop(struct qmp *q, const cJSON *args, const char **class, struct err *e)
{
    UNUSED(q, args, class, e);
    debugger_stop(q->d);
    return nothing(true);
}

cJSON *qmp_cont(struct qmp *q, const cJSON *args, const char **class, struct err *e)
{
    UNUSED(q, args, class, e);
    if (q->d->dead) {
        err_usage(e, "Resetting the Virtual Machine is required");
        return NULL;
    }
    debugger_continue(q->d);
    return nothing(true);
}

cJSON *qmp_quit(struct qmp *q, const cJSON *args, const char **class, struct err *e)
{
    UNUSED(q, args, class, e);
    debugger_quit(q->d);
    return nothing(true);
}

cJSON *qmp_system_reset(struct qmp *q, const cJSON *args, const char **class, struct err *e)
{
    cJSON *data;

    UNUSED(q, args, class, e);
    if (!monitor_does(q, cmd_reset, "", e))
        return NULL;
    data = cJSON_CreateObject();
    cJSON_AddBoolToObject(data, "guest", false);
    cJSON_AddStringToObject(data, "reason", "host-qmp-system-reset");
    qmp_event(q, "RESET", data);
    return nothing(true);
}

cJSON *qmp_system_powerdown(struct qmp *q, const cJSON *args, const char **class, struct err *e)
{
    UNUSED(q, args, class, e);
    if (monitor_does(q, cmd_powerdown, "", e))
        qmp_event(q, "POWERDOWN", NULL);
    return nothing(true); /* as QEMU: that nobody listens is no error */
}

cJSON *qmp_inject_nmi(struct qmp *q, const cJSON *args, const char **class, struct err *e)
{
    UNUSED(q, args, class, e);
    return nothing(monitor_does(q, cmd_nmi, "", e));
}

cJSON *qmp_human_monitor_command(struct qmp *q, const cJSON *args, const char **class, struct err *e)
{
    unsigned cpu = q->m->cpu;
    double index = qmp_number(args, "cpu-index", cpu);
    char *text;
    cJSON *value;

    UNUSED(q, args, class, e);
    if (index < 0 || index >= vm_cpus(q->vm)) {
        err_usage(e, "Parameter 'cpu-index' expects a CPU number");
        return NULL;
    }
    q->m->cpu = (unsigned)index;
    text = monitor_run(q->m, qmp_text(args, "command-line", ""));
    q->m->cpu = cpu;
    value = cJSON_CreateString(text ? text : "");
    free(text);
    return value;
}

/* ---- statistics ------------------------------------------------------------------------------ */

static void add_stat(cJSON *list, const char *prefix, const char *name, double value)
{
    cJSON *o = cJSON_CreateObject();
    char full[64];

    snprintf(full, sizeof full, "%s%s", prefix, name);
    cJSON_AddStringToObject(o, "name", full);
    cJSON_AddNumberToObject(o, "value", value);
    cJSON_AddItemToArray(list, o);
}

cJSON *qmp_query_stats(struct qmp *q, const cJSON *args, const char **class, struct err *e)
{
    cJSON *list, *result, *stats;
    struct vm_fact facts[VM_FACTS_MAX];
    const char *name, *doc;
    u64 used;
    bool on;

    UNUSED(q, args, class, e);
    if (strcmp(qmp_text(args, "target", ""), "vm") != 0) {
        err_usage(e, "Parameter 'target' expects 'vm'");
        return NULL;
    }
    list = cJSON_CreateArray();
    result = cJSON_CreateObject();
    cJSON_AddStringToObject(result, "provider", "parallax");
    stats = cJSON_AddArrayToObject(result, "stats");
    add_stat(stats, "", "instructions", (double)vm_icount(q->vm));
    const struct stats *st = vm_stats(q->vm);
    for (unsigned c = 0; c < STAT_COUNT; c++)
        add_stat(stats, "class-", stat_name(c), (double)stat_total(st, c));
    for (unsigned i = 0, n = vm_engine_facts(q->vm, facts); i < n; i++)
        add_stat(stats, "engine-", facts[i].name, facts[i].value);
    for (unsigned i = 0; vm_pv_feature(q->vm, i, &name, &doc, &on, &used); i++)
        add_stat(stats, "feature-", name, (double)used);
    cJSON_AddItemToArray(list, result);
    return list;
}

/* ---- drives ---------------------------------------------------------------------------------- */

static cJSON *medium_of(const struct drive *d)
{
    cJSON *o = cJSON_CreateObject(), *image;
    const char *path = d->path ? d->path : "";

    cJSON_AddStringToObject(o, "file", path);
    cJSON_AddBoolToObject(o, "ro", drive_readonly(d));
    cJSON_AddStringToObject(o, "drv", d->image->format->name);
    cJSON_AddBoolToObject(o, "encrypted", false);
    cJSON_AddNumberToObject(o, "backing_file_depth", 0);
    image = cJSON_AddObjectToObject(o, "image");
    cJSON_AddStringToObject(image, "filename", path);
    cJSON_AddStringToObject(image, "format", d->image->format->name);
    cJSON_AddNumberToObject(image, "virtual-size", (double)drive_bytes(d));
    return o;
}

cJSON *qmp_query_block(struct qmp *q, const cJSON *args, const char **class, struct err *e)
{
    cJSON *list = cJSON_CreateArray();

    UNUSED(q, args, class, e);
    for (const struct drive *d = vm_drives(q->vm)->first; d; d = d->next) {
        cJSON *o = cJSON_CreateObject();
        bool removable = d->media != MEDIA_DISK;

        cJSON_AddStringToObject(o, "device", d->id);
        cJSON_AddStringToObject(o, "type", "unknown");
        cJSON_AddBoolToObject(o, "removable", removable);
        cJSON_AddBoolToObject(o, "locked", false);
        if (removable)
            cJSON_AddBoolToObject(o, "tray_open", !drive_has_medium(d));
        if (drive_has_medium(d))
            cJSON_AddItemToObject(o, "inserted", medium_of(d));
        cJSON_AddItemToArray(list, o);
    }
    return list;
}

/* The drive that `device` or `id` names. */
static const char *drive_name(const struct qmp *q, const cJSON *args, const char **class, struct err *e)
{
    const char *name = qmp_text(args, "device", qmp_text(args, "id", NULL));

    if (name && drives_find(vm_drives(q->vm), name))
        return name;
    *class = name ? "DeviceNotFound" : "GenericError";
    if (name)
        err_usage(e, "Device '%.60s' not found", name);
    else
        err_usage(e, "Need exactly one of 'device' and 'id'");
    return NULL;
}

static void tray_moved(struct qmp *q, const char *name, bool open)
{
    cJSON *data = cJSON_CreateObject();

    cJSON_AddStringToObject(data, "device", name);
    cJSON_AddStringToObject(data, "id", name);
    cJSON_AddBoolToObject(data, "tray-open", open);
    qmp_event(q, "DEVICE_TRAY_MOVED", data);
}

cJSON *qmp_eject(struct qmp *q, const cJSON *args, const char **class, struct err *e)
{
    const char *name = drive_name(q, args, class, e);

    if (!name || !monitor_does(q, cmd_eject, name, e))
        return NULL;
    tray_moved(q, name, true);
    return nothing(true);
}

cJSON *qmp_change_medium(struct qmp *q, const cJSON *args, const char **class, struct err *e)
{
    const char *name = drive_name(q, args, class, e), *mode = qmp_text(args, "read-only-mode", "retain");
    struct image_options o = {.path = qmp_text(args, "filename", "")};
    struct drive *d;

    if (!name)
        return NULL;
    d = drives_find(vm_drives(q->vm), name);
    o.format = qmp_text(args, "format", NULL);
    o.readonly = !strcmp(mode, "read-only") || (!strcmp(mode, "retain") && d->media == MEDIA_CDROM);
    if (!drive_change(d, &o, e))
        return NULL;
    tray_moved(q, name, true);
    tray_moved(q, name, false);
    return nothing(true);
}

/* ---- PCI ------------------------------------------------------------------------------------- */

static cJSON *regions_of(const struct pci_func *f)
{
    cJSON *list = cJSON_CreateArray();

    for (unsigned i = 0; i < PCI_BARS; i++) {
        const struct pci_bar *b = &f->bar[i];
        bool io = b->type & PCI_BAR_IO;
        cJSON *o;

        if (!b->size)
            continue;
        o = cJSON_CreateObject();
        cJSON_AddNumberToObject(o, "bar", i);
        cJSON_AddStringToObject(o, "type", io ? "io" : "memory");
        cJSON_AddNumberToObject(o, "address", b->mapped ? (double)b->base : -1);
        cJSON_AddNumberToObject(o, "size", (double)b->size);
        if (!io) {
            cJSON_AddBoolToObject(o, "prefetch", b->type & PCI_BAR_PREFETCH);
            cJSON_AddBoolToObject(o, "mem_type_64", b->type & PCI_BAR_64);
        }
        cJSON_AddItemToArray(list, o);
    }
    return list;
}

static cJSON *function_of(const struct pci_func *f)
{
    cJSON *o = cJSON_CreateObject(), *id, *info;

    cJSON_AddNumberToObject(o, "bus", 0);
    cJSON_AddNumberToObject(o, "slot", f->devfn >> 3);
    cJSON_AddNumberToObject(o, "function", f->devfn & 7);
    info = cJSON_AddObjectToObject(o, "class_info");
    cJSON_AddNumberToObject(info, "class", ld_le16(f->config + PCI_CLASS_DEVICE));
    cJSON_AddStringToObject(info, "desc", f->dev.cls->doc);
    id = cJSON_AddObjectToObject(o, "id");
    cJSON_AddNumberToObject(id, "vendor", ld_le16(f->config + PCI_VENDOR_ID));
    cJSON_AddNumberToObject(id, "device", ld_le16(f->config + PCI_DEVICE_ID));
    cJSON_AddNumberToObject(id, "subsystem-vendor", ld_le16(f->config + PCI_SUBSYSTEM_VENDOR_ID));
    cJSON_AddNumberToObject(id, "subsystem", ld_le16(f->config + PCI_SUBSYSTEM_ID));
    if (f->config[PCI_INTERRUPT_PIN])
        cJSON_AddNumberToObject(o, "irq", f->config[PCI_INTERRUPT_LINE]);
    cJSON_AddNumberToObject(o, "irq_pin", f->config[PCI_INTERRUPT_PIN]);
    cJSON_AddStringToObject(o, "qdev_id", "");
    cJSON_AddItemToObject(o, "regions", regions_of(f));
    return o;
}

cJSON *qmp_query_pci(struct qmp *q, const cJSON *args, const char **class, struct err *e)
{
    cJSON *list = cJSON_CreateArray(), *bus = cJSON_CreateObject(), *devices;
    const struct pci_bus *b = vm_pci(q->vm);

    UNUSED(q, args, class, e);
    cJSON_AddNumberToObject(bus, "bus", 0);
    devices = cJSON_AddArrayToObject(bus, "devices");
    for (unsigned i = 0; i < ARRAY_SIZE(b->func); i++)
        if (b->func[i])
            cJSON_AddItemToArray(devices, function_of(b->func[i]));
    cJSON_AddItemToArray(list, bus);
    return list;
}

/* Nothing of ours is plugged in or out while the machine runs. */
cJSON *qmp_device_add(struct qmp *q, const cJSON *args, const char **class, struct err *e)
{
    const char *driver = qmp_text(args, "driver", "");

    UNUSED(q, args, class, e);
    if (dev_class_find(driver))
        err_usage(e, "Bus 'pci.0' does not support hotplugging");
    else
        err_usage(e, "'%.60s' is not a valid device model name", driver);
    return NULL;
}

cJSON *qmp_device_del(struct qmp *q, const cJSON *args, const char **class, struct err *e)
{
    UNUSED(q, args, class, e);
    *class = "DeviceNotFound";
    err_usage(e, "Device '%.60s' not found", qmp_text(args, "id", ""));
    return NULL;
}

static struct virtio_balloon *find_balloon(const struct qmp *q, const char **class, struct err *e)
{
    for (struct dev *d = vm_devices(q->vm); d; d = d->next)
        if (d->cls == &virtio_balloon_class)
            return (struct virtio_balloon *)(void *)d;
    *class = "DeviceNotActive";
    err_usage(e, "No balloon device has been activated");
    return NULL;
}

cJSON *qmp_query_balloon(struct qmp *q, const cJSON *args, const char **class, struct err *e)
{
    const struct virtio_balloon *b = find_balloon(q, class, e);
    cJSON *o = b ? cJSON_CreateObject() : NULL;

    (void)args;
    if (b)
        cJSON_AddNumberToObject(o, "actual",
                                (double)(vm_phys(q->vm)->ram_bytes - (u64)b->actual * PAGE_SIZE));
    return o;
}

cJSON *qmp_balloon(struct qmp *q, const cJSON *args, const char **class, struct err *e)
{
    struct virtio_balloon *b = find_balloon(q, class, e);
    double bytes = qmp_number(args, "value", 0);

    if (!b)
        return NULL;
    if (bytes < 1 || bytes > 1e18) {
        err_usage(e, "Parameter 'target' expects a size");
        return NULL;
    }
    virtio_balloon_set_target(b, (u64)bytes);
    return nothing(true);
}

/* ---- display and input ----------------------------------------------------------------------- */

cJSON *qmp_screendump(struct qmp *q, const cJSON *args, const char **class, struct err *e)
{
    const char *format = qmp_text(args, "format", NULL), *file = qmp_text(args, "filename", "");
    size_t len = strlen(file);
    bool png = len > 4 && !strcmp(file + len - 4, ".png");

    UNUSED(q, args, class, e);
    if (format && (strcmp(format, "png") != 0 || !png)) {
        err_usage(e, "Parameter 'format' expects 'png', with a name that ends so; other names get text");
        return NULL;
    }
    return nothing(monitor_does(q, cmd_screendump, file, e));
}

/* A KeyValue: {"type": "qcode", "data": "a"}. */
static const char *qcode_of(const cJSON *key, struct err *e)
{
    const char *type = qmp_text(key, "type", ""), *code = qmp_text(key, "data", NULL);

    if (!strcmp(type, "qcode") && code && !strchr(code, '-'))
        return code;
    err_usage(e, "Parameter 'keys' expects keys of the type 'qcode'");
    return NULL;
}

cJSON *qmp_send_key(struct qmp *q, const cJSON *args, const char **class, struct err *e)
{
    const cJSON *keys = cJSON_GetObjectItemCaseSensitive(args, "keys"), *key;
    char line[256] = "";

    UNUSED(q, args, class, e);
    cJSON_ArrayForEach(key, keys) {
        const char *code = qcode_of(key, e);
        if (!code)
            return NULL;
        snprintf(line + strlen(line), sizeof line - strlen(line), "%s%s", line[0] ? "-" : "", code);
    }
    return nothing(monitor_does(q, cmd_sendkey, line, e));
}

struct motion {
    int dx, dy, dz;
    bool absolute, moved;
    unsigned x, y;
};

static bool take_key(struct qmp *q, const cJSON *data, struct err *e)
{
    const char *code = qcode_of(cJSON_GetObjectItemCaseSensitive(data, "key"), e);
    u8 usage;

    if (!code)
        return false;
    if (!monitor_key(code, strlen(code), &usage))
        return err_usage(e, "no key has the name '%.40s'", code);
    vm_key(q->vm, usage, qmp_truth(data, "down", true));
    return true;
}

static bool take_button(struct qmp *q, const cJSON *data, struct motion *m, struct err *e)
{
    static const char *const names[] = {"left", "right", "middle"};
    const char *name = qmp_text(data, "button", "");
    bool down = qmp_truth(data, "down", true);

    m->moved = true;
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        if (!strcmp(name, names[i])) {
            q->buttons = down ? q->buttons | BIT(i) : q->buttons & ~BIT(i);
            return true;
        }
    if (!strcmp(name, "wheel-up") || !strcmp(name, "wheel-down")) {
        m->dz += down ? (name[6] == 'u' ? -1 : 1) : 0;
        return true;
    }
    return err_usage(e, "no button has the name '%.40s'", name);
}

static bool take_axis(const cJSON *data, bool absolute, struct motion *m, struct err *e)
{
    const char *axis = qmp_text(data, "axis", "");
    double v = qmp_number(data, "value", 0);

    if ((strcmp(axis, "x") != 0 && strcmp(axis, "y") != 0) || v < -32768 || v > 32767)
        return err_usage(e, "an axis is 'x' or 'y', its value a number of 16 bits");
    m->moved = true;
    m->absolute |= absolute;
    if (absolute && v >= 0)
        *(axis[0] == 'x' ? &m->x : &m->y) = (unsigned)v;
    else if (!absolute)
        *(axis[0] == 'x' ? &m->dx : &m->dy) += (int)v;
    return true;
}

static bool take_event(struct qmp *q, const cJSON *event, struct motion *m, struct err *e)
{
    const char *type = qmp_text(event, "type", "");
    const cJSON *data = cJSON_GetObjectItemCaseSensitive(event, "data");

    if (!strcmp(type, "key"))
        return take_key(q, data, e);
    if (!strcmp(type, "btn"))
        return take_button(q, data, m, e);
    if (!strcmp(type, "rel") || !strcmp(type, "abs"))
        return take_axis(data, type[0] == 'a', m, e);
    return err_usage(e, "no event has the type '%.40s'", type);
}

cJSON *qmp_input_send_event(struct qmp *q, const cJSON *args, const char **class, struct err *e)
{
    const cJSON *event;
    struct motion m = {0};

    UNUSED(q, args, class, e);
    cJSON_ArrayForEach(event, cJSON_GetObjectItemCaseSensitive(args, "events"))
        if (!take_event(q, event, &m, e))
            return NULL;
    if (m.absolute && vm_pointer_is_absolute(q->vm))
        vm_pointer(q->vm, m.x, m.y, m.dz, q->buttons);
    else if (m.moved)
        vm_mouse(q->vm, m.dx, m.dy, m.dz, q->buttons);
    return nothing(true);
}
