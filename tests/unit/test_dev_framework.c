/*
 * test_dev_framework.c: what every device class must do, found by the tables alone; and the
 * framework's own refusals; and the I/O bus.
 */
#include "tests/unit/board.h"

#include "base/bits.h"
#include "base/rng.h"
#include "devices/debugexit.h"
#include "devices/pic.h"
#include "devices/pit.h"

static struct board b;

/* A device of the class under test with everything that its class needs. */
static struct dev *create(const struct dev_class *cls)
{
    return board_add(&b, cls, strcmp(cls->name, "mc146818") ? NULL : "base=1000000000");
}

static void setup(void)
{
    board_init(&b);
}

static void setup_with_bus(void)
{
    board_init(&b);
    b.env.pci = board_add(&b, &pci_class, NULL);
}

static void teardown(void)
{
    dev_destroy((struct dev *)b.env.pci);
    board_destroy(&b);
}

/* Each of a pair lives on ports of its own: the second must not hide the first. */
static struct dev *create_beside(const struct dev_class *cls, struct iobus **io,
                                 struct pci_bus **pci)
{
    struct iobus *io_old = b.env.io;
    struct pci_bus *pci_old = b.env.pci;
    struct dev *d;

    b.env.io = iobus_create();
    b.env.pci = NULL;
    b.env.pci = board_add(&b, &pci_class, NULL);
    d = create(cls);
    *io = b.env.io;
    *pci = b.env.pci;
    b.env.io = io_old;
    b.env.pci = pci_old;
    return d;
}

static void destroy_beside(struct dev *d, struct iobus *io, struct pci_bus *pci)
{
    struct iobus *io_old = b.env.io;

    b.env.io = io;
    dev_destroy(d);
    dev_destroy((struct dev *)pci);
    b.env.io = io_old;
    iobus_destroy(io);
}

static u8 *save(const struct dev *d, size_t *len)
{
    u8 *buf;

    *len = dev_save(d, NULL, 0);
    buf = malloc(*len + 1);
    ck_assert_uint_eq(dev_save(d, buf, *len), *len);
    return buf;
}

/* Random accesses to whatever ports the device answers, while time passes. With a twin on a bus of
 * its own, both get the same and must answer the same. */
static void disturb_both(u64 seed, unsigned accesses, struct iobus *twin)
{
    static const u64 steps[] = {0, 0, 1, 800, 5000, 1000000, 700000000, 90000000000000ull};
    struct rng r;
    u16 ports[256];
    unsigned n = 0;

    rng_seed(&r, seed);
    for (u32 port = 0; port < 0x10000 && n < ARRAY_SIZE(ports); port++)
        if (iobus_name(b.env.io, (u16)port))
            ports[n++] = (u16)port;
    for (unsigned i = 0; n && i < accesses; i++) {
        u64 x = rng_next(&r);
        u16 port = ports[x % n];
        unsigned size = 1u << (x >> 32) % 3;

        if (x >> 40 & 1) {
            u32 value = (u32)rng_next(&r);

            iobus_write(b.env.io, port, value, size);
            if (twin)
                iobus_write(twin, port, value, size);
        } else {
            u32 value = iobus_read(b.env.io, port, size);

            if (twin)
                ck_assert_uint_eq(iobus_read(twin, port, size), value);
        }
        clock_advance_to(&b.clock, clock_now_ns(&b.clock) + steps[x >> 41 & 7]);
        clock_run_timers(&b.clock);
    }
}

static void disturb(u64 seed, unsigned accesses)
{
    disturb_both(seed, accesses, NULL);
}

static unsigned class_count(void)
{
    unsigned n = 0;

    while (dev_classes[n])
        n++;
    return n;
}

/* The bus of the fixture is one of pci_class already. */
static bool is_bus(const struct dev_class *cls)
{
    return cls == &pci_class;
}

START_TEST(save_load_save_gives_the_same_bytes)
{
    const struct dev_class *cls = dev_classes[_i];
    struct dev *d = is_bus(cls) ? (struct dev *)b.env.pci : create(cls), *other;
    struct iobus *io;
    struct pci_bus *pci;

    for (u64 seed = 1; seed <= 20; seed++) {
        size_t len, len2;
        u8 *first, *second;
        struct err e = {0};

        disturb(seed, 200);
        first = save(d, &len);
        other = create_beside(cls, &io, &pci);
        ck_assert_msg(dev_load(other, first, len, &e), "%s: %s", cls->name, e.msg);
        second = save(other, &len2);
        ck_assert_uint_eq(len, len2);
        for (size_t i = 0; i < len; i++)
            ck_assert_msg(first[i] == second[i], "%s: byte %zu differs (seed %u)", cls->name, i,
                          (unsigned)seed);
        free(first);
        free(second);
        destroy_beside(other, io, pci);
    }
    if (!is_bus(cls))
        dev_destroy(d);
}
END_TEST

