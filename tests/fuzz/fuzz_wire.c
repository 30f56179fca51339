/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What lies between a client of the daemon and its packets: TLS, and SASL's negotiation and security layer, over the
 * daemon's own server. The input is a client's script: packets, parts of packets, many in one piece, lengths that are
 * not true, answers of the negotiation, bytes below TLS, an end at any moment.
 *
 * SASL's library is a stand-in here, with a mechanism that does what the script says and a layer of the usual
 * form (a length of four bytes before each piece); so what is tried is our use of it. TLS is GnuTLS on both sides.
 */
#include "base/bytes.h"
#include "base/checked.h"
#include "daemon/daemon.h"
#include "daemon/remote/remote.h"
#include "daemon/rpc/server_priv.h"

#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <sasl/sasl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LAYER_MAX = 64 << 10, KEY = 0x55, STEPS_MAX = 400, ROUNDS = 6, HANDSHAKE_ROUNDS = 40 };

/* ---- a SASL library ---- */

struct sasl_conn {
	char *out, *encoded; /* of the last call: gone with the next in the same direction, as in the library */
	uint8_t *pending;
	size_t have;
	sasl_ssf_t ssf;
	unsigned max;
};

int sasl_server_init(const sasl_callback_t *callbacks, const char *name)
{
	return SASL_OK;
}

void sasl_done(void)
{
}

const char *sasl_errstring(int error, const char *langs, const char **lang)
{
	return "trouble";
}

const char *sasl_errdetail(sasl_conn_t *c)
{
	return "detail";
}

int sasl_server_new(const char *service, const char *host, const char *realm, const char *local, const char *remote,
		    const sasl_callback_t *callbacks, unsigned flags, sasl_conn_t **out)
{
	*out = calloc(1, sizeof(**out));
	return *out ? SASL_OK : SASL_NOMEM;
}

void sasl_dispose(sasl_conn_t **c)
{
	if (*c) {
		free((*c)->out);
		free((*c)->encoded);
		free((*c)->pending);
		free(*c);
	}
	*c = NULL;
}

int sasl_setprop(sasl_conn_t *c, int number, const void *value)
{
	return SASL_OK;
}

int sasl_listmech(sasl_conn_t *c, const char *user, const char *prefix, const char *sep, const char *suffix,
		  const char **result, unsigned *len, int *count)
{
	*result = "SCRIPT";
	*len = 6;
	*count = 1;
	return SASL_OK;
}

/* The first byte says how it goes on. */
static int negotiate(sasl_conn_t *c, const char *in, unsigned len, const char **out, unsigned *out_len)
{
	free(c->out);
	c->out = malloc(len + 1);
	if (!c->out || !in || !len)
		return SASL_BADPROT;
	memcpy(c->out, in, len);
	*out = in[0] & 4 ? NULL : c->out;
	*out_len = in[0] & 4 ? 0 : len;
	c->ssf = in[0] & 8 ? 0 : 256;
	c->max = in[0] & 16 ? 7 : LAYER_MAX;
	return (in[0] & 3) == 0 ? SASL_OK : (in[0] & 3) == 1 ? SASL_FAIL : SASL_CONTINUE;
}

int sasl_server_start(sasl_conn_t *c, const char *mech, const char *in, unsigned len, const char **out,
		      unsigned *out_len)
{
	return negotiate(c, in, len, out, out_len);
}

int sasl_server_step(sasl_conn_t *c, const char *in, unsigned len, const char **out, unsigned *out_len)
{
	return negotiate(c, in, len, out, out_len);
}

int sasl_getprop(sasl_conn_t *c, int number, const void **value)
{
	if (number == SASL_SSF)
		*value = &c->ssf;
	else if (number == SASL_MAXOUTBUF)
		*value = &c->max;
	else
		*value = "somebody";
	return SASL_OK;
}

