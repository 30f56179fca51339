/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Errors of engine and daemon in the user's language, by their forms: each is a format as some room gives it to err_set
 * or fault_set (tests/house/texts.py looks that it does), and its translation has the same holes.
 */
#include "base/text.h"

#include "base/compiler.h"
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { HOLES_MAX = 8, DEPTH_MAX = 6, STEPS_MAX = 4000, ERRNO_MAX = 133 };

static const char *const forms[] = {
	/* What stands before the daemon's errors. */
	N_("internal error"), N_("out of memory"), N_("invalid argument"), N_("operation failed"), N_("XML error"),
	N_("Requested operation is not valid"), N_("Operation not supported"), N_("unsupported configuration"),
	N_("Domain not found"), N_("Network not found"), N_("authentication failed"), N_("access denied"),
	N_("operation forbidden"), N_("Timed out during operation"), N_("Guest agent is not responding"),
	N_("this function is not supported by the connection driver"), N_("resource busy"), N_("operation aborted"),
	/* The daemon's. */
	N_("domain is not running"), N_("domain is already running"), N_("domain is not running: it is paused"),
	N_("process exited while starting the machine: %s"), N_("the domain was destroyed while it was being started"),
	N_("another job is active for the domain '%s'"), N_("domain with name '%s' already exists"),
	N_("domain '%s' already exists with uuid %s"), N_("cannot rename active domain"),
	N_("QEMU guest agent is not configured"), N_("QEMU guest agent is not connected"),
	N_("Active console session exists for this domain"), N_("cannot find character device %s"),
	N_("no network with matching name '%s'"), N_("network '%s' is not active and does not start: %.400s"),
	N_("a user's own instance has no rights to networks and bridges: <interface type='user'/> works without, "
	   "and so does qemu:///system"),
	N_("there is no program %s on this host; install it (Debian: %s)"), N_("'%s' is not allowed to this user"),
	N_("read only access prevents %s"), N_("authentication required"), N_("cannot undefine domain with nvram"),
	N_("cannot connect to the console of '%s': %s"),
	/* The engine's command line. */
	N_("unknown option %s; --help lists them"), N_("%s needs a value: %s"), N_("%s takes no value"),
	N_("two kernels given: %s and %s"), N_("two images given: %s and %s"), N_("unknown option \"%.*s\""),
	N_("no kernel given: --kernel FILE, --boot-from-disk for the one on the disk, or --board pc to boot a disk by "
	   "its own loader"),
	N_("--boot-from-disk: no disk given"), N_("\"%s\" is not a number"), N_("\"%s\" is neither on nor off"),
	N_("\"%s\" is not a size; write it like 512M or 2G"), N_("%s is too large a size"),
	N_("%s is not possible; from 2M to 1T in steps of 4K is"), N_("%llu vCPUs are not possible; 1 to %d are"),
	N_("\"%s\" is unknown; the boards are micro and pc"), N_("option \"%s\" is given twice"),
	N_("bus=%s is unknown; virtio, sata, ide, scsi, usb, nvme and floppy are possible"),
	N_("%s: SATA, IDE, SCSI, NVMe and floppy drives need --board pc"),
	N_("--video: graphics cards need --board pc"),
	N_("model=%s is unknown; virtio, e1000, e1000e, rtl8139 are possible"),
	N_("network \"%s\" is unknown; one of %s, %s, %s is possible"),
	N_("forward \"%s\" is not of the form tcp|udp:[HOSTADDR:]HOSTPORT:GUESTPORT, e.g. tcp:2222:22"),
	N_("--accel %s: unknown; give kvm, soft or auto"),
	/* Images, kernels, what the host lacks. */
	N_("cannot open %s"), N_("cannot open %s %s"), N_("cannot read %s"), N_("cannot write %s"),
	N_("cannot start %s"),
	N_("cannot make the directory %s"), N_("cannot listen on %s"), N_("%s is not a regular file"),
	N_("image %s does not exist; create it (truncate -s 10G %s) or correct the path"),
	N_("image %s may not be opened for %s by this user; change its owner or mode%s"), N_("reading"), N_("writing"),
	N_(", or open it read-only"), N_("image %s is on a read-only file system; open it read-only"),
	N_("image %s is a directory; name a file or a block device"),
	N_("image %s is neither a file nor a block device"), N_("image %s cannot be opened"),
	N_("image %s is in use by another machine; stop that one%s"), N_(", or open the image read-only in both"),
	N_("image %s is in use by a machine or another command; stop that one"), N_("image %s cannot be created"),
	N_("image %s: there is no format %s; choose raw or qcow2"), N_("there is no format %s; choose raw or qcow2"),
	N_("the format must be named, it is never guessed: raw or qcow2"),
	N_("%s exists already; remove it, or name another file"),
	N_("image %s is not a qcow2 image; name its true format"),
	N_("the size must be a multiple of 512 bytes"),
	N_("the image would become shorter and lose what is behind the new end; say so (--shrink)"),
	N_("a backing file and its format are named together"), N_("a raw image has no backing file; use qcow2"),
	N_("%s is not a kernel that can be booted directly (Linux bzImage, ELF, PVH or Multiboot 1); a disk boots with "
	   "--board pc"),
	N_("%s %s is a directory; name the file itself"), N_("%s %s is empty"),
	N_("kernel %s needs %llu MiB of memory to unpack; give the machine more with --memory"),
	N_("the initrd of %llu MiB does not fit beside the kernel; give the machine at least %llu MiB with --memory"),
	N_("cannot map %llu MiB of guest memory; give the machine less with --memory"),
	N_("%s is not installed; install the package %s, or give the path of an image"),
	N_("/dev/kvm does not exist: load the module (modprobe kvm_intel or kvm_amd), switch virtualization on in the "
	   "firmware setup, or give this virtual machine nested virtualization; else use --accel soft"),
	N_("no permission to open /dev/kvm: have the administrator add you to its group (usermod -aG kvm USER, then "
	   "log in again); else use --accel soft"),
	N_("there is no tap interface %s; create it first: ip tuntap add dev %s mode tap user $USER"),
	N_("user networking: %s"),
};

