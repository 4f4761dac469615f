/* test_pv_vmware.c: the guest's interface of VMware: CPUID, the backdoor, channels, counters. */
#include "pv/vmware.h"
#include "tests/pv/pv_fixture.h"

static void setup(void)
{
    machine_setup("vmware");
}

static enum pv_port port_call(u32 command, u32 ebx)
{
    cpu->gpr[RAX] = VMW_MAGIC;
    cpu->gpr[RBX] = ebx;
    cpu->gpr[RCX] = command;
    cpu->gpr[RDX] = (cpu->gpr[RDX] & 0xffff0000) | VMW_PORT;
    return pv_port(pv, cpu, VMW_PORT, 4, false);
}

static u32 call(u32 command, u32 ebx)
{
    ck_assert_int_eq(port_call(command, ebx), PV_PORT_DONE);
    return (u32)cpu->gpr[RAX];
}

/* ---- CPUID ----------------------------------------------------------------------------------- */

START_TEST(leaves_carry_signature_timing_and_the_instruction_of_calls)
{
    u32 r[4];

    ck_assert(pv_cpuid(pv, 0x40000000, 0, r));
    ck_assert_uint_eq(r[0], 0x40000010);
    ck_assert_uint_eq(r[1], 0x61774d56);
    ck_assert_uint_eq(r[2], 0x4d566572);
    ck_assert_uint_eq(r[3], 0x65726177);
    ck_assert(pv_cpuid(pv, 0x40000010, 0, r));
    ck_assert_uint_eq(r[0], 1000000);
    ck_assert_uint_eq(r[1], 1000000);
    ck_assert_uint_eq(r[2], 1); /* the default model is AMD's */
    ck_assert(pv_cpuid(pv, 0x40000001, 0, r));
    ck_assert_uint_eq(r[0] | r[1] | r[2] | r[3], 0);
    ck_assert(!pv_cpuid(pv, 0x40000011, 0, r));
    restart("vmware,-timing-leaf,-hypercall");
    ck_assert(pv_cpuid(pv, 0x40000010, 0, r));
    ck_assert_uint_eq(r[0] | r[1] | r[2] | r[3], 0);
}
END_TEST

START_TEST(intel_processors_call_by_vmcall)
{
    struct cpu_model intel = *cpu->model;
    u32 r[4];

    intel.vendor = VENDOR_INTEL;
    cpu->model = &intel;
    ck_assert(pv_cpuid(pv, 0x40000010, 0, r));
    ck_assert_uint_eq(r[2], 2);
}
END_TEST

/* ---- calls ----------------------------------------------------------------------------------- */

START_TEST(the_port_is_ordinary_without_the_magic_number)
{
    cpu->gpr[RAX] = 0;
    ck_assert_int_eq(pv_port(pv, cpu, VMW_PORT, 4, false), PV_PORT_ORDINARY);
    cpu->gpr[RAX] = VMW_MAGIC;
    ck_assert_int_eq(pv_port(pv, cpu, VMW_PORT, 2, false), PV_PORT_ORDINARY);
    ck_assert_int_eq(pv_port(pv, cpu, VMW_PORT, 4, true), PV_PORT_ORDINARY);
    ck_assert_int_eq(pv_port(pv, cpu, VMW_PORT_HB, 1, false), PV_PORT_ORDINARY);
    ck_assert_int_eq(pv_port(pv, cpu, VMW_PORT_HB, 4, true), PV_PORT_ORDINARY);
    ck_assert_int_eq(pv_port(pv, cpu, VMW_PORT_HB, 1, true), PV_PORT_OPEN);
    ck_assert_uint_eq(cpu->gpr[RAX], VMW_MAGIC);
    ck_assert_uint_eq(cpu->pv_port, VMW_PORT);
    restart("none");
    ck_assert_uint_eq(cpu->pv_port, 0);
}
END_TEST

