/* test_virtio_9p.c: a shared folder by 9P2000.L: what a driver does, and what a hostile one tries.
 */
#include "devices/virtio_9p.h"
#include "tests/unit/virtio_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

enum {
    RLERROR = 7,
    TLOPEN = 12,
    TLCREATE = 14,
    TSYMLINK = 16,
    TMKNOD = 18,
    TRENAME = 20,
    TREADLINK = 22,
    TGETATTR = 24,
    TSETATTR = 26,
    TREADDIR = 40,
    TLINK = 70,
    TMKDIR = 72,
    TRENAMEAT = 74,
    TUNLINKAT = 76,
    TVERSION = 100,
    TATTACH = 104,
    TWALK = 110,
    TREAD = 116,
    TWRITE = 118,
    TCLUNK = 120,
};

static struct rig r;
static struct share_entry share;
static char top[64], folder[96]; /* a folder for the test, and the shared one within */
static u8 out[1024], in[8192];
static u32 used;

/* ---- messages -------------------------------------------------------------------------------- */

static void w8(u64 v)
{
    out[used++] = (u8)v;
}

static void w16(u64 v)
{
    st_le16(out + used, (u16)v);
    used += 2;
}

static void w32(u64 v)
{
    st_le32(out + used, (u32)v);
    used += 4;
}

static void w64(u64 v)
{
    st_le64(out + used, v);
    used += 8;
}

static void ws(const char *s)
{
    w16(strlen(s));
    memcpy(out + used, s, strlen(s));
    used += (u32)strlen(s);
}

static void begin(u8 type)
{
    used = 4;
    w8(type);
    w16(0x1234);
}

/* Sends it; returns 0 or the errno of the answer. */
static u32 send(void)
{
    u32 n;

    st_le32(out, used);
    n = rig_request(&r, 0, out, used, in, sizeof in);
    ck_assert_uint_ne(n, RIG_NOTHING);
    ck_assert_uint_eq(ld_le32(in), n);
    ck_assert_uint_eq(ld_le16(in + 5), 0x1234);
    if (in[4] == RLERROR)
        return ld_le32(in + 7);
    ck_assert_uint_eq(in[4], out[4] + 1);
    return 0;
}

static u32 version(void)
{
    begin(TVERSION);
    w32(8192);
    ws("9P2000.L");
    return send();
}

static u32 walk(u32 fid, u32 new, const char *a, const char *b)
{
    begin(TWALK);
    w32(fid);
    w32(new);
    w16(!!a + !!b);
    if (a)
        ws(a);
    if (b)
        ws(b);
    return send();
}

static u32 clunk(u32 fid)
{
    begin(TCLUNK);
    w32(fid);
    return send();
}

static u32 lopen(u32 fid, u32 flags)
{
    begin(TLOPEN);
    w32(fid);
    w32(flags);
    return send();
}

static u32 lcreate(u32 fid, const char *name, u32 flags, u32 mode)
{
    begin(TLCREATE);
    w32(fid);
    ws(name);
    w32(flags);
    w32(mode);
    w32(0);
    return send();
}

static u32 read_at(u32 fid, u64 offset, u32 count)
{
    begin(TREAD);
    w32(fid);
    w64(offset);
    w32(count);
    return send();
}

static u32 write_at(u32 fid, u64 offset, const char *text)
{
    begin(TWRITE);
    w32(fid);
    w64(offset);
    w32(strlen(text));
    memcpy(out + used, text, strlen(text));
    used += (u32)strlen(text);
    return send();
}

static u32 fid_and_name(u8 type, u32 fid, const char *name, u32 value)
{
    begin(type);
    w32(fid);
    ws(name);
    w32(value);
    w32(0);
    return send();
}

static u32 renameat9(u32 from, const char *old, u32 to, const char *new)
{
    begin(TRENAMEAT);
    w32(from);
    ws(old);
    w32(to);
    ws(new);
    return send();
}

/* ---- the folder ------------------------------------------------------------------------------ */

static const char *path(const char *name)
{
    static char text[256];

    snprintf(text, sizeof text, "%s/%s", folder, name);
    return text;
}