static void copy_state(struct dev *to, const struct dev *from)
{
    size_t len;
    u8 *state = save(from, &len);

    ck_assert(dev_load(to, state, len, NULL));
    free(state);
}

/* A register that the field table forgets shows here. The bus of the fixture holds functions that
 * its twin lacks, so it is left out. */
START_TEST(a_loaded_device_goes_on_like_the_saved_one)
{
    const struct dev_class *cls = dev_classes[_i];
    struct dev *d, *other;
    struct iobus *io;
    struct pci_bus *pci;

    if (is_bus(cls))
        return;
    d = create(cls);
    for (u64 seed = 1; seed <= 20; seed++) {
        size_t len, len2;
        u8 *first, *second;

        disturb(seed, 200);
        first = save(d, &len);
        other = create_beside(cls, &io, &pci);
        ck_assert(dev_load(other, first, len, NULL));
        free(first);
        copy_state((struct dev *)pci, (struct dev *)b.env.pci);
        disturb_both(seed + 1000, 200, io);
        first = save(d, &len);
        second = save(other, &len2);
        ck_assert_msg(len == len2 && !memcmp(first, second, len), "%s (seed %u)", cls->name,
                      (unsigned)seed);
        free(first);
        free(second);
        destroy_beside(other, io, pci);
    }
    dev_destroy(d);
}
END_TEST

/* The clock chip keeps time and memory by battery: its data sheet, not an exception of ours. */
START_TEST(reset_equals_a_fresh_create)
{
    const struct dev_class *cls = dev_classes[_i];
    struct dev *d, *fresh;
    struct iobus *io;
    struct pci_bus *pci;
    size_t len, len2;
    u8 *first, *second;

    if (!strcmp(cls->name, "mc146818"))
        return;
    d = is_bus(cls) ? (struct dev *)b.env.pci : create(cls);
    disturb(99, 500);
    dev_reset(d);
    first = save(d, &len);
    fresh = create_beside(cls, &io, &pci);
    second = save(fresh, &len2);
    ck_assert_uint_eq(len, len2);
    for (size_t i = 0; i < len; i++)
        ck_assert_msg(first[i] == second[i], "%s: byte %zu differs", cls->name, i);
    free(first);
    free(second);
    destroy_beside(fresh, io, pci);
    if (!is_bus(cls))
        dev_destroy(d);
}
END_TEST

/* Finds the bytes of a field's element in a saved state. */
static u8 *value_in(u8 *buf, size_t len, const struct dev_field *f, unsigned i)
{
    size_t name = strlen(f->name);

    for (u8 *p = buf; p < buf + len;) {
        unsigned width = p[1 + p[0]], count = ld_le16(p + 2 + p[0]);
        u8 *values = p + 4 + p[0];

        if (p[0] == name && !memcmp(p + 1, f->name, name))
            return values + i * width;
        p = values + (size_t)width * count;
    }
    return NULL;
}

START_TEST(values_out_of_range_are_refused_and_change_nothing)
{
    const struct dev_class *cls = dev_classes[_i];
    struct dev *d = is_bus(cls) ? (struct dev *)b.env.pci : create(cls);

    for (const struct dev_field *f = cls->fields; f && f->name; f++) {
        size_t len, len2;
        u8 *state = save(d, &len), *bad = save(d, &len), *after;
        struct err e = {0};

        if (f->max != mask64(f->width * 8u)) {
            st_le(value_in(bad, len, f, f->count - 1u), f->max + 1, f->width);
            ck_assert_msg(!dev_load(d, bad, len, &e), "%s.%s", cls->name, f->name);
            ck_assert_ptr_nonnull(strstr(e.msg, f->name));
        }
        if (f->min) {
            st_le(value_in(bad, len, f, 0), f->min - 1, f->width);
            ck_assert(!dev_load(d, bad, len, &e));
        }
        after = save(d, &len2);
        ck_assert_uint_eq(len, len2);
        ck_assert_int_eq(memcmp(state, after, len), 0);
        free(state);
        free(bad);
        free(after);
    }
    if (!is_bus(cls))
        dev_destroy(d);
}
END_TEST