START_TEST(calls_tell_version_and_size_at_any_privilege)
{
    cpu->cpl = 3;
    ck_assert_uint_eq(call(VMW_GETVERSION, ~0u), 6);
    ck_assert_uint_eq(cpu->gpr[RBX], VMW_MAGIC);
    ck_assert_uint_eq(call(VMW_GETMHZ, 0), 1000);
    ck_assert_uint_eq(call(VMW_GETMEMSIZE, 0), 1);
    ck_assert_uint_eq(call(VMW_GETHWVERSION, 0), 19);
    ck_assert_uint_eq(call(VMW_GETUUID, ~0u), 0);
    ck_assert_uint_eq(cpu->gpr[RBX], 0);
    ck_assert_uint_eq(pv->used[VMW_F_PORT], 5);
}
END_TEST

START_TEST(unknown_commands_leave_the_other_registers)
{
    ck_assert_uint_eq(call(0xfff, 0xdeadbeef), 0xffffffff);
    ck_assert_uint_eq(cpu->gpr[RBX], 0xdeadbeef);
    ck_assert_uint_eq(cpu->gpr[RCX], 0xfff);
    ck_assert_uint_eq(pv->calls_unknown, 1);
}
END_TEST

START_TEST(calls_tell_the_frequencies)
{
    ck_assert_uint_eq(call(VMW_GETHZ, ~0u), 1000000000);
    ck_assert_uint_eq(cpu->gpr[RBX], 0);
    ck_assert_uint_eq(cpu->gpr[RCX], 1000000000);
    cpu->tsc_khz = 5000000;
    ck_assert_uint_eq(call(VMW_GETHZ, ~0u), (u32)5000000000);
    ck_assert_uint_eq(cpu->gpr[RBX], 1);
    ck_assert_uint_eq(pv->used[VMW_F_GETHZ], 2);
}
END_TEST

START_TEST(calls_tell_the_time_of_day)
{
    advance(5 * NS_PER_SEC + 7000);
    ck_assert_uint_eq(call(VMW_GETTIME, 0), 1700000005);
    ck_assert_uint_eq(cpu->gpr[RBX], 7);
    ck_assert_uint_eq(cpu->gpr[RDX], 0);
    ck_assert_uint_eq(call(VMW_GETTIMEFULL, 0), VMW_MAGIC);
    ck_assert_uint_eq(cpu->gpr[RSI], 0);
    ck_assert_uint_eq(cpu->gpr[RDX], 1700000005);
    ck_assert_uint_eq(cpu->gpr[RBX], 7);
    env.wall_base_ns = 5000000000ull * NS_PER_SEC;
    restart("vmware");
    call(VMW_GETTIMEFULL, 0);
    ck_assert_uint_eq(cpu->gpr[RSI], 1);
    ck_assert_uint_eq(cpu->gpr[RDX], (u32)5000000005);
}
END_TEST

START_TEST(x2apic_mode_needs_no_remapping)
{
    ck_assert_uint_eq(call(VMW_GETVCPU_INFO, 0), 8);
    lapic->x2apic = false;
    ck_assert_uint_eq(call(VMW_GETVCPU_INFO, 0), 0);
}
END_TEST

START_TEST(calls_by_instruction_are_the_same)
{
    cpu->cpl = 3;
    cpu->gpr[RAX] = VMW_MAGIC;
    cpu->gpr[RBX] = 0;
    cpu->gpr[RCX] = VMW_GETVERSION;
    cpu->gpr[RDX] = 0;
    ck_assert(pv_hypercall(pv, cpu));
    ck_assert_uint_eq(cpu->gpr[RAX], 6);
    ck_assert_uint_eq(cpu->gpr[RBX], VMW_MAGIC);
    ck_assert_uint_eq(pv->used[VMW_F_HYPERCALL], 1);
    cpu->gpr[RAX] = VMW_MAGIC;
    cpu->gpr[RBX] = 1 << 16;
    cpu->gpr[RDX] = 3; /* high bandwidth, out */
    ck_assert(pv_hypercall(pv, cpu));
    ck_assert_uint_eq(cpu->gpr[RBX], 0);
    cpu->gpr[RAX] = 0;
    ck_assert(!pv_hypercall(pv, cpu));
    restart("vmware,-hypercall");
    cpu->gpr[RAX] = VMW_MAGIC;
    ck_assert(!pv_hypercall(pv, cpu));
}
END_TEST