static void make(const char *name, const char *content)
{
    FILE *f = fopen(name, "w");

    ck_assert_ptr_nonnull(f);
    fputs(content, f);
    fclose(f);
}

static void bring_up(bool readonly, bool mapped)
{
    share = (struct share_entry){.id = "f", .path = folder, .readonly = readonly, .mapped = mapped};
    rig_up(&r);
    r.res.shares = &share;
    r.res.share_count = 1;
    rig_add(&r, &virtio_9p_class, "fsdev=f,mount_tag=tag");
    rig_start(&r, 1);
    ck_assert_uint_eq(version(), 0);
    ck_assert_uint_eq(ld_le32(in + 7), 8192);
    begin(TATTACH);
    w32(0);
    w32(0xffffffff);
    ws("user");
    ws("");
    w32(1000);
    ck_assert_uint_eq(send(), 0);
    ck_assert_uint_eq(in[7], 0x80);
}

static void setup(void)
{
    char secret[128];

    strcpy(top, "/tmp/parallax-9p-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(top));
    snprintf(folder, sizeof folder, "%s/shared", top);
    ck_assert_int_eq(mkdir(folder, 0700), 0);
    snprintf(secret, sizeof secret, "%s/secret", top);
    make(secret, "secret");
    make(path("file"), "content");
    ck_assert_int_eq(mkdir(path("sub"), 0700), 0);
    make(path("sub/deep"), "deep");
    ck_assert_int_eq(symlink("..", path("up")), 0);
    ck_assert_int_eq(symlink("../secret", path("leak")), 0);
    ck_assert_int_eq(mkfifo(path("fifo"), 0600), 0);
    bring_up(false, false);
}

static void teardown(void)
{
    char command[128];

    rig_down(&r);
    snprintf(command, sizeof command, "rm -rf %s", top);
    ck_assert_int_eq(system(command), 0);
}

static void expect_secret_kept(void)
{
    char name[128], text[16] = "";
    FILE *f;

    snprintf(name, sizeof name, "%s/secret", top);
    f = fopen(name, "r");
    ck_assert_ptr_nonnull(f);
    ck_assert_ptr_nonnull(fgets(text, sizeof text, f));
    fclose(f);
    ck_assert_str_eq(text, "secret");
}

/* ---- what a driver does ---------------------------------------------------------------------- */

START_TEST(the_tag_stands_in_the_configuration)
{
    ck_assert_uint_eq(phys_read(&r.b.phys, r.registers + 0x2000, 2), 3);
    ck_assert_uint_eq(phys_read(&r.b.phys, r.registers + 0x2002, 1), 't');
}
END_TEST

START_TEST(files_are_walked_to_opened_and_read)
{
    ck_assert_uint_eq(walk(0, 1, "sub", "deep"), 0);
    ck_assert_uint_eq(ld_le16(in + 7), 2);
    ck_assert_uint_eq(in[9], 0x80);
    ck_assert_uint_eq(in[9 + 13], 0);
    ck_assert_uint_eq(lopen(1, 0), 0);
    ck_assert_uint_eq(read_at(1, 1, 100), 0);
    ck_assert_uint_eq(ld_le32(in + 7), 3);
    ck_assert_mem_eq(in + 11, "eep", 3);
    ck_assert_uint_eq(clunk(1), 0);
    ck_assert_uint_eq(read_at(1, 0, 1), EBADF);
}
END_TEST

START_TEST(a_walk_stops_where_a_name_is_not_there)
{
    ck_assert_uint_eq(walk(0, 1, "none", "deep"), ENOENT);
    ck_assert_uint_eq(walk(0, 1, "sub", "none"), 0);
    ck_assert_uint_eq(ld_le16(in + 7), 1);
    ck_assert_uint_eq(clunk(1), EBADF); /* the fid was not made */
}
END_TEST

START_TEST(a_file_is_made_written_renamed_and_removed)
{
    struct stat st;

    ck_assert_uint_eq(walk(0, 1, NULL, NULL), 0);
    ck_assert_uint_eq(lcreate(1, "new", 02 | 0100, 04755), 0);
    ck_assert_uint_eq(write_at(1, 3, "xyz"), 0);
    ck_assert_uint_eq(ld_le32(in + 7), 3);
    ck_assert_int_eq(stat(path("new"), &st), 0);
    ck_assert_int_eq(st.st_size, 6);
    ck_assert_int_eq(st.st_mode & 07000, 0); /* without power on the host */
    ck_assert_uint_eq(walk(0, 2, "sub", NULL), 0);
    ck_assert_uint_eq(renameat9(0, "new", 2, "newer"), 0);
    ck_assert_int_eq(stat(path("sub/newer"), &st), 0);
    begin(TGETATTR); /* the fid goes with it */
    w32(1);
    w64(0x7ff);
    ck_assert_uint_eq(send(), 0);
    ck_assert_uint_eq(ld_le64(in + 7 + 8 + 13 + 12 + 16), 6);
    ck_assert_uint_eq(fid_and_name(TUNLINKAT, 2, "newer", 0), 0);
    ck_assert_int_ne(stat(path("sub/newer"), &st), 0);
    ck_assert_uint_eq(write_at(1, 0, "still"), 0);
    ck_assert_uint_eq(fid_and_name(TUNLINKAT, 0, "sub", 0x200), ENOTEMPTY);
}
END_TEST

START_TEST(folders_are_listed_from_where_the_last_answer_ended)
{
    unsigned entries = 0, rounds = 0;
    u64 offset = 0;

    ck_assert_uint_eq(walk(0, 1, NULL, NULL), 0);
    ck_assert_uint_eq(lopen(1, 0), 0);
    for (;;) {
        u32 bytes, at = 11;

        begin(TREADDIR);
        w32(1);
        w64(offset);
        w32(80);
        ck_assert_uint_eq(send(), 0);
        bytes = ld_le32(in + 7);
        ck_assert_uint_le(bytes, 80);
        if (!bytes)
            break;
        for (; at < 11 + bytes; entries++) {
            offset = ld_le64(in + at + 13);
            at += 13 + 8 + 1 + 2 + ld_le16(in + at + 22);
        }
        rounds++;
    }
    ck_assert_uint_eq(entries, 7); /* ., .., file, sub, up, leak, fifo */
    ck_assert_uint_gt(rounds, 1);
}
END_TEST

START_TEST(attributes_are_set)
{
    struct stat st;

    ck_assert_uint_eq(walk(0, 1, "file", NULL), 0);
    begin(TSETATTR);
    w32(1);
    w32(1 | 8 | 0x20 | 0x100); /* mode, size, mtime as given */
    w32(0640);
    w32(0);
    w32(0);
    w64(3);
    w64(0);
    w64(0);
    w64(1000000000);
    w64(5);
    ck_assert_uint_eq(send(), 0);
    ck_assert_int_eq(stat(path("file"), &st), 0);
    ck_assert_int_eq(st.st_mode & 07777, 0640);
    ck_assert_int_eq(st.st_size, 3);
    ck_assert_int_eq(st.st_mtim.tv_sec, 1000000000);
    ck_assert_int_eq(st.st_mtim.tv_nsec, 5);
}
END_TEST

START_TEST(links_are_made_and_read_but_not_followed)
{
    struct stat st;

    begin(TSYMLINK);
    w32(0);
    ws("sym");
    ws("/etc/passwd");
    w32(0);
    ck_assert_uint_eq(send(), 0);
    ck_assert_uint_eq(in[7], 2);
    ck_assert_uint_eq(walk(0, 1, "sym", NULL), 0);
    begin(TREADLINK);
    w32(1);
    ck_assert_uint_eq(send(), 0);
    ck_assert_uint_eq(ld_le16(in + 7), 11);
    ck_assert_mem_eq(in + 9, "/etc/passwd", 11);
    ck_assert_uint_eq(walk(0, 2, "file", NULL), 0);
    begin(TLINK);
    w32(0);
    w32(2);
    ws("hard");
    ck_assert_uint_eq(send(), 0);
    ck_assert_int_eq(stat(path("hard"), &st), 0);
    ck_assert_int_eq((int)st.st_nlink, 2);
}
END_TEST

/* ---- what a hostile one tries ---------------------------------------------------------------- */

START_TEST(nothing_above_the_folder_is_reached)
{
    static const char *const names[] = {"../secret", "sub/../../secret", "/etc/passwd", "", "a/b"};

    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        ck_assert_uint_ne(walk(0, 1, names[i], NULL), 0);
        ck_assert_uint_ne(lcreate(0, names[i], 02, 0600), 0);
        ck_assert_uint_ne(fid_and_name(TMKDIR, 0, names[i], 0700), 0);
        ck_assert_uint_ne(renameat9(0, "file", 0, names[i]), 0);
        ck_assert_uint_ne(renameat9(0, names[i], 0, "stolen"), 0);
        ck_assert_uint_ne(fid_and_name(TUNLINKAT, 0, names[i], 0), 0);
    }
    ck_assert_uint_eq(walk(0, 1, "..", "secret"), 0); /* above the folder is the folder */
    ck_assert_uint_eq(ld_le16(in + 7), 1);
    ck_assert_uint_eq(walk(0, 1, "..", "file"), 0);
    ck_assert_uint_eq(ld_le16(in + 7), 2);
    ck_assert_uint_ne(lcreate(0, "..", 02, 0600), 0);
    ck_assert_uint_ne(fid_and_name(TUNLINKAT, 0, "..", 0x200), 0);
    expect_secret_kept();
}
END_TEST