/* All whole pieces that are there; a rest waits. */
int sasl_decode(sasl_conn_t *c, const char *in, unsigned len, const char **out, unsigned *out_len)
{
	uint8_t *all = realloc(c->pending, c->have + len + 1);
	size_t at = 0, to = 0;

	if (!all)
		return SASL_NOMEM;
	c->pending = all;
	memcpy(all + c->have, in, len);
	c->have += len;
	free(c->out);
	c->out = malloc(c->have + 1);
	while (c->out && c->have - at >= 4 && load_be32(all + at) <= c->have - at - 4) {
		for (uint32_t n = 0; n < load_be32(all + at); n++)
			c->out[to++] = (char)(all[at + 4 + n] ^ KEY);
		at += 4 + load_be32(all + at);
	}
	if (!c->out || (c->have - at >= 4 && load_be32(all + at) > LAYER_MAX))
		return SASL_FAIL;
	memmove(all, all + at, c->have - at);
	c->have -= at;
	*out = c->out;
	*out_len = (unsigned)to;
	return SASL_OK;
}

int sasl_encode(sasl_conn_t *c, const char *in, unsigned len, const char **out, unsigned *out_len)
{
	if (len > c->max)
		__builtin_trap();
	free(c->encoded);
	c->encoded = malloc(len + 4);
	if (!c->encoded)
		return SASL_NOMEM;
	store_be32((uint8_t *)c->encoded, len);
	for (unsigned n = 0; n < len; n++)
		c->encoded[4 + n] = (char)(in[n] ^ KEY);
	*out = c->encoded;
	*out_len = len + 4;
	return SASL_OK;
}

/* ---- certificates: one that signs itself, for both sides ---- */

static void put_file(const char *folder, const char *name, const gnutls_datum_t *d)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "we");
	if (!f || fwrite(d->data, 1, d->size, f) != d->size)
		abort();
	fclose(f);
}

static void make_certificate(gnutls_x509_crt_t crt, gnutls_x509_privkey_t key)
{
	if (gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0) < 0)
		abort();
	gnutls_x509_crt_set_version(crt, 3);
	gnutls_x509_crt_set_serial(crt, "\1", 1);
	gnutls_x509_crt_set_activation_time(crt, time(NULL) - 3600);
	gnutls_x509_crt_set_expiration_time(crt, time(NULL) + 360000);
	gnutls_x509_crt_set_ca_status(crt, 1);
	gnutls_x509_crt_set_dn(crt, "CN=somebody", NULL);
	gnutls_x509_crt_set_key(crt, key);
	if (gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0) < 0)
		abort();
}

struct pki {
	struct tls *tls;
	gnutls_certificate_credentials_t client;
};

/* The server looks before each connection whether its files have changed: they stay until the end. */
static char dir[] = "/tmp/panal-fuzz-XXXXXX";

static void remove_files(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	if (system(command) != 0)
		return;
}

static void pki_make(struct pki *p)
{
	static const char *const folders[] = {"", "/CA", "/libvirt", "/libvirt/private"};
	char path[256];
	gnutls_x509_crt_t crt;
	gnutls_x509_privkey_t key;
	gnutls_datum_t crt_pem, key_pem;
	struct tls_config cfg = {.pki_dir = dir};
	struct err e = {0};

	if (!mkdtemp(dir) || gnutls_x509_crt_init(&crt) < 0 || gnutls_x509_privkey_init(&key) < 0)
		abort();
	make_certificate(crt, key);
	gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &crt_pem);
	gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &key_pem);
	for (unsigned n = 1; n < COUNT_OF(folders); n++) {
		snprintf(path, sizeof(path), "%s%s", dir, folders[n]);
		if (mkdir(path, 0700) < 0)
			abort();
	}
	put_file(dir, "CA/cacert.pem", &crt_pem);
	put_file(dir, "libvirt/servercert.pem", &crt_pem);
	put_file(dir, "libvirt/private/serverkey.pem", &key_pem);
	if (tls_create(&p->tls, &cfg, &e) < 0)
		abort();
	gnutls_certificate_allocate_credentials(&p->client);
	if (gnutls_certificate_set_x509_key_mem(p->client, &crt_pem, &key_pem, GNUTLS_X509_FMT_PEM) < 0)
		abort();
	gnutls_free(crt_pem.data);
	gnutls_free(key_pem.data);
	gnutls_x509_crt_deinit(crt);
	gnutls_x509_privkey_deinit(key);
	atexit(remove_files);
}