START_TEST(a_feature_that_is_off_does_not_answer)
{
    static const struct {
        const char *spec;
        u32 command;
    } off[] = {
        {"vmware,-gethz", VMW_GETHZ},
        {"vmware,-time", VMW_GETTIME},
        {"vmware,-time", VMW_GETTIMEFULL},
        {"vmware,-vcpu-info", VMW_GETVCPU_INFO},
        {"vmware,-steal-clock", VMW_STEALCLOCK},
        {"vmware,-rpc", VMW_MESSAGE},
    };

    for (size_t i = 0; i < ARRAY_SIZE(off); i++) {
        restart(off[i].spec);
        ck_assert_uint_eq(call(off[i].command, 0x1234), 0xffffffff);
        ck_assert_uint_eq(cpu->gpr[RBX], 0x1234);
    }
    restart("vmware,-port");
    ck_assert_int_eq(port_call(VMW_GETVERSION, 0), PV_PORT_ORDINARY);
}
END_TEST

/* ---- counters, stolen time ------------------------------------------------------------------- */

START_TEST(pseudo_counters_tell_time)
{
    u64 v;

    advance(12345);
    cpu->tsc_offset = 1000; /* the guest's; the host's TSC is another */
    ck_assert(pv_pmc(pv, cpu, VMW_PMC_HOST_TSC, &v));
    ck_assert_uint_eq(v, 12345);
    ck_assert(pv_pmc(pv, cpu, VMW_PMC_REAL_NS, &v));
    ck_assert_uint_eq(v, 12345);
    ck_assert(pv_pmc(pv, cpu, VMW_PMC_APPARENT_NS, &v));
    ck_assert_uint_eq(v, 12345);
    ck_assert(!pv_pmc(pv, cpu, 0xffff, &v));
    ck_assert(!pv_pmc(pv, cpu, 0x10003, &v));
    ck_assert(!pv_pmc(pv, cpu, 0, &v));
    restart("vmware,-pseudo-pmc");
    ck_assert(!pv_pmc(pv, cpu, VMW_PMC_REAL_NS, &v));
}
END_TEST

static u32 steal(u64 arg)
{
    cpu->gpr[RSI] = arg >> 32;
    cpu->gpr[RDI] = (u32)arg;
    return call(VMW_STEALCLOCK, 0);
}

START_TEST(stolen_time_is_told_in_ticks_of_the_tsc)
{
    cpu->tsc_khz = 2000000;
    ck_assert_uint_eq(steal(0), 0);
    ck_assert_uint_eq(steal(PAGE_GPA), 1);
    ck_assert_uint_eq(steal(0), 1);
    pv_enter(pv, cpu);
    advance(1000);
    pv_leave(pv, cpu, false);
    advance(300);
    pv_enter(pv, cpu);
    ck_assert_uint_eq(dma_read64(&phys, PAGE_GPA), 600);
    pv_leave(pv, cpu, true);
    advance(5000);
    pv_enter(pv, cpu);
    ck_assert_uint_eq(dma_read64(&phys, PAGE_GPA), 600);
    ck_assert_uint_eq(steal(1), 0); /* off */
    pv_leave(pv, cpu, false);
    advance(300);
    pv_enter(pv, cpu);
    ck_assert_uint_eq(dma_read64(&phys, PAGE_GPA), 600);
}
END_TEST

START_TEST(stolen_time_goes_to_aligned_memory)
{
    ck_assert_uint_eq(steal(PAGE_GPA + 8), 0xffffffff);
    ck_assert_uint_eq(steal(MIB), 0xffffffff);
    ck_assert_uint_eq(steal(~0ull << 6), 0xffffffff);
    ck_assert_uint_eq(steal(0), 0);
    ck_assert_uint_eq(pv->used[VMW_F_STEAL_CLOCK], 0);
}
END_TEST

