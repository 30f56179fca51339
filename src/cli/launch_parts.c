/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The pieces that a launched machine is made of: document, seed, port. */
#include "cli/launch.h"

#include "base/buf.h"
#include "cli/address.h"
#include "cli/say.h"
#include "cli/seed.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DOCUMENT_MAX = 64 << 10, FIRST_PORT = 2222, LAST_PORT = 2999 };

/* ---- document ---- */

/* Text as XML has it. */
static void put_text(struct buf *b, bool *failed, const char *text)
{
	for (; *text; text++) {
		const char *as = *text == '&' ? "&amp;" : *text == '<' ? "&lt;" : *text == '\'' ? "&apos;" : NULL;

		*failed |= as ? buf_printf(b, "%s", as) < 0 : buf_append(b, text, 1) < 0;
	}
}

static void put_path(struct buf *b, bool *failed, const char *before, const struct path *dir, const char *name,
		     const char *after)
{
	*failed |= buf_printf(b, "%s", before) < 0;
	put_text(b, failed, dir->s);
	*failed |= buf_printf(b, "/%s%s", name, after) < 0;
}

static void put_network(struct buf *b, bool *failed, const struct launch *l)
{
	if (l->network) {
		*failed |= buf_printf(b, "    <interface type='network'><source network='") < 0;
		put_text(b, failed, l->network);
		*failed |= buf_printf(b, "'/><model type='virtio'/></interface>\n") < 0;
		return;
	}
	*failed |= buf_printf(b, "    <interface type='user'><model type='virtio'/><backend type='passt'/>"
			      "<portForward proto='tcp'><range start='%u' to='22'/></portForward></interface>\n",
			      l->ssh_port) < 0;
}

static void put_devices(struct buf *b, bool *failed, const struct launch *l)
{
	*failed |= buf_printf(b, "  <devices>\n") < 0;
	put_path(b, failed, "    <disk type='file' device='disk'><driver name='qemu' type='qcow2' discard='unmap'/>"
		 "<source file='", &l->dir, "disk.qcow2", "'/><target dev='vda' bus='virtio'/></disk>\n");
	put_path(b, failed, "    <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='",
		 &l->dir, "seed.img", "'/><target dev='vdb' bus='virtio'/><readonly/></disk>\n");
	put_network(b, failed, l);
	*failed |= buf_printf(b, "    <serial type='pty'><target port='0'/></serial><console type='pty'/>\n"
			      "    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>\n"
			      "    <memballoon model='virtio'/>\n  </devices>\n</domain>\n") < 0;
}

char *launch_document(const struct launch *l)
{
	bool failed = false;
	struct buf b;

	buf_init(&b, DOCUMENT_MAX);
	failed |= buf_printf(&b, "<domain type='kvm'>\n  <name>%s</name>\n  <memory unit='KiB'>%llu</memory>\n"
			     "  <vcpu>%u</vcpu>\n  <os><type arch='x86_64' machine='q35'>hvm</type>", l->name,
			     (unsigned long long)l->memory / 1024, l->cpus) < 0;
	put_path(&b, &failed, "<kernel>", &l->image, "vmlinuz", "</kernel>");
	put_path(&b, &failed, "<initrd>", &l->image, "initrd.img", "</initrd>");
	failed |= buf_printf(&b, "<cmdline>root=/dev/vda rw console=ttyS0 quiet</cmdline></os>\n"
			     "  <features><acpi/><apic/></features>\n") < 0;
	put_devices(&b, &failed, l);
	failed |= buf_append(&b, "", 1) < 0;
	if (failed)
		buf_free(&b);
	return failed ? NULL : (char *)b.data;
}

int launch_define(struct conn *c, const char *xml, struct err *e)
{
	return document_call(c, "DOMAIN_DEFINE_XML_FLAGS", xml, e);
}

/* ---- seed ---- */

int launch_seed(const struct launch *l, struct err *e)
{
	char id[37], path[PATH_MAX + 16], *keys = seed_keys(e);
	struct seed s = { .hostname = l->name, .user = l->user, .authorized_keys = keys, .instance_id = id };
	int ret;

	if (!keys)
		return -EIO;
	launch_instance_id(id);
	snprintf(path, sizeof(path), "%s/seed.img", l->dir.s);
	ret = seed_write(path, &s, e);
	free(keys);
	snprintf(path, sizeof(path), "%s/user", l->dir.s);
	return ret < 0 ? ret : home_write(path, l->user, e);
}

char *launch_user(const char *name, struct err *e)
{
	struct path p = home_path("machines/%s/user", name);
	char *user = home_read(p.s, NULL);

	if (!user)
		err_set(e, -ENOENT, _("panal launch did not make %s, so its users are not known; ssh to the address "
			"that panal ls shows"), name);
	return user;
}

void launch_instance_id(char out[37])
{
	uint64_t r[2] = { 0 };

	if (getrandom(r, sizeof(r), 0) != sizeof(r))
		r[0] = (uint64_t)getpid();
	snprintf(out, 37, "%016llx%016llx", (unsigned long long)r[0], (unsigned long long)r[1]);
}

/* ---- port ---- */

/* A TCP port of this host that nobody uses now, from `first` (0: the first of all) on; 0: none. */
static unsigned free_port(unsigned first)
{
	for (unsigned port = first ? first : FIRST_PORT; port <= LAST_PORT; port++) {
		struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(port),
			.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		bool is_free = fd >= 0 && bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0;

		if (fd >= 0)
			close(fd);
		if (is_free)
			return port;
	}
	return 0;
}

int launch_pick_port(struct launch *l, struct conn *c, struct err *e)
{
	struct machines all;
	int ret = machines_get(c, &all, e);
	bool again = true;

	if (ret < 0)
		return ret;
	for (l->ssh_port = free_port(0); l->ssh_port && again;) {
		again = false;
		for (unsigned n = 0; n < all.n && !again; n++)
			again = address_forwarded(c, &all.v[n]) == l->ssh_port;
		if (again)
			l->ssh_port = free_port(l->ssh_port + 1);
	}
	machines_free(&all);
	if (l->ssh_port)
		return 0;
	return err_set(e, -EADDRINUSE, _("no port of this host is free for ssh; name one with --port"));
}