START_TEST(symbolic_links_lead_nowhere)
{
    ck_assert_uint_eq(walk(0, 1, "up", "secret"), 0); /* the link, and nothing behind it */
    ck_assert_uint_eq(ld_le16(in + 7), 1);
    ck_assert_uint_eq(walk(0, 1, "leak", NULL), 0);
    ck_assert_uint_ne(lopen(1, 0), 0);
    ck_assert_uint_ne(lopen(1, 01000 | 1), 0);
    begin(TSETATTR);
    w32(1);
    w32(8);
    for (unsigned i = 0; i < 3; i++)
        w32(0);
    for (unsigned i = 0; i < 5; i++)
        w64(0);
    ck_assert_uint_ne(send(), 0);
    ck_assert_uint_eq(walk(0, 2, NULL, NULL), 0);
    ck_assert_uint_ne(lcreate(2, "leak", 02 | 01000, 0600), 0);
    expect_secret_kept();
}
END_TEST

START_TEST(a_folder_that_becomes_a_link_leads_nowhere)
{
    char moved[256];

    ck_assert_uint_eq(walk(0, 1, "sub", NULL), 0);
    ck_assert_uint_eq(walk(0, 2, "sub", "deep"), 0);
    strcpy(moved, path("moved"));
    ck_assert_int_eq(rename(path("sub"), moved), 0);
    ck_assert_int_eq(symlink("moved", path("sub")), 0);
    ck_assert_uint_eq(lopen(2, 0), ENOTDIR);
    ck_assert_uint_ne(lcreate(1, "new", 02, 0600), 0);
}
END_TEST