/* ---- the pointer ----------------------------------------------------------------------------- */

static void point(u16 x, u16 y, int dz, unsigned buttons)
{
    ck_assert(pv_place(pv, &(struct pv_place){x, y, dz, buttons}));
}

static void enable_pointer(void)
{
    call(VMW_POINTER_COMMAND, 0x45414552);
    ck_assert_uint_eq(call(VMW_POINTER_STATUS, 0), 1);
    ck_assert_uint_eq(call(VMW_POINTER_DATA, 1), 0x3442554a);
    call(VMW_POINTER_COMMAND, 0x53424152);
}

START_TEST(the_pointer_is_where_the_user_put_it)
{
    enable_pointer();
    ck_assert(pv_place(pv, NULL));
    point(1, 65535, -1, 1);
    point(2, 3, 0, 6);
    ck_assert_uint_eq(pokes, 2);
    ck_assert_uint_eq(call(VMW_POINTER_STATUS, 0), 8);
    ck_assert_uint_eq(call(VMW_POINTER_DATA, 4), 0x20);
    ck_assert_uint_eq(cpu->gpr[RBX], 1);
    ck_assert_uint_eq(cpu->gpr[RCX], 65535);
    ck_assert_uint_eq(cpu->gpr[RDX], 0xffffffff);
    ck_assert_uint_eq(call(VMW_POINTER_DATA, 4), 0x18);
    ck_assert_uint_eq(call(VMW_POINTER_STATUS, 0), 0);
    ck_assert_uint_eq(pv->used[VMW_F_POINTER], 2);
}
END_TEST

START_TEST(a_pointer_that_nobody_asked_for_stays_with_the_board)
{
    ck_assert(!pv_place(pv, NULL));
    ck_assert_uint_eq(call(VMW_POINTER_STATUS, 0), 0xffff0000);
    enable_pointer();
    call(VMW_POINTER_COMMAND, 0xf5);
    ck_assert(!pv_place(pv, NULL));
    call(VMW_POINTER_COMMAND, 0x53424152); /* not while disabled */
    ck_assert(!pv_place(pv, NULL));
    enable_pointer();
    ck_assert_uint_eq(call(VMW_POINTER_DATA, 4), 0xffffffff); /* there is none */
    ck_assert_uint_eq(call(VMW_POINTER_STATUS, 0), 0xffff0000);
    enable_pointer();
    pv_reset(pv);
    ck_assert(!pv_place(pv, NULL));
    restart("vmware,-pointer");
    ck_assert_uint_eq(call(VMW_POINTER_COMMAND, 0x45414552), 0xffffffff);
    restart("none");
    ck_assert(!pv_place(pv, NULL));
}
END_TEST

START_TEST(places_that_the_guest_does_not_fetch_are_lost)
{
    enable_pointer();
    for (u16 i = 0; i < 1000; i++)
        point(i, 0, 0, 0);
    ck_assert_uint_eq(call(VMW_POINTER_STATUS, 0), 256);
    for (u32 i = 0; i < 64; i++) {
        ck_assert_uint_eq(call(VMW_POINTER_DATA, 4), 0);
        ck_assert_uint_eq(cpu->gpr[RBX], i);
    }
}
END_TEST

/* ---- channels -------------------------------------------------------------------------------- */

static u32 channel, cookie_high, cookie_low;

/* The status of a message call. */
static u32 message(u32 what, u32 ebx)
{
    cpu->gpr[RDX] = channel << 16;
    cpu->gpr[RSI] = cookie_high;
    cpu->gpr[RDI] = cookie_low;
    call(what << 16 | VMW_MESSAGE, ebx);
    return (u32)cpu->gpr[RCX] >> 16;
}

static u32 open_channel(u32 protocol)
{
    u32 status = message(MSG_OPEN, protocol);

    channel = (u32)cpu->gpr[RDX] >> 16;
    cookie_high = (u32)cpu->gpr[RSI];
    cookie_low = (u32)cpu->gpr[RDI];
    return status;
}

