/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of procedures, what its signatures make of bytes, and the server over real sockets. */
#include "base/bytes.h"
#include "core/loop.h"
#include "daemon/rpc/proc.h"
#include "daemon/rpc/server.h"
#include "daemon/rpc/xdr.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- the table ---- */

static void table_is_whole(void **state)
{
	for (uint32_t n = 1; n <= PROC_COUNT; n++) {
		const struct proc *p = proc_by_number(n);

		assert_non_null(p);
		assert_int_equal(p->number, n);
		assert_ptr_equal(proc_by_name(p->name), p);
		assert_true(p->tier <= 4);
		/* Nothing at all is a message of those without items, and only of those. */
		assert_int_equal(xdr_matches(p->args, NULL, 0), !*p->args);
		assert_int_equal(xdr_matches(p->ret, NULL, 0), !*p->ret);
	}
	assert_null(proc_by_number(0));
	assert_null(proc_by_number(PROC_COUNT + 1));
}

static void functions_have_the_librarys_names(void **state)
{
	char name[64];

	proc_function(proc_by_name("DOMAIN_CREATE_XML"), name, sizeof(name));
	assert_string_equal(name, "virDomainCreateXML");
	proc_function(proc_by_name("CONNECT_GET_ALL_DOMAIN_STATS"), name, sizeof(name));
	assert_string_equal(name, "virConnectGetAllDomainStats");
	proc_function(proc_by_name("DOMAIN_CREATE"), name, 8);
	assert_string_equal(name, "virDoma");
}

/* ---- values ---- */

static void values_come_back(void **state)
{
	static const uint8_t uuid[UUID_SIZE] = {1, 2, 3};
	struct xdr_out o;
	struct values v;

	xdr_out_init(&o);
	xdr_string(&o, "guest");
	xdr_uuid(&o, uuid);
	xdr_i32(&o, -1);
	xdr_optional_string(&o, NULL);
	xdr_optional_string(&o, "four");
	xdr_u64(&o, UINT64_C(0x123456789abcdef0));
	xdr_u32(&o, 2);
	xdr_param_string(&o, "name", "vda");
	xdr_param_u64(&o, "bytes", 7);
	xdr_chars(&o, "none", 5);
	xdr_opaque(&o, "xyz", 3);
	assert_false(o.failed);
	assert_int_equal(values_decode(&v, "D ?s:a ?s:b H T c x", o.buf.data, o.buf.len, NULL), 0);
	assert_int_equal(v.count, 7);
	assert_string_equal(v.item[0].items[0].s, "guest");
	assert_memory_equal(v.item[0].items[1].x, uuid, UUID_SIZE);
	assert_int_equal(v.item[0].items[2].i, -1);
	assert_null(v.item[1].s);
	assert_string_equal(v.item[2].s, "four");
	assert_true(v.item[3].H == UINT64_C(0x123456789abcdef0));
	assert_int_equal(v.item[4].count, 2);
	assert_string_equal(v.item[4].items[0].s, "name");
	assert_string_equal(v.item[4].items[1].s, "vda");
	assert_string_equal(v.item[4].items[2].s, "bytes");
	assert_true(v.item[4].items[3].H == 7);
	assert_memory_equal(v.item[5].x, "none", 5);
	assert_memory_equal(v.item[6].x, "xyz", 3);
	values_free(&v);
	xdr_out_free(&o);
}

/* There are clients that write the flag of an optional value in the other byte order. */
static void any_flag_is_true(void **state)
{
	uint8_t bytes[] = {1, 0, 0, 0, 0, 0, 0, 2, 'a', 'b', 0, 0};
	struct values v;

	assert_int_equal(values_decode(&v, "?s", bytes, sizeof(bytes), NULL), 0);
	assert_string_equal(v.item[0].s, "ab");
	values_free(&v);
}

static void refused(const char *signature, const uint8_t *bytes, size_t len)
{
	uint8_t copy[64];
	struct values v;

	memcpy(copy, bytes, len);
	assert_true(values_decode(&v, signature, copy, len, NULL) < 0);
	assert_false(xdr_matches(signature, bytes, len));
	values_free(&v);
}