START_TEST(fifos_and_devices_are_not_opened_nor_made)
{
    ck_assert_uint_eq(walk(0, 1, "fifo", NULL), 0);
    ck_assert_uint_eq(lopen(1, 0), EOPNOTSUPP);
    begin(TMKNOD);
    w32(0);
    ws("dev");
    w32(S_IFCHR | 0666);
    w32(1);
    w32(3);
    w32(0);
    ck_assert_uint_eq(send(), EPERM);
}
END_TEST

START_TEST(messages_cut_anywhere_are_refused)
{
    u32 whole;

    begin(TWALK);
    w32(0);
    w32(1);
    w16(2);
    ws("sub");
    ws("deep");
    for (whole = used; used > 7; used--) {
        if (used < whole)
            ck_assert_uint_ne(send(), 0);
    }
    ck_assert(!rig_needs_reset(&r));
}
END_TEST

START_TEST(lengths_that_lie_break_the_rules)
{
    begin(TCLUNK);
    w32(0);
    st_le32(out, 1000); /* more than there is */
    rig_request(&r, 0, out, used, in, sizeof in);
    ck_assert(rig_needs_reset(&r));
}
END_TEST

START_TEST(names_with_a_nul_and_writes_beyond_the_message_are_refused)
{
    begin(TWALK);
    w32(0);
    w32(1);
    w16(1);
    w16(5);
    memcpy(out + used, "fi\0le", 5);
    used += 5;
    ck_assert_uint_eq(send(), EINVAL);
    ck_assert_uint_eq(walk(0, 1, "file", NULL), 0);
    ck_assert_uint_eq(lopen(1, 1), 0);
    begin(TWRITE);
    w32(1);
    w64(0);
    w32(0xfffffff0);
    ck_assert_uint_eq(send(), EINVAL);
}
END_TEST

