/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/rpc/tls.h"

#include "base/log.h"

#include <errno.h>
#include <fnmatch.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { NAME_MAX_BYTES = 1024 };
enum { FILE_CA, FILE_CRL, FILE_CERT, FILE_KEY, FILES };

static const char *const file_names[FILES] = {
	[FILE_CA] = "CA/cacert.pem",
	[FILE_CRL] = "CA/cacrl.pem",
	[FILE_CERT] = "libvirt/servercert.pem",
	[FILE_KEY] = "libvirt/private/serverkey.pem",
};

/* What was read of the files. Sessions keep it alive. */
struct credentials {
	gnutls_certificate_credentials_t x509;
	unsigned users;
};

/* Which file it was that was read. */
struct stamp {
	struct timespec changed;
	off_t size;
	ino_t inode;
};

struct tls {
	struct tls_config cfg;
	struct log_limit refusals;
	struct credentials *credentials;
	struct stamp stamp[FILES];
};

struct tls_wire {
	struct wire wire;
	gnutls_session_t session;
	struct credentials *credentials;
	struct tls *tls;
	bool verified;
};

/* ---- the files ---- */

static void release(struct credentials *c)
{
	if (!c || --c->users)
		return;
	if (c->x509)
		gnutls_certificate_free_credentials(c->x509);
	free(c);
}

static void file_path(const struct tls *t, int file, char out[PATH_MAX])
{
	snprintf(out, PATH_MAX, "%s/%s", t->cfg.pki_dir, file_names[file]);
}

static void read_stamps(const struct tls *t, struct stamp stamp[FILES])
{
	char path[PATH_MAX];
	struct stat st;

	memset(stamp, 0, FILES * sizeof(*stamp));
	for (int n = 0; n < FILES; n++) {
		file_path(t, n, path);
		if (stat(path, &st) == 0)
			stamp[n] = (struct stamp){ st.st_mtim, st.st_size, st.st_ino };
	}
}

static bool same_stamp(const struct stamp *a, const struct stamp *b)
{
	return a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec &&
	       a->size == b->size && a->inode == b->inode;
}

static int bad_file(struct err *e, const char *path, int code)
{
	return err_set(e, -EINVAL, "cannot use %s for TLS: %s", path, gnutls_strerror(code));
}

static int load_files(const struct tls *t, gnutls_certificate_credentials_t x, struct err *e)
{
	char path[PATH_MAX], key[PATH_MAX];
	struct stat st;
	int ret;

	file_path(t, FILE_CA, path);
	ret = gnutls_certificate_set_x509_trust_file(x, path, GNUTLS_X509_FMT_PEM);
	if (ret <= 0)
		return bad_file(e, path, ret ? ret : GNUTLS_E_NO_CERTIFICATE_FOUND);
	file_path(t, FILE_CRL, path);
	ret = stat(path, &st) == 0 ? gnutls_certificate_set_x509_crl_file(x, path, GNUTLS_X509_FMT_PEM) : 0;
	if (ret < 0)
		return bad_file(e, path, ret);
	file_path(t, FILE_CERT, path);
	file_path(t, FILE_KEY, key);
	ret = gnutls_certificate_set_x509_key_file(x, path, key, GNUTLS_X509_FMT_PEM);
	if (ret < 0)
		return err_set(e, -EINVAL, "cannot use %s with %s for TLS: %s", path, key, gnutls_strerror(ret));
	return 0;
}

static int load(struct tls *t, struct err *e)
{
	struct credentials *c = calloc(1, sizeof(*c));
	struct stamp stamp[FILES];
	int ret;

	if (!c)
		return err_set(e, -ENOMEM, "out of memory");
	c->users = 1;
	read_stamps(t, stamp); /* before the files: one that changes in between is read once more */
	if (gnutls_certificate_allocate_credentials(&c->x509) < 0)
		ret = err_set(e, -ENOMEM, "out of memory");
	else
		ret = load_files(t, c->x509, e);
	if (ret < 0) {
		release(c);
		return ret;
	}
	release(t->credentials);
	t->credentials = c;
	memcpy(t->stamp, stamp, sizeof(stamp));
	return 0;
}

int tls_create(struct tls **out, const struct tls_config *cfg, struct err *e)
{
	struct tls *t = calloc(1, sizeof(*t));
	int ret;

	if (!t)
		return err_set(e, -ENOMEM, "out of memory");
	t->cfg = *cfg;
	ret = load(t, e);
	if (ret < 0) {
		tls_destroy(t);
		return ret;
	}
	*out = t;
	return 0;
}

void tls_destroy(struct tls *t)
{
	if (!t)
		return;
	release(t->credentials);
	free(t);
}

/* ---- who the client is ---- */

static bool name_allowed(const struct tls_config *cfg, const char *name)
{
	for (unsigned n = 0; n < cfg->pattern_count; n++)
		if (fnmatch(cfg->pattern[n], name, 0) == 0)
			return true;
	return cfg->pattern_count == 0;
}

static bool check_name(const struct tls_wire *w)
{
	const gnutls_datum_t *chain;
	unsigned count = 0;
	gnutls_x509_crt_t crt;
	char name[NAME_MAX_BYTES] = "";
	size_t size = sizeof(name);
	bool ok;

	chain = gnutls_certificate_get_peers(w->session, &count);
	if (!chain || !count || gnutls_x509_crt_init(&crt) < 0)
		return false;
	ok = gnutls_x509_crt_import(crt, &chain[0], GNUTLS_X509_FMT_DER) == 0 &&
	     gnutls_x509_crt_get_dn(crt, name, &size) == 0 && name_allowed(&w->tls->cfg, name);
	gnutls_x509_crt_deinit(crt);
	if (!ok)
		log_limited(&w->tls->refusals, LOG_WARNING, "TLS: a client whose name '%s' is not allowed was refused",
			    name);
	return ok;
}