START_TEST(cut_and_damaged_states_never_harm)
{
    const struct dev_class *cls = dev_classes[_i];
    struct dev *d = is_bus(cls) ? (struct dev *)b.env.pci : create(cls);
    struct rng r;
    size_t len;
    u8 *state = save(d, &len);
    struct err e = {0};

    /* Every place of a small state; a large one repeats itself (AHCI: six ports). */
    for (size_t cut = 0; cut < len; cut += cut < 1024 ? 1 : 61)
        ck_assert_msg(!dev_load(d, state, cut, &e), "%s: %zu of %zu bytes", cls->name, cut, len);
    rng_seed(&r, 7);
    for (unsigned i = 0; len && i < 300; i++) {
        u8 *bad = malloc(len);

        memcpy(bad, state, len);
        for (unsigned n = 0; n < 1 + i % 40; n++)
            bad[rng_below(&r, len)] = (u8)rng_next(&r);
        if (dev_load(d, bad, len, &e))
            disturb(i, 50);
        free(bad);
    }
    free(state);
    if (!is_bus(cls))
        dev_destroy(d);
}
END_TEST

/* Whatever field values pass the range checks, the device goes on without harm. */
#ifdef __SANITIZE_ADDRESS__
#define STATES 25
#else
#define STATES 100
#endif

START_TEST(any_state_within_the_ranges_is_survived)
{
    const struct dev_class *cls = dev_classes[_i];
    struct dev *d = is_bus(cls) ? (struct dev *)b.env.pci : create(cls);
    struct rng r;
    size_t len;
    u8 *state = save(d, &len);
    struct err e = {0};

    rng_seed(&r, 11);
    for (unsigned round = 0; round < STATES; round++) {
        for (const struct dev_field *f = cls->fields; f && f->name; f++)
            for (unsigned i = 0; i < f->count; i++) {
                u64 span = f->max - f->min, x = rng_next(&r);
                u64 v = x & 1 ? f->max : span == ~0ull ? x : f->min + x % (span + 1);

                st_le(value_in(state, len, f, i), v, f->width);
            }
        ck_assert_msg(dev_load(d, state, len, &e), "%s: %s", cls->name, e.msg);
        disturb(round, 50);
    }
    free(state);
    if (!is_bus(cls))
        dev_destroy(d);
}
END_TEST

START_TEST(info_lists_every_field)
{
    const struct dev_class *cls = dev_classes[_i];
    struct dev *d = is_bus(cls) ? (struct dev *)b.env.pci : create(cls);
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    dev_info(d, out);
    fclose(out);
    for (const struct dev_field *f = cls->fields; f && f->name; f++) {
        ck_assert_msg(strstr(text, f->name) != NULL, "%s.%s", cls->name, f->name);
        ck_assert_ptr_nonnull(f->doc);
    }
    free(text);
    if (!is_bus(cls))
        dev_destroy(d);
}
END_TEST

START_TEST(classes_are_found_by_name)
{
    for (unsigned i = 0; dev_classes[i]; i++)
        ck_assert_ptr_eq(dev_class_find(dev_classes[i]->name), dev_classes[i]);
    ck_assert_ptr_null(dev_class_find("flux-capacitor"));
}
END_TEST

START_TEST(properties_are_parsed_and_checked)
{
    static const struct {
        const char *props, *complaint;
    } bad[] = {
        {"iobas=1", "no property 'iobas'"},   {"iobase", "not NAME=VALUE"},
        {"iobase=", "is a number"},           {"iobase=12z", "is a number"},
        {"iobase=-1", "is a number"},         {"iobase=0x10000", "out of range"},
        {"iosize=0", "out of range"},         {"iobase=99999999999999999999999", "is a number"},
        {"iobase=0xffff,iosize=2", "beyond"},
    };
    struct debugexit *x = board_add(&b, &debugexit_class, "iobase=0xf4,iosize=4");
    struct err e = {0};

    ck_assert_uint_eq(x->iobase, 0xf4);
    ck_assert_uint_eq(x->iosize, 4);
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        ck_assert_ptr_null(dev_create(&debugexit_class, &b.env, bad[i].props, &e));
        ck_assert_msg(strstr(e.msg, bad[i].complaint) != NULL, "%s: %s", bad[i].props, e.msg);
        ck_assert_int_eq(e.exit_code, EXIT_USAGE);
    }
    dev_create(&debugexit_class, &b.env, "iobas=1", &e);
    ck_assert_ptr_nonnull(strstr(e.hint, "iobase"));
    dev_destroy(&x->dev);
}
END_TEST

START_TEST(debug_exit_tells_the_value_written)
{
    struct debugexit *x = board_add(&b, &debugexit_class, NULL);
    struct probe p = {0};

    irq_connect(&x->exit, probe_set, &p, 0);
    iobus_write(b.env.io, 0x501, 0x21, 2);
    ck_assert_uint_eq(x->value, 0x21);
    ck_assert_uint_eq(p.rises, 1);
    dev_destroy(&x->dev);
}
END_TEST