START_TEST(open_files_are_limited)
{
    u32 n = 1;

    while (n < 2000 && !walk(0, n, "file", NULL) && !lopen(n, 0))
        n++;
    ck_assert_uint_eq(ld_le32(in + 7), EMFILE);
    ck_assert_uint_lt(n, 300);
    ck_assert_uint_eq(version(), 0); /* closes all of them */
    ck_assert_uint_eq(((struct virtio_9p *)r.v)->open, 0);
}
END_TEST

START_TEST(a_read_only_folder_stays_as_it_is)
{
    rig_down(&r);
    bring_up(true, false);
    ck_assert_uint_eq(walk(0, 1, "file", NULL), 0);
    ck_assert_uint_eq(lopen(1, 2), EROFS);
    ck_assert_uint_eq(lopen(1, 0), 0);
    ck_assert_uint_eq(write_at(1, 0, "x"), EBADF);
    ck_assert_uint_eq(fid_and_name(TMKDIR, 0, "d", 0700), EROFS);
    ck_assert_uint_eq(fid_and_name(TUNLINKAT, 0, "file", 0), EROFS);
    ck_assert_uint_eq(renameat9(0, "file", 0, "g"), EROFS);
    ck_assert_uint_eq(walk(0, 2, NULL, NULL), 0);
    ck_assert_uint_eq(lcreate(2, "new", 02, 0600), EROFS);
    begin(TSETATTR);
    w32(1);
    w32(8);
    for (unsigned i = 0; i < 3; i++)
        w32(0);
    for (unsigned i = 0; i < 5; i++)
        w64(0);
    ck_assert_uint_eq(send(), EROFS);
}
END_TEST

static void check_attributes(u32 fid, mode_t mode, u32 uid, u32 gid)
{
    begin(TGETATTR);
    w32(fid);
    w64(0x7ff);
    ck_assert_uint_eq(send(), 0);
    ck_assert_uint_eq(ld_le32(in + 28), mode);
    ck_assert_uint_eq(ld_le32(in + 32), uid);
    ck_assert_uint_eq(ld_le32(in + 36), gid);
}

static mode_t host_mode(const char *name)
{
    struct stat st;

    ck_assert_int_eq(lstat(path(name), &st), 0);
    return st.st_mode;
}

