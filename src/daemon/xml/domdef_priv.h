/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the files of the domain document. */
#ifndef PANAL_DAEMON_XML_DOMDEF_PRIV_H
#define PANAL_DAEMON_XML_DOMDEF_PRIV_H

#include "base/buf.h"
#include "daemon/xml/domdef.h"

/* Whether the kind is a struct domdef_chr. */
bool domdef_chr_kind(const struct domdef_kind *k);
/* Takes away what only a running machine has. */
void domdef_strip_device(const struct domdef_kind *k, struct domdev *dev);

/* How a machine type of the document is built. One list, for start, addresses and capabilities. */
enum domdef_pci {
	DOMDEF_PCI_BOARD,   /* bus 0 and nothing on it but what the board has */
	DOMDEF_PCI_EXPRESS, /* the same, and root ports for what the board does not have */
	DOMDEF_PCI_FLAT,    /* bus 0 for all */
};
struct domdef_machine {
	const char *name;  /* as clients write it; with a '*' at its end: what begins so */
	const char *board; /* panal-vmm --board for a machine with firmware; NULL: it boots a kernel only */
	enum domdef_pci pci;
	const char *note;  /* what differs from what the name says; NULL: nothing */
};
extern const struct domdef_machine domdef_machines[];
/* NULL: unknown. */
const struct domdef_machine *domdef_machine_find(const char *name);

enum { DOMDEF_VCPU_MAX = 64 };
#define DOMDEF_MEMORY_MIN_KIB UINT64_C(2048)
#define DOMDEF_MEMORY_MAX_KIB (UINT64_C(1) << 30)

/* Slots of bus 0 that a board gives to its devices. */
enum { DOMDEF_SLOT_FIRST = 1, DOMDEF_SLOT_LAST = 24 };
/* Whether the board has such a device, on PCI. */
bool domdef_board_device(const struct domdef *d, const struct domdef_kind *k, const struct domdev *dev);
/* Gives every device its place on its bus. */
int domdef_assign_addresses(struct domdef *d, struct err *e) ATTR_MUST_USE;
/* Says what has no effect (domdef_left.c). */
typedef void (*domdef_note_fn)(void *opaque, const char *text);
void domdef_left(const struct domdef *d, domdef_note_fn note, void *opaque);
/* The number of a disk's target: vda is 0, vdab is 27; -1: no such name. */
int domdef_target_index(const char *target);

#endif