/* ---- forms ---- */

/* What stands in a hole. */
struct part {
	const char *at;
	size_t len;
};

/* The end of the conversion that begins at '%'; *number is N of %N$s, else 0. */
static const char *conversion_end(const char *p, unsigned *number)
{
	unsigned n = 0;

	*number = 0;
	for (p++; *p && strchr("0123456789.*$#-+ hlz", *p); p++) {
		if (*p == '$')
			*number = n;
		n = *p >= '0' && *p <= '9' ? n * 10 + (unsigned)(*p - '0') : 0;
	}
	return *p ? p + 1 : p;
}

/* Shortest parts first; `steps` bounds what a strange text costs. */
static bool match(const char *form, const char *text, struct part *parts, unsigned count, unsigned *steps)
{
	unsigned number;

	for (; *form && *form != '%'; form++, text++)
		if (*form != *text)
			return false;
	if (!*form)
		return !*text;
	if (count == HOLES_MAX)
		return false;
	form = conversion_end(form, &number);
	for (size_t len = 0; *steps > 0; len++) {
		--*steps;
		parts[count] = (struct part){ text, len };
		if (match(form, text + len, parts, count + 1, steps))
			return true;
		if (!text[len])
			break;
	}
	return false;
}

/* ---- texts ---- */

struct told {
	char text[ERR_TEXT_MAX];
	size_t len;
};

static void add(struct told *out, const char *text, size_t len)
{
	size_t room = sizeof(out->text) - 1 - out->len;

	len = len < room ? len : room;
	memcpy(out->text + out->len, text, len);
	out->len += len;
	out->text[out->len] = 0;
}

static bool tell(struct told *out, const char *text, size_t len, unsigned depth);

static void fill(struct told *out, const char *form, const struct part *parts, unsigned depth)
{
	unsigned number, next = 0;

	while (*form) {
		size_t plain = strcspn(form, "%");

		add(out, form, plain);
		form += plain;
		if (!*form)
			break;
		form = conversion_end(form, &number);
		number = number ? number - 1 : next++;
		if (number < HOLES_MAX && parts[number].at)
			(void)tell(out, parts[number].at, parts[number].len, depth);
	}
}

static bool tell_form(struct told *out, const char *text, unsigned depth)
{
	for (unsigned n = 0; n < COUNT_OF(forms); n++) {
		struct part parts[HOLES_MAX] = { 0 };
		unsigned steps = STEPS_MAX;

		if (match(forms[n], text, parts, 0, &steps)) {
			fill(out, _(forms[n]), parts, depth);
			return true;
		}
	}
	return false;
}

static bool tell_system(struct told *out, const char *text)
{
	for (int n = 1; n <= ERRNO_MAX; n++) {
		const char *known = strerrordesc_np(n);

		if (known && !strcmp(known, text)) {
			const char *own = strerror(n);

			add(out, own, strlen(own));
			return true;
		}
	}
	return false;
}

/* The text, as far as it is known in the user's language. True: some of it is. */
static bool tell(struct told *out, const char *from, size_t len, unsigned depth)
{
	char text[ERR_TEXT_MAX];
	struct told rest = { 0 };

	snprintf(text, sizeof(text), "%.*s", (int)len, from);
	if (depth == 0 || !*text) {
		add(out, from, len);
		return false;
	}
	if (tell_form(out, text, depth - 1) || tell_system(out, text))
		return true;
	for (char *colon = strstr(text, ": "); colon; colon = strstr(colon + 1, ": ")) {
		struct told begin = { 0 };
		bool known;

		*colon = 0;
		known = tell_form(&begin, text, depth - 1);
		*colon = ':';
		rest.len = 0;
		if (!tell(&rest, colon + 2, strlen(colon + 2), depth - 1) && !known)
			continue;
		if (!known)
			add(&begin, text, colon - text);
		add(out, begin.text, begin.len);
		add(out, ": ", 2);
		add(out, rest.text, rest.len);
		return true;
	}
	add(out, from, len);
	return false;
}

void text_told(const char *text, char *out, size_t size)
{
	struct told told = { 0 };

	(void)tell(&told, text, strlen(text), DEPTH_MAX);
	snprintf(out, size, "%s", told.text);
}