/* ---- the client ---- */

struct script {
	const uint8_t *data;
	size_t len, at;
};

struct fuzz {
	struct daemon daemon;
	struct script s;
	struct tls *tls;
	gnutls_session_t session; /* NULL: no TLS */
	int fd;
	bool layered;
	uint32_t serial;
};

static uint8_t next(struct script *s)
{
	return s->at < s->len ? s->data[s->at++] : 0;
}

static const uint8_t *take(struct script *s, size_t *len)
{
	const uint8_t *from = s->data + s->at;

	if (*len > s->len - s->at)
		*len = s->len - s->at;
	s->at += *len;
	return from;
}

static void serve(struct fuzz *f, unsigned rounds)
{
	uint8_t sink[4096];

	for (unsigned n = 0; n < rounds; n++) {
		loop_once(f->daemon.loop, 0);
		while (f->session ? gnutls_record_recv(f->session, sink, sizeof(sink)) > 0 :
				    recv(f->fd, sink, sizeof(sink), MSG_DONTWAIT) > 0)
			;
	}
}

static void put(struct fuzz *f, const void *data, size_t len)
{
	if (len && f->session)
		gnutls_record_send(f->session, data, len);
	else if (len && send(f->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return; /* the server has closed it, or does not read now */
}

/* As one piece of the layer, if there is one. */
static size_t wrap(const struct fuzz *f, uint8_t *out, const uint8_t *data, size_t len)
{
	size_t head = f->layered ? 4 : 0;

	if (head)
		store_be32(out, (uint32_t)len);
	for (size_t n = 0; n < len; n++)
		out[head + n] = head ? data[n] ^ KEY : data[n];
	return head + len;
}

static size_t packet(struct fuzz *f, uint8_t *out, uint32_t procedure, const uint8_t *body, size_t len)
{
	const struct packet p = {PROGRAM_REMOTE, PROGRAM_VERSION, procedure, PACKET_CALL, f->serial++, STATUS_OK};

	packet_write(out, &p, len);
	if (len)
		memcpy(out + PACKET_HEAD, body, len);
	return PACKET_HEAD + len;
}

/* SASL_START (mechanism, nil, data) or SASL_STEP (nil, data): each character is a word. */
static void say(struct fuzz *f, bool start)
{
	static const uint8_t name[] = {0, 0, 0, 6, 'S', 'C', 'R', 'I', 'P', 'T', 0, 0};
	uint8_t body[512], raw[600], out[700];
	size_t len = next(&f->s) % 40, at = 0;
	const uint8_t *d = take(&f->s, &len);

	if (start) {
		memcpy(body, name, sizeof(name));
		at = sizeof(name);
	}
	store_be32(body + at, len == 0);
	store_be32(body + at + 4, (uint32_t)len);
	at += 8;
	for (size_t n = 0; n < len; n++, at += 4)
		store_be32(body + at, d[n]);
	len = packet(f, raw, start ? 68 : 69, body, at);
	put(f, out, wrap(f, out, raw, len));
}

static void call(struct fuzz *f)
{
	static const uint32_t procedures[] = {66, 67, 1, 2, 59, 60, 70, 68, 69, 110};
	uint8_t raw[400], out[500];
	uint32_t procedure = procedures[next(&f->s) % COUNT_OF(procedures)];
	size_t len = next(&f->s), cut;
	const uint8_t *body = take(&f->s, &len);

	len = wrap(f, out, raw, packet(f, raw, procedure, body, len));
	cut = next(&f->s) % 2 ? next(&f->s) % (len + 1) : len;
	put(f, out, cut);
	if (cut < len)
		serve(f, 1);
	put(f, out + cut, len - cut);
}

/* Many pieces at once, empty ones among them; a packet's bytes are spread over them. */
static void pieces(struct fuzz *f)
{
	uint8_t raw[64], out[4096];
	size_t left = packet(f, raw, 66, NULL, 0), at = 0, done = 0;
	unsigned count = next(&f->s);

	for (unsigned n = 0; n < count && at + 100 < sizeof(out); n++) {
		size_t part = next(&f->s) % 9;

		if (part > left - done)
			part = left - done;
		at += wrap(f, out + at, raw + done, part);
		done += part;
		if (done == left) {
			left = packet(f, raw, 66, NULL, 0);
			done = 0;
		}
	}
	put(f, out, at);
}

static void raw_bytes(struct fuzz *f, bool below)
{
	size_t len = next(&f->s);
	const uint8_t *d = take(&f->s, &len);

	if (below && len && send(f->fd, d, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return;
	if (!below)
		put(f, d, len);
}

static void bad_length(struct fuzz *f)
{
	uint8_t d[8] = {0};

	for (unsigned n = 0; n < 4; n++)
		d[n] = next(&f->s);
	put(f, d, 4 + next(&f->s) % 5u);
}

static void handshake(struct fuzz *f, gnutls_certificate_credentials_t x)
{
	if (gnutls_init(&f->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) < 0 ||
	    gnutls_set_default_priority(f->session) < 0)
		abort();
	gnutls_credentials_set(f->session, GNUTLS_CRD_CERTIFICATE, x);
	gnutls_transport_set_int(f->session, f->fd);
	for (unsigned n = 0; n < HANDSHAKE_ROUNDS; n++) {
		int ret = gnutls_handshake(f->session);

		if (ret == 0 || gnutls_error_is_fatal(ret))
			break;
		loop_once(f->daemon.loop, 0);
		if (f->s.data[0] & 4 && n == f->s.data[0] >> 4)
			raw_bytes(f, true); /* in the middle of it */
	}
	serve(f, 2);
}

static void run(struct fuzz *f)
{
	for (unsigned n = 0; n < STEPS_MAX && f->s.at < f->s.len; n++) {
		switch (next(&f->s) % 12) {
		case 0: say(f, true); break;
		case 1: say(f, false); break;
		case 2: case 3: call(f); break;
		case 4: pieces(f); break;
		case 5: raw_bytes(f, false); break;
		case 6: raw_bytes(f, true); break;
		case 7: bad_length(f); break;
		case 8: f->layered = !f->layered; break;
		case 9: shutdown(f->fd, SHUT_WR); break;
		default: serve(f, 1); break;
		}
	}
	serve(f, ROUNDS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct pki pki;
	struct fuzz f = {.s = {data, size, 1}};
	struct listener l = {.transport = CLIENT_TCP, .sasl = true};
	struct server_config cfg;
	struct err e = {0};
	int pair[2];

	if (size < 2)
		return 0;
	if (!pki.tls)
		pki_make(&pki);
	if (loop_create(&f.daemon.loop, NULL, &e) < 0)
		abort();
	cfg = (struct server_config){.loop = f.daemon.loop, .opaque = &f.daemon};
	if (server_create(&f.daemon.server, &cfg, &e) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		abort();
	server_handle(f.daemon.server, remote_auth, remote_auth_count);
	f.fd = pair[0];
	l.server = f.daemon.server;
	if (data[0] % 4 == 1) {
		l.tls = pki.tls;
		l.transport = CLIENT_TLS;
		l.sasl = data[0] & 8;
	}
	if (client_create(&l, pair[1], &e) < 0)
		abort();
	if (l.tls)
		handshake(&f, pki.client);
	run(&f);
	server_destroy(f.daemon.server);
	if (f.session)
		gnutls_deinit(f.session);
	close(pair[0]);
	loop_destroy(f.daemon.loop);
	return 0;
}