START_TEST(owners_modes_and_kinds_are_mapped_to_attributes)
{
    u8 kept[4];

    if (setxattr(folder, "user.test", "", 0, 0))
        return; /* a file system without */
    rig_down(&r);
    bring_up(false, true);
    ck_assert_uint_eq(walk(0, 1, NULL, NULL), 0);
    ck_assert_uint_eq(lcreate(1, "new", 02, 04711), 0);
    check_attributes(1, S_IFREG | 04711, 1000, 0);
    ck_assert_int_eq(host_mode("new"), S_IFREG | 0600);
    begin(TSETATTR);
    w32(1);
    w32(1 | 2 | 4); /* mode, owner, group */
    w32(0);
    w32(7);
    w32(0x12345678);
    for (unsigned i = 0; i < 5; i++)
        w64(0);
    ck_assert_uint_eq(send(), 0);
    check_attributes(1, S_IFREG, 7, 0x12345678);
    ck_assert_int_eq(host_mode("new"), S_IFREG | 0600);
    ck_assert_int_eq(getxattr(path("new"), "user.virtfs.gid", kept, sizeof kept), 4);
    ck_assert_uint_eq(ld_le32(kept), 0x12345678);
    ck_assert_uint_eq(write_at(1, 0, "text"), 0);

    ck_assert_uint_eq(fid_and_name(TMKDIR, 0, "box", 01777), 0);
    ck_assert_uint_eq(walk(0, 2, "box", NULL), 0);
    check_attributes(2, S_IFDIR | 01777, 1000, 0);
    ck_assert_int_eq(host_mode("box"), S_IFDIR | 0700);
    ck_assert_uint_eq(fid_and_name(TMKDIR, 0, "box", 0700), EEXIST);
}
END_TEST

START_TEST(links_and_devices_are_plain_files_of_the_host_when_mapped)
{
    if (setxattr(folder, "user.test", "", 0, 0))
        return;
    rig_down(&r);
    bring_up(false, true);
    begin(TSYMLINK);
    w32(0);
    ws("sym");
    ws("../secret");
    w32(5);
    ck_assert_uint_eq(send(), 0);
    ck_assert_uint_eq(in[7], 2);
    ck_assert_int_eq(host_mode("sym"), S_IFREG | 0600);
    ck_assert_uint_eq(walk(0, 1, "sym", NULL), 0);
    check_attributes(1, S_IFLNK | 0777, 1000, 5);
    ck_assert_uint_eq(lopen(1, 0), EOPNOTSUPP);
    begin(TREADLINK);
    w32(1);
    ck_assert_uint_eq(send(), 0);
    ck_assert_uint_eq(ld_le16(in + 7), 9);
    ck_assert_mem_eq(in + 9, "../secret", 9);
    ck_assert_uint_eq(walk(0, 2, "leak", NULL), 0); /* the host's own are links, too */
    begin(TREADLINK);
    w32(2);
    ck_assert_uint_eq(send(), 0);
    ck_assert_uint_eq(walk(0, 3, "file", NULL), 0);
    begin(TREADLINK);
    w32(3);
    ck_assert_uint_eq(send(), EINVAL);
    begin(TMKNOD);
    w32(0);
    ws("null");
    w32(S_IFCHR | 0666);
    w32(1);
    w32(3);
    w32(0);
    ck_assert_uint_eq(send(), 0);
    ck_assert_int_eq(host_mode("null"), S_IFREG | 0600);
    ck_assert_uint_eq(walk(0, 4, "null", NULL), 0);
    check_attributes(4, S_IFCHR | 0666, 1000, 0);
    ck_assert_uint_eq(ld_le64(in + 48), makedev(1, 3));
    ck_assert_uint_eq(lopen(4, 0), EOPNOTSUPP);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {the_tag_stands_in_the_configuration,
                                  files_are_walked_to_opened_and_read,
                                  a_walk_stops_where_a_name_is_not_there,
                                  a_file_is_made_written_renamed_and_removed,
                                  folders_are_listed_from_where_the_last_answer_ended,
                                  attributes_are_set,
                                  links_are_made_and_read_but_not_followed,
                                  nothing_above_the_folder_is_reached,
                                  symbolic_links_lead_nowhere,
                                  a_folder_that_becomes_a_link_leads_nowhere,
                                  fifos_and_devices_are_not_opened_nor_made,
                                  messages_cut_anywhere_are_refused,
                                  lengths_that_lie_break_the_rules,
                                  names_with_a_nul_and_writes_beyond_the_message_are_refused,
                                  open_files_are_limited,
                                  a_read_only_folder_stays_as_it_is,
                                  owners_modes_and_kinds_are_mapped_to_attributes,
                                  links_and_devices_are_plain_files_of_the_host_when_mapped,
                                  NULL};

    return run_tests("virtio_9p", tests, setup, teardown);
}