/* --- the I/O bus ------------------------------------------------------------------------------ */

struct log {
    unsigned n;
    struct {
        u16 port;
        u32 value;
        unsigned size;
    } w[8];
};

static void log_write(void *opaque, u16 port, u32 value, unsigned size)
{
    struct log *l = opaque;

    l->w[l->n].port = port;
    l->w[l->n].value = value;
    l->w[l->n++].size = size;
}

static u32 log_read(void *opaque, u16 port, unsigned size)
{
    (void)opaque;
    (void)size;
    return 0xabcd0000u | (port & 0xffu);
}

static const struct io_ops narrow = {.read = log_read, .write = log_write};
static const struct io_ops wide = {.read = log_read, .write = log_write, .wide = true};

START_TEST(wide_accesses_reach_narrow_devices_as_bytes)
{
    struct log l = {0};

    iobus_add(b.env.io, 0x100, 4, "narrow", &narrow, &l);
    iobus_write(b.env.io, 0x100, 0x44332211, 4);
    ck_assert_uint_eq(l.n, 4);
    for (unsigned i = 0; i < 4; i++) {
        ck_assert_uint_eq(l.w[i].port, 0x100 + i);
        ck_assert_uint_eq(l.w[i].value, 0x11 * (i + 1));
    }
    ck_assert_uint_eq(iobus_read(b.env.io, 0x100, 4), 0x03020100);
    ck_assert_uint_eq(iobus_read(b.env.io, 0x103, 2), 0xff03);
}
END_TEST

START_TEST(a_wide_range_takes_whole_accesses_that_start_in_it)
{
    struct log l = {0}, over = {0};

    iobus_add(b.env.io, 0xcf8, 8, "wide", &wide, &l);
    iobus_add(b.env.io, 0xcf9, 1, "over", &narrow, &over);
    iobus_write(b.env.io, 0xcf8, 0x80000000, 4);
    ck_assert_uint_eq(l.n, 1);
    ck_assert_uint_eq(l.w[0].size, 4);
    iobus_write(b.env.io, 0xcf9, 6, 1);
    ck_assert_uint_eq(over.n, 1);
    iobus_remove(b.env.io, 0xcf9, 1, &over);
    iobus_write(b.env.io, 0xcf9, 6, 1);
    ck_assert_uint_eq(over.n, 1);
    ck_assert_uint_eq(l.n, 2);
}
END_TEST

START_TEST(unassigned_ports_and_the_end_of_the_space_read_as_ones)
{
    ck_assert_uint_eq(iobus_read(b.env.io, 0x1234, 1), 0xff);
    ck_assert_uint_eq(iobus_read(b.env.io, 0x1234, 2), 0xffff);
    ck_assert_uint_eq(iobus_read(b.env.io, 0xffff, 4), 0xffffffff);
    iobus_write(b.env.io, 0xffff, 1, 4);
}
END_TEST

static void add_for_every_class(TCase *tc)
{
    int n = (int)class_count();

    tcase_add_checked_fixture(tc, setup_with_bus, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, save_load_save_gives_the_same_bytes, 0, n);
    tcase_add_loop_test(tc, a_loaded_device_goes_on_like_the_saved_one, 0, n);
    tcase_add_loop_test(tc, reset_equals_a_fresh_create, 0, n);
    tcase_add_loop_test(tc, values_out_of_range_are_refused_and_change_nothing, 0, n);
    tcase_add_loop_test(tc, cut_and_damaged_states_never_harm, 0, n);
    tcase_add_loop_test(tc, any_state_within_the_ranges_is_survived, 0, n);
    tcase_add_loop_test(tc, info_lists_every_field, 0, n);
}

int main(void)
{
    Suite *s = suite_create("device framework");
    TCase *classes = tcase_create("every class"), *rest = tcase_create("framework");
    SRunner *sr;
    int failures;

    add_for_every_class(classes);
    tcase_add_checked_fixture(rest, setup, teardown);
    tcase_add_test(rest, classes_are_found_by_name);
    tcase_add_test(rest, properties_are_parsed_and_checked);
    tcase_add_test(rest, debug_exit_tells_the_value_written);
    tcase_add_test(rest, wide_accesses_reach_narrow_devices_as_bytes);
    tcase_add_test(rest, a_wide_range_takes_whole_accesses_that_start_in_it);
    tcase_add_test(rest, unassigned_ports_and_the_end_of_the_space_read_as_ones);
    suite_add_tcase(s, classes);
    suite_add_tcase(s, rest);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_NORMAL);
    failures = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failures != 0;
}