static void broken_messages_are_refused(void **state)
{
	static const uint8_t long_string[] = {0xff, 0xff, 0xff, 0xfc, 'a', 'b', 'c', 'd'};
	static const uint8_t no_padding[] = {0, 0, 0, 2, 'a', 'b'};
	static const uint8_t zero_inside[] = {0, 0, 0, 2, 'a', 0, 0, 0};
	static const uint8_t many[] = {0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0};
	static const uint8_t bad_type[] = {0, 0, 0, 1, 0, 0, 0, 1, 'a', 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0};

	refused("s", long_string, sizeof(long_string));
	refused("s", no_padding, sizeof(no_padding));
	refused("s", zero_inside, sizeof(zero_inside));
	refused("[i]", many, sizeof(many));
	refused("[D]", many, sizeof(many));
	refused("c", many, sizeof(many));
	refused("T", bad_type, sizeof(bad_type));
	refused("i", many, sizeof(many)); /* something is left over */
	refused("H", many, 4);
}

/* ---- the server ---- */

struct rig {
	struct loop *loop;
	struct server *server;
	int listener;
	struct call *later;
	struct stream *stream;
	size_t streamed;
	bool gone;
	bool found; /* what find_it is to answer */
};

static int echo(struct call *c)
{
	xdr_string(&c->out, "QEMU");
	return CALL_DONE;
}

static int answer_later(struct call *c)
{
	((struct rig *)c->opaque)->later = c;
	return CALL_LATER;
}

static int open_it(struct call *c)
{
	client_set_open(c->client, true, call_u(c, 1) & 1);
	return CALL_DONE;
}

static bool stream_data(void *opaque, const uint8_t *data, size_t len, struct fault *f)
{
	((struct rig *)opaque)->streamed += len;
	return true;
}

static bool stream_finish(void *opaque, struct fault *f)
{
	((struct rig *)opaque)->stream = NULL;
	return true;
}

static void stream_gone(void *opaque)
{
	struct rig *r = opaque;

	r->stream = NULL;
	r->gone = true;
}

static int open_console(struct call *c)
{
	static const struct stream_ops ops = {stream_data, stream_finish, stream_gone, NULL};
	struct rig *r = c->opaque;

	r->stream = stream_open(c, &ops, r);
	return r->stream ? CALL_DONE : CALL_FAILED;
}

static int find_it(struct call *c)
{
	struct rig *r = c->opaque;

	c->object = r;
	return r->found ? CALL_DONE : fault_set(&c->fault, FAULT_NO_DOMAIN, FROM_HYPERVISOR, "it is not there");
}

static int echo_object(struct call *c)
{
	assert_ptr_equal(c->object, c->opaque);
	return echo(c);
}

static const struct handler handlers[] = {
	{"CONNECT_OPEN", open_it, NULL, 1},
	{"CONNECT_GET_SYSINFO", echo_object, find_it, 4},
	{"CONNECT_GET_TYPE", echo},
	{"DOMAIN_CREATE_XML", echo},
	{"CONNECT_GET_URI", answer_later},
	{"DOMAIN_OPEN_CONSOLE", open_console},
};

static void up(struct rig *r, bool read_only)
{
	struct server_config cfg = {.opaque = r};
	struct err e = {0};

	*r = (struct rig){0};
	assert_int_equal(loop_create(&r->loop, NULL, &e), 0);
	cfg.loop = r->loop;
	assert_int_equal(server_create(&r->server, &cfg, &e), 0);
	server_handle(r->server, handlers, COUNT_OF(handlers));
	r->listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(r->listener, (const struct sockaddr *)&(const struct sockaddr){AF_UNIX, {0}}, 2), 0);
	assert_int_equal(listen(r->listener, 8), 0);
	assert_int_equal(server_listen(r->server, r->listener, read_only, &e), 0);
}

static void down(struct rig *r)
{
	server_destroy(r->server);
	loop_destroy(r->loop);
}

static void turn(struct rig *r)
{
	for (int n = 0; n < 8; n++)
		loop_once(r->loop, 1);
}

static int connect_to(struct rig *r)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_int_equal(getsockname(r->listener, (struct sockaddr *)&sa, &len), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, len), 0);
	turn(r);
	return fd;
}

static void send_packet(struct rig *r, int fd, const uint32_t head[6], const void *payload, uint32_t len)
{
	uint8_t bytes[128];

	store_be32(bytes, 28 + len);
	for (int n = 0; n < 6; n++)
		store_be32(bytes + 4 + 4 * n, head[n]);
	if (len)
		memcpy(bytes + 28, payload, len);
	assert_int_equal(send(fd, bytes, 28 + len, 0), 28 + len);
	turn(r);
}