/* A request and its reply, by pieces. */
static const char *rpc(const char *request)
{
    static char answer[VMW_MESSAGE_MAX + 8];
    u32 len = (u32)strlen(request), piece, bytes;

    ck_assert(message(MSG_SENDSIZE, len) & MSG_SUCCESS);
    for (u32 i = 0; i < len; i += 4) {
        piece = 0;
        memcpy(&piece, request + i, len - i < 4 ? len - i : 4);
        ck_assert(message(MSG_SEND, piece) & MSG_SUCCESS);
    }
    ck_assert((message(MSG_RECVSIZE, 0) & 3) == (MSG_SUCCESS | MSG_DORECV));
    ck_assert_uint_eq((u32)cpu->gpr[RDX] >> 16, MSG_SENDSIZE);
    bytes = (u32)cpu->gpr[RBX];
    for (u32 i = 0; i < bytes; i += 4) {
        ck_assert(message(MSG_RECV, MSG_SUCCESS) & MSG_SUCCESS);
        ck_assert_uint_eq((u32)cpu->gpr[RDX] >> 16, MSG_SEND);
        piece = (u32)cpu->gpr[RBX];
        memcpy(answer + i, &piece, 4);
    }
    answer[bytes] = 0;
    ck_assert(message(MSG_RECVSTATUS, MSG_SUCCESS) & MSG_SUCCESS);
    return answer;
}

START_TEST(a_guest_keeps_variables_with_the_host)
{
    ck_assert(open_channel(MSG_RPCI | MSG_COOKIE) & MSG_SUCCESS);
    ck_assert_str_eq(rpc("info-get guestinfo.x"), "0 No value found");
    ck_assert_str_eq(rpc("info-set guestinfo.x one two"), "1 ");
    ck_assert_str_eq(rpc("info-get guestinfo.x"), "1 one two");
    ck_assert_str_eq(rpc("info-set guestinfo.x 3"), "1 ");
    ck_assert_str_eq(rpc("info-get guestinfo.x"), "1 3");
    ck_assert_str_eq(rpc("info-set guestinfo.x "), "1 ");
    ck_assert_str_eq(rpc("info-get guestinfo.x"), "1 ");
    pv_reset(pv);
    ck_assert_uint_eq(message(MSG_RECVSIZE, 0), 0); /* the channel is gone */
    open_channel(MSG_RPCI);
    ck_assert_str_eq(rpc("info-get guestinfo.x"), "1 ");
    ck_assert_uint_eq(pv->used[VMW_F_RPC], 8);
}
END_TEST

START_TEST(requests_that_make_no_sense_are_refused)
{
    char name[300] = "info-set guestinfo.";

    open_channel(MSG_RPCI);
    ck_assert_str_eq(rpc("info-set guestinfo.x"), "0 Two arguments expected");
    ck_assert_str_eq(rpc("info-set guestinfo. x"), "0 Two arguments expected");
    ck_assert_str_eq(rpc("info-get guestinfo."), "0 No value found");
    ck_assert_str_eq(rpc("info-set machine.id x"), "0 Unknown command");
    ck_assert_str_eq(rpc("log a line"), "1 ");
    ck_assert_str_eq(rpc("\1\2\3"), "0 Unknown command");
    memset(name + strlen(name), 'n', 200);
    strcat(name, " v");
    ck_assert_str_eq(rpc(name), "0 No room for the value");
    for (int i = 0; i < 64; i++) {
        snprintf(name, sizeof name, "info-set guestinfo.%d v", i);
        ck_assert_str_eq(rpc(name), "1 ");
    }
    ck_assert_str_eq(rpc("info-set guestinfo.more v"), "0 No room for the value");
    ck_assert_str_eq(rpc("info-set guestinfo.7 w"), "1 ");
}
END_TEST