static bool verify(const struct tls_wire *w)
{
	unsigned char *client = (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT;
	gnutls_typed_vdata_st purpose = { GNUTLS_DT_KEY_PURPOSE_OID, client, 0 };
	gnutls_datum_t text = { 0 };
	unsigned status = 0;

	if (gnutls_certificate_verify_peers(w->session, &purpose, 1, &status) < 0) {
		log_limited(&w->tls->refusals, LOG_WARNING, "TLS: a client without a certificate was refused");
		return false;
	}
	if (!status)
		return check_name(w);
	if (gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0) == 0)
		log_limited(&w->tls->refusals, LOG_WARNING, "TLS: a client was refused: %s", (char *)text.data);
	gnutls_free(text.data);
	return false;
}

/* ---- bytes ---- */

static struct tls_wire *wire_of(struct wire *w)
{
	return container_of(w, struct tls_wire, wire);
}

static int negative_errno(ssize_t code)
{
	return code == GNUTLS_E_AGAIN || code == GNUTLS_E_INTERRUPTED ? -EAGAIN :
	       code == GNUTLS_E_MEMORY_ERROR			      ? -ENOMEM : -ECONNRESET;
}

/* The client waits for a byte of ours, which says that its certificate was accepted. */
static int greet(struct wire *wire, bool *wants_write)
{
	struct tls_wire *w = wire_of(wire);
	ssize_t ret = w->verified ? 0 : gnutls_handshake(w->session);

	while (ret < 0 && !gnutls_error_is_fatal((int)ret) && ret != GNUTLS_E_AGAIN)
		ret = gnutls_handshake(w->session); /* warnings, and signals */
	if (ret == 0 && !w->verified) {
		if (!verify(w)) {
			gnutls_alert_send(w->session, GNUTLS_AL_FATAL, GNUTLS_A_BAD_CERTIFICATE);
			return -EACCES;
		}
		w->verified = true;
	}
	if (ret == 0)
		ret = gnutls_record_send(w->session, "\1", 1);
	if (ret == 1)
		return 0;
	*wants_write = gnutls_record_get_direction(w->session) == 1;
	return negative_errno(ret);
}

static ssize_t tls_recv(struct wire *wire, void *data, size_t len)
{
	ssize_t got = gnutls_record_recv(wire_of(wire)->session, data, len);

	return got == GNUTLS_E_PREMATURE_TERMINATION ? 0 : got < 0 ? negative_errno(got) : got;
}

static ssize_t tls_send(struct wire *wire, const void *data, size_t len)
{
	ssize_t sent = gnutls_record_send(wire_of(wire)->session, data, len);

	return sent < 0 ? negative_errno(sent) : sent;
}

static bool tls_pending(const struct wire *wire)
{
	const struct tls_wire *w = container_of(wire, const struct tls_wire, wire);

	return w->verified && gnutls_record_check_pending(w->session) > 0;
}

static void tls_free(struct wire *wire)
{
	struct tls_wire *w = wire_of(wire);

	if (w->session) {
		if (w->verified)
			gnutls_bye(w->session, GNUTLS_SHUT_WR);
		gnutls_deinit(w->session);
	}
	release(w->credentials);
	free(w);
}

static const struct wire_ops tls_ops = {greet, tls_recv, tls_send, tls_pending, tls_free};

unsigned tls_strength(const struct wire *wire)
{
	const struct tls_wire *w = container_of(wire, const struct tls_wire, wire);

	return (unsigned)gnutls_cipher_get_key_size(gnutls_cipher_get(w->session)) * 8;
}

/* While new files are not good nobody comes in: the old ones may be those of a key that was stolen. */
static int refresh(struct tls *t, struct err *e)
{
	struct stamp now[FILES];
	bool same = true;

	read_stamps(t, now);
	for (int n = 0; n < FILES; n++)
		same &= same_stamp(&now[n], &t->stamp[n]);
	return same ? 0 : load(t, e);
}

int tls_accept(struct tls *t, int fd, struct wire **out, struct err *e)
{
	struct tls_wire *w;
	int ret = refresh(t, e);

	if (ret < 0)
		return ret;
	w = calloc(1, sizeof(*w));
	if (!w)
		return err_set(e, -ENOMEM, "out of memory");
	w->wire.ops = &tls_ops;
	w->tls = t;
	w->credentials = t->credentials;
	w->credentials->users++;
	if (gnutls_init(&w->session, GNUTLS_SERVER | GNUTLS_NONBLOCK) < 0 ||
	    gnutls_set_default_priority(w->session) < 0 ||
	    gnutls_credentials_set(w->session, GNUTLS_CRD_CERTIFICATE, w->credentials->x509) < 0) {
		tls_free(&w->wire);
		return err_set(e, -ENOMEM, "no memory for a TLS session");
	}
	gnutls_certificate_server_set_request(w->session, GNUTLS_CERT_REQUIRE);
	gnutls_transport_set_int(w->session, fd);
	*out = &w->wire;
	return 0;
}