static void send_call(struct rig *r, int fd, const char *name, uint32_t serial, const void *payload, uint32_t len)
{
	const uint32_t head[6] = {0x20008086, 1, proc_by_name(name)->number, 0, serial, 0};

	send_packet(r, fd, head, payload, len);
}

/* The status of the packet that came; *serial of it. */
static uint32_t receive(int fd, uint32_t *serial, uint32_t *first)
{
	uint8_t head[28], body[4096];
	uint32_t len;

	assert_int_equal(recv(fd, head, 28, MSG_DONTWAIT), 28);
	len = load_be32(head) - 28;
	assert_true(len <= sizeof(body));
	assert_int_equal(len ? recv(fd, body, len, MSG_DONTWAIT) : 0, len);
	*serial = load_be32(head + 20);
	*first = len >= 4 ? load_be32(body) : 0;
	return load_be32(head + 24);
}

static const uint8_t open_args[8] = {0};

static void open_connection(struct rig *r, int fd)
{
	uint32_t serial, first;

	send_call(r, fd, "CONNECT_OPEN", 0, open_args, 8);
	assert_int_equal(receive(fd, &serial, &first), 0);
}

static int up_and_open(struct rig *r, bool read_only)
{
	up(r, read_only);
	int fd = connect_to(r);

	open_connection(r, fd);
	return fd;
}

static void calls_are_answered_out_of_order(void **state)
{
	uint32_t serial, first;
	struct rig r;
	int fd;

	up(&r, false);
	fd = connect_to(&r);
	send_call(&r, fd, "CONNECT_GET_TYPE", 4, NULL, 0);
	assert_int_equal(receive(fd, &serial, &first), 1); /* not open yet */
	open_connection(&r, fd);
	send_call(&r, fd, "CONNECT_GET_URI", 5, NULL, 0);
	send_call(&r, fd, "CONNECT_GET_TYPE", 6, NULL, 0);
	assert_int_equal(receive(fd, &serial, &first), 0);
	assert_int_equal(serial, 6);
	assert_non_null(r.later);
	xdr_string(&r.later->out, "qemu:///system");
	call_end(r.later, CALL_DONE);
	assert_int_equal(receive(fd, &serial, &first), 0);
	assert_int_equal(serial, 5);
	close(fd);
	down(&r);
}

static void a_call_outlives_its_client(void **state)
{
	struct rig r;
	int fd;

	fd = up_and_open(&r, false);
	send_call(&r, fd, "CONNECT_GET_URI", 1, NULL, 0);
	close(fd);
	turn(&r);
	assert_int_equal(server_clients(r.server), 0);
	assert_null(r.later->client);
	call_end(r.later, CALL_DONE);
	down(&r);
}

static void rows_say_what_handlers_need(void **state)
{
	static const uint8_t known[4] = {0, 0, 0, 4}, unknown[4] = {0, 0, 0, 6};
	uint32_t serial, first;
	struct rig r;
	int fd;

	fd = up_and_open(&r, false);
	send_call(&r, fd, "CONNECT_GET_SYSINFO", 1, known, 4);
	assert_int_equal(receive(fd, &serial, &first), 1);
	assert_int_equal(first, FAULT_NO_DOMAIN);
	r.found = true;
	send_call(&r, fd, "CONNECT_GET_SYSINFO", 2, known, 4);
	assert_int_equal(receive(fd, &serial, &first), 0);
	send_call(&r, fd, "CONNECT_GET_SYSINFO", 3, unknown, 4);
	assert_int_equal(receive(fd, &serial, &first), 1);
	assert_int_equal(first, FAULT_INVALID_ARG);
	close(fd);
	down(&r);
}

static void what_is_not_there_is_an_error(void **state)
{
	static const uint32_t unknown[6] = {0x20008086, 1, 999, 0, 8, 0};
	static const uint32_t program[6] = {0x12345678, 1, 1, 0, 9, 0};
	uint32_t serial, first;
	struct rig r;
	int fd;

	fd = up_and_open(&r, false);
	send_call(&r, fd, "CONNECT_GET_HOSTNAME", 7, NULL, 0);
	assert_int_equal(receive(fd, &serial, &first), 1);
	assert_int_equal(first, FAULT_NO_SUPPORT);
	send_packet(&r, fd, unknown, NULL, 0);
	assert_int_equal(receive(fd, &serial, &first), 1);
	assert_int_equal(first, FAULT_RPC);
	send_packet(&r, fd, program, NULL, 0);
	assert_int_equal(receive(fd, &serial, &first), 1);
	assert_int_equal(first, FAULT_RPC);
	assert_int_equal(serial, 9);
	assert_int_equal(server_clients(r.server), 1);
	close(fd);
	down(&r);
}