START_TEST(an_empty_request_is_answered)
{
    open_channel(MSG_RPCI);
    ck_assert_str_eq(rpc(""), "0 Unknown command");
    ck_assert_uint_eq(message(MSG_RECVSIZE, 0) & 3, MSG_SUCCESS); /* nothing more */
}
END_TEST

START_TEST(channels_are_found_by_number_and_cookie)
{
    u32 first, high, low;

    ck_assert_uint_eq(open_channel(0x12345678), 0);
    open_channel(MSG_RPCI | MSG_COOKIE);
    first = channel;
    high = cookie_high;
    low = cookie_low;
    cookie_low ^= 1;
    ck_assert_uint_eq(message(MSG_SENDSIZE, 4), 0);
    cookie_low = low;
    channel = 99;
    ck_assert_uint_eq(message(MSG_SENDSIZE, 4), 0);
    channel = first;
    ck_assert(message(MSG_SENDSIZE, 4) & MSG_SUCCESS);
    ck_assert(message(MSG_CLOSE, 0) & MSG_SUCCESS);
    ck_assert_uint_eq(message(MSG_SEND, 0), 0);
    open_channel(MSG_RPCI | MSG_COOKIE);
    ck_assert_uint_eq(channel, first);
    ck_assert(cookie_high != high || cookie_low != low);
    for (int i = 1; i < 8; i++)
        ck_assert(open_channel(MSG_TCLO) & MSG_SUCCESS);
    ck_assert_uint_eq(message(MSG_SENDSIZE, 4), 0); /* the host only */
    ck_assert_uint_eq(message(MSG_RECVSIZE, 0), MSG_SUCCESS);
    ck_assert_uint_eq(open_channel(MSG_RPCI), 0); /* there are no more */
}
END_TEST

START_TEST(pieces_and_sizes_are_checked)
{
    open_channel(MSG_RPCI);
    ck_assert_uint_eq(message(MSG_SEND, 0), 0);
    ck_assert_uint_eq(message(MSG_RECV, MSG_SUCCESS), 0);
    ck_assert_uint_eq(message(MSG_SENDSIZE, VMW_MESSAGE_MAX + 1), 0);
    ck_assert_uint_eq(message(MSG_SENDSIZE, ~0u), 0);
    ck_assert(message(MSG_SENDSIZE, VMW_MESSAGE_MAX) & MSG_SUCCESS);
    ck_assert(message(MSG_SENDSIZE, 4) & MSG_SUCCESS); /* another instead */
    ck_assert(message(MSG_SEND, 0) & MSG_SUCCESS);
    ck_assert_uint_eq(message(MSG_SEND, 0), 0); /* it was complete */
    ck_assert_uint_eq(message(7, 0), 0);
}
END_TEST

START_TEST(the_high_bandwidth_port_takes_and_gives_bytes)
{
    static const char request[] = "info-set guestinfo.big 12345";
    char answer[8] = "";

    open_channel(MSG_RPCI | MSG_COOKIE);
    ck_assert_uint_eq(message(MSG_SENDSIZE, sizeof request - 1), MSG_SUCCESS | MSG_HB);
    cpu->gpr[RAX] = VMW_MAGIC;
    cpu->gpr[RBX] = MSG_SUCCESS << 16;
    cpu->gpr[RDX] = channel << 16 | VMW_PORT_HB;
    cpu->gpr[RBP] = cookie_high;
    cpu->gpr[RDI] = cookie_low;
    for (size_t i = 0; i < sizeof request - 1; i++)
        iobus_write(env.io, VMW_PORT_HB, (u8)request[i], 1);
    ck_assert_uint_eq(cpu->gpr[RBX], MSG_SUCCESS << 16);
    iobus_write(env.io, VMW_PORT_HB, 'x', 1); /* one too many */
    ck_assert_uint_eq(cpu->gpr[RBX], 0);
    ck_assert_uint_eq(message(MSG_RECVSIZE, 0), MSG_SUCCESS | MSG_DORECV | MSG_HB);
    ck_assert_uint_eq(cpu->gpr[RBX], 2);
    cpu->gpr[RAX] = VMW_MAGIC;
    cpu->gpr[RBX] = MSG_SUCCESS << 16;
    cpu->gpr[RDX] = channel << 16 | VMW_PORT_HB;
    cpu->gpr[RSI] = cookie_high;
    cpu->gpr[RBP] = cookie_low;
    for (int i = 0; i < 2; i++)
        answer[i] = (char)iobus_read(env.io, VMW_PORT_HB, 1);
    ck_assert_str_eq(answer, "1 ");
    ck_assert_uint_eq(cpu->gpr[RBX], MSG_SUCCESS << 16);
    ck_assert_uint_eq(iobus_read(env.io, VMW_PORT_HB, 1), 0xff);
    ck_assert_uint_eq(cpu->gpr[RBX], 0);
    cpu->gpr[RAX] = 0;
    ck_assert_uint_eq(iobus_read(env.io, VMW_PORT_HB, 1), 0xff);
}
END_TEST

