/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "card.h"

#include "base/bytes.h"
#include "devices/net/frame.h"

#include <stdlib.h>
#include <string.h>

static void must(bool good)
{
	if (!good)
		abort();
}

static void net_close_(struct net *n)
{
}

static bool net_send_(struct net *n, const struct iovec *iov, unsigned count)
{
	struct card *c = container_of(n, struct card, net);
	size_t len = 0;
	if (c->blocked)
		return false;
	for (unsigned i = 0; i < count && c->sent < CARD_SENT; i++) {
		size_t part = iov[i].iov_len < CARD_FRAME - len ? iov[i].iov_len : CARD_FRAME - len;
		memcpy(c->frame[c->sent] + len, iov[i].iov_base, part);
		len += part;
	}
	if (c->sent < CARD_SENT)
		c->len[c->sent] = len;
	c->sent++;
	return true;
}

static void net_ready_(struct net *n)
{
	container_of(n, struct card, net)->ready++;
}

static const struct net_ops net_ops = {.name = "test", .close = net_close_, .send = net_send_, .rx_ready = net_ready_};

static void message(void *opaque, uint64_t addr, uint32_t data)
{
	struct card *c = opaque;
	c->messages++;
	c->last_data = data;
}

void card_up(struct card *c)
{
	struct pci_host_config hc = {.msi = {.send = message, .opaque = c}};
	memset(c, 0, sizeof(*c));
	rig_up(&c->rig, 0);
	must(gmem_add_ram(c->rig.vm->mem, 0, CARD_RAM, "ram", false, NULL) == 0);
	for (unsigned n = 0; n < 4; n++)
		hc.intx[n] = rig_wire(&c->line[n]);
	must(pci_host_create(c->rig.vm, &hc, &c->bus, NULL) == 0);
	c->net = (struct net){.ops = &net_ops, .loop = c->rig.loop};
}

struct nic_config card_config(struct card *c)
{
	return (struct nic_config){.bus = c->bus, .slot = CARD_SLOT, .net = &c->net, .timers = c->rig.timers,
				   .mac = {0x52, 0x54, 0, 0x12, 0x34, 0x56}};
}

uint32_t card_pci(struct card *c, unsigned off)
{
	rig_out(&c->rig, 0xcf8, 4, 0x80000000 | CARD_SLOT << 11 | (off & ~3u));
	return (uint32_t)rig_in(&c->rig, 0xcfc, 4);
}

void card_pci_write(struct card *c, unsigned off, unsigned width, uint32_t v)
{
	rig_out(&c->rig, 0xcf8, 4, 0x80000000 | CARD_SLOT << 11 | (off & ~3u));
	rig_out(&c->rig, (uint16_t)(0xcfc + (off & 3)), width, v);
}

void card_place(struct card *c, const uint32_t bar[6])
{
	for (unsigned n = 0; n < 6; n++)
		if (bar[n])
			card_pci_write(c, 0x10 + 4 * n, 4, bar[n]);
	card_pci_write(c, 4, 2, 7);
	list_each(it, &c->rig.vm->devs) {
		struct dev *d = list_entry(it, struct dev, node);
		if (d->type->run_state)
			d->type->run_state(d->impl, true);
	}
	card_run(c);
}

void card_down(struct card *c)
{
	rig_down(&c->rig);
}

void card_run(struct card *c)
{
	for (unsigned n = 0; n < 3; n++)
		loop_once(c->rig.loop, 1);
}

bool card_give(struct card *c, const uint8_t *frame, size_t len)
{
	struct iovec iov = {(void *)(uintptr_t)frame, len};
	return c->net.client->recv(c->net.client->opaque, &iov, 1);
}

void card_put(struct card *c, uint64_t gpa, const void *bytes, size_t len)
{
	must(gmem_write(c->rig.vm->mem, gpa, bytes, len) == 0);
}

uint8_t *card_at(struct card *c, uint64_t gpa) { return gmem_at(c->rig.vm->mem, gpa, 1); }

size_t card_frame(uint8_t *f, const uint8_t to[6], bool udp, size_t payload)
{
	size_t l4 = udp ? 8 : 20, len = 34 + l4 + payload;
	memset(f, 0, 34 + l4);
	memcpy(f, to, 6);
	memcpy(f + 6, (const uint8_t[]){2, 0, 0, 0, 0, 1}, 6);
	store_be16(f + 12, 0x0800);
	f[14] = 0x45;
	store_be16(f + 16, (uint16_t)(len - 14));
	store_be16(f + 18, 0x1234);
	f[22] = 64;
	f[23] = udp ? 17 : 6;
	store_be32(f + 26, 0x0a000202);
	store_be32(f + 30, 0x0a00020f);
	frame_put_sum(f, len, 14, 24, 34, false);
	store_be16(f + 34, 1000);
	store_be16(f + 36, 2000);
	if (udp)
		store_be16(f + 38, (uint16_t)(l4 + payload));
	else
		f[46] = 0x50;
	for (size_t n = 0; n < payload; n++)
		f[34 + l4 + n] = (uint8_t)n;
	/* the pseudo header, then the whole */
	store_be16(f + (udp ? 40 : 50), frame_sum(f + 26, 8, (uint32_t)(f[23] + l4 + payload)));
	frame_put_sum(f, len, 34, udp ? 40 : 50, 0, udp);
	return len;
}