static void readers_cannot_write(void **state)
{
	uint32_t serial, first;
	struct rig r;
	int fd;

	fd = up_and_open(&r, true);
	send_call(&r, fd, "DOMAIN_CREATE_XML", 1, open_args, 8);
	assert_int_equal(receive(fd, &serial, &first), 1);
	assert_int_equal(first, FAULT_DENIED);
	close(fd);
	down(&r);
}

static void broken_packets_cost_the_connection(void **state)
{
	static const uint8_t small[4] = {0, 0, 0, 27}, large[4] = {0x40, 0, 0, 0};
	static const uint32_t reply[6] = {0x20008086, 1, 1, 1, 0, 0};
	struct rig r;
	int fd[3], other;

	up(&r, false);
	other = connect_to(&r);
	for (int n = 0; n < 3; n++)
		fd[n] = connect_to(&r);
	assert_int_equal(server_clients(r.server), 4);
	assert_int_equal(send(fd[0], small, 4, 0), 4);
	assert_int_equal(send(fd[1], large, 4, 0), 4);
	send_packet(&r, fd[2], reply, NULL, 0);
	turn(&r);
	assert_int_equal(server_clients(r.server), 1);
	open_connection(&r, other);
	for (int n = 0; n < 3; n++)
		close(fd[n]);
	close(other);
	down(&r);
}

static void streams_carry_bytes(void **state)
{
	static const uint8_t domain[32] = {0, 0, 0, 0};
	const uint32_t number = proc_by_name("DOMAIN_OPEN_CONSOLE")->number;
	const uint32_t data[6] = {0x20008086, 1, number, 3, 2, 2}, end[6] = {0x20008086, 1, number, 3, 2, 0};
	uint32_t serial, first;
	struct rig r;
	int fd;

	fd = up_and_open(&r, false);
	send_call(&r, fd, "DOMAIN_OPEN_CONSOLE", 2, domain, 32);
	assert_int_equal(receive(fd, &serial, &first), 0);
	assert_non_null(r.stream);
	send_packet(&r, fd, data, "hello", 5);
	assert_int_equal(r.streamed, 5);
	assert_true(stream_send(r.stream, (const uint8_t *)"login", 5));
	assert_int_equal(receive(fd, &serial, &first), 2);
	assert_int_equal(first, 0x6c6f6769);
	send_packet(&r, fd, end, NULL, 0);
	assert_int_equal(receive(fd, &serial, &first), 0);
	assert_null(r.stream);
	send_packet(&r, fd, data, "late", 4); /* swallowed */
	assert_true(recv(fd, &first, 4, MSG_DONTWAIT) < 0);
	send_call(&r, fd, "DOMAIN_OPEN_CONSOLE", 3, domain, 32);
	close(fd);
	turn(&r);
	assert_true(r.gone);
	down(&r);
}

/* A client that does not read is not fed without end: the stream waits, and goes on when it reads. */
static void a_slow_reader_waits(void **state)
{
	static const uint8_t domain[32] = {0}, chunk[65536] = {0};
	uint32_t serial, first, taken = 0;
	struct rig r;
	int fd;

	fd = up_and_open(&r, false);
	send_call(&r, fd, "DOMAIN_OPEN_CONSOLE", 2, domain, 32);
	assert_int_equal(receive(fd, &serial, &first), 0);
	while (taken < 1000 && stream_send(r.stream, chunk, sizeof(chunk)))
		taken++;
	assert_true(taken > 1 && taken < 100);
	assert_int_equal(server_clients(r.server), 1);
	close(fd);
	turn(&r);
	down(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_is_whole),
		cmocka_unit_test(functions_have_the_librarys_names),
		cmocka_unit_test(values_come_back),
		cmocka_unit_test(any_flag_is_true),
		cmocka_unit_test(broken_messages_are_refused),
		cmocka_unit_test(calls_are_answered_out_of_order),
		cmocka_unit_test(a_call_outlives_its_client),
		cmocka_unit_test(rows_say_what_handlers_need),
		cmocka_unit_test(what_is_not_there_is_an_error),
		cmocka_unit_test(readers_cannot_write),
		cmocka_unit_test(broken_packets_cost_the_connection),
		cmocka_unit_test(streams_carry_bytes),
		cmocka_unit_test(a_slow_reader_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