START_TEST(high_bandwidth_is_not_offered_to_who_calls_by_instruction_or_where_it_is_off)
{
    open_channel(MSG_RPCI);
    cpu->gpr[RAX] = VMW_MAGIC;
    cpu->gpr[RBX] = 4;
    cpu->gpr[RCX] = MSG_SENDSIZE << 16 | VMW_MESSAGE;
    cpu->gpr[RDX] = channel << 16;
    ck_assert(pv_hypercall(pv, cpu));
    ck_assert_uint_eq((u32)cpu->gpr[RCX] >> 16, MSG_SUCCESS);
    restart("vmware,-high-bandwidth");
    open_channel(MSG_RPCI);
    ck_assert_uint_eq(message(MSG_SENDSIZE, 4), MSG_SUCCESS);
    ck_assert_int_eq(pv_port(pv, cpu, VMW_PORT_HB, 1, true), PV_PORT_ORDINARY);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pv_vmware");
    TCase *c = tcase_create("pv_vmware");
    SRunner *r = srunner_create(s);
    int failures;

    tcase_add_checked_fixture(c, setup, machine_teardown);
    tcase_add_test(c, leaves_carry_signature_timing_and_the_instruction_of_calls);
    tcase_add_test(c, intel_processors_call_by_vmcall);
    tcase_add_test(c, the_port_is_ordinary_without_the_magic_number);
    tcase_add_test(c, calls_tell_version_and_size_at_any_privilege);
    tcase_add_test(c, unknown_commands_leave_the_other_registers);
    tcase_add_test(c, calls_tell_the_frequencies);
    tcase_add_test(c, calls_tell_the_time_of_day);
    tcase_add_test(c, x2apic_mode_needs_no_remapping);
    tcase_add_test(c, calls_by_instruction_are_the_same);
    tcase_add_test(c, a_feature_that_is_off_does_not_answer);
    tcase_add_test(c, pseudo_counters_tell_time);
    tcase_add_test(c, stolen_time_is_told_in_ticks_of_the_tsc);
    tcase_add_test(c, stolen_time_goes_to_aligned_memory);
    tcase_add_test(c, the_pointer_is_where_the_user_put_it);
    tcase_add_test(c, a_pointer_that_nobody_asked_for_stays_with_the_board);
    tcase_add_test(c, places_that_the_guest_does_not_fetch_are_lost);
    tcase_add_test(c, a_guest_keeps_variables_with_the_host);
    tcase_add_test(c, requests_that_make_no_sense_are_refused);
    tcase_add_test(c, an_empty_request_is_answered);
    tcase_add_test(c, channels_are_found_by_number_and_cookie);
    tcase_add_test(c, pieces_and_sizes_are_checked);
    tcase_add_test(c, the_high_bandwidth_port_takes_and_gives_bytes);
    tcase_add_test(c, high_bandwidth_is_not_offered_to_who_calls_by_instruction_or_where_it_is_off);
    suite_add_tcase(s, c);
    srunner_run_all(r, CK_NORMAL);
    failures = srunner_ntests_failed(r);
    srunner_free(r);
    return failures != 0;
}
