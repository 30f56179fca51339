/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Domain documents: read, filled in, written, read again. */
#include "daemon/xml/domdef.h"

#include <errno.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MINIMAL(inner, devices)                                                                                    \
	"<domain type='kvm'><name>m</name><memory>65536</memory>" inner                                            \
	"<os><type machine='panal-micro'>hvm</type><kernel>/k</kernel></os><devices>" devices "</devices></domain>"

static struct domdef *parse(const char *xml, unsigned flags)
{
	struct err e = { 0 };
	struct domdef *d;
	int ret = domdef_parse(&d, xml, strlen(xml), flags, &e);

	if (ret < 0)
		print_error("%s\n", e.text);
	assert_int_equal(ret, 0);
	return d;
}

static void fails(const char *xml, unsigned flags, int code, const char *says)
{
	struct err e = { 0 };
	struct domdef *d;

	assert_int_equal(domdef_parse(&d, xml, strlen(xml), flags, &e), code);
	assert_null(d);
	if (!strstr(e.text, says))
		print_error("\"%s\" does not say \"%s\"\n", e.text, says);
	assert_non_null(strstr(e.text, says));
}

static char *format(const struct domdef *d, unsigned flags)
{
	char *text = domdef_format(d, flags);

	assert_non_null(text);
	return text;
}

static void has(const char *text, const char *part)
{
	if (!strstr(text, part))
		print_error("%s\nhas no %s\n", text, part);
	assert_non_null(strstr(text, part));
}

static void has_not(const char *text, const char *part)
{
	if (strstr(text, part))
		print_error("%s\nhas %s\n", text, part);
	assert_null(strstr(text, part));
}

/* ---- loops ---- */

static void round_trip(const char *path)
{
	FILE *f = fopen(path, "rb");
	char *text = calloc(1, 1 << 16), *once, *twice;
	struct domdef *d;

	assert_non_null(f);
	assert_true(fread(text, 1, (1 << 16) - 1, f) > 0);
	fclose(f);
	d = parse(text, 0);
	once = format(d, 0);
	domdef_free(d);
	d = parse(once, DOMDEF_PARSE_VALIDATE);
	twice = format(d, 0);
	if (strcmp(once, twice))
		print_error("%s\n%s\n%s\n", path, once, twice);
	assert_string_equal(once, twice);
	domdef_free(d);
	free(once);
	free(twice);
	free(text);
}

static void samples_survive_the_loop(void **state)
{
	glob_t g;

	assert_int_equal(glob(SAMPLES "/*.xml", 0, NULL, &g), 0);
	for (size_t n = 0; n < g.gl_pathc; n++)
		if (!strchr(strrchr(g.gl_pathv[n], '/'), '-')) /* KIND-NAME.xml are other documents */
			round_trip(g.gl_pathv[n]);
	globfree(&g);
}

static void unknown_parts_are_kept(void **state)
{
	struct domdef *d = parse(MINIMAL("<x:new xmlns:x='urn:x' b='&amp;1'><x:in>t&lt;\nu</x:in></x:new>",
	                                 "<disk type='file' colour='red'><source file='/a' weight='1'><peel/></source>"
	                                 "<target dev='vda'/><label a='1'/></disk>"), 0);
	char *text = format(d, 0), *again;

	has(text, "colour='red'");
	has(text, "<source file='/a' weight='1'>\n        <peel/>\n      </source>");
	has(text, "<label a='1'/>");
	has(text, "<x:new xmlns:x='urn:x' b='&amp;1'>\n    <x:in>t&lt;&#10;u</x:in>\n  </x:new>");
	domdef_free(d);
	d = parse(text, 0);
	again = format(d, 0);
	assert_string_equal(text, again);
	domdef_free(d);
	free(text);
	free(again);
}

static void validation_names_the_unknown(void **state)
{
	fails(MINIMAL("<colour/>", ""), DOMDEF_PARSE_VALIDATE, -EPROTO, "'colour'");
	fails(MINIMAL("", "<disk a='1'><source file='/a'/><target dev='vda'/></disk>"), DOMDEF_PARSE_VALIDATE, -EPROTO,
	      "'a'");
}

/* ---- filling in ---- */

static void defaults_are_filled_in(void **state)
{
	struct domdef *d = parse(MINIMAL("<vcpu>2</vcpu>", "<disk><source file='/a'/><target dev='vdb'/></disk>"
	                                 "<interface type='user'/><serial type='pty'/><video/>"), 0);
	char *text = format(d, 0);

	assert_true(d->uuid.set);
	assert_string_equal(d->videos.v[0]->model, "vga");
	assert_int_equal(d->current_memory.v, 65536);
	assert_int_equal(d->disks.v[0]->bus, DOM_BUS_VIRTIO);
	assert_int_equal(d->consoles.n, 1);
	assert_int_equal(strncmp(d->interfaces.v[0]->mac, "52:54:00:", 9), 0);
	has(text, "<vcpu placement='static'>2</vcpu>");
	has(text, "<driver name='qemu' type='raw'/>");
	has(text, "<address type='pci' domain='0x0000' bus='0x00' slot='0x02' function='0x0'/>");
	has(text, "<memory unit='KiB'>65536</memory>");
	has(text, "<on_crash>destroy</on_crash>");
	domdef_free(d);
	free(text);
}

static void places_follow_the_board(void **state)
{
	struct domdef *d =
		parse("<domain type='kvm'><name>q</name><memory unit='GiB'>1</memory><os><type machine='q35'>"
		      "hvm</type></os><devices><disk><source file='/a'/><target dev='vda'/></disk>"
		      "<disk device='cdrom'><target dev='sda'/></disk><controller type='usb' model='qemu-xhci'/>"
		      "<controller type='pci' model='pcie-root'/>"
		      "<controller type='pci' model='pcie-root-port'/></devices></domain>",
		      0);
	const struct domdef_address *a = &d->disks.v[0]->dev.address;
	char *text = format(d, 0);

	assert_int_equal(a->bus.v, 1); /* each device is behind a root port of its own */
	assert_int_equal(a->slot.v, 0);
	assert_int_equal(d->memballoons.v[0]->dev.address.bus.v, 2);
	assert_int_equal(d->memory.v, 1 << 20);
	assert_int_equal(d->controllers.v[0]->dev.address.bus.v, 0); /* but those that the board has on bus 0 */
	assert_int_equal(d->controllers.v[0]->dev.address.slot.v, 3);
	assert_int_equal(domdef_ports(d), 8);
	has(text, "<target chassis='1' port='0xe0'/>");
	has(text, "slot='0x1c' function='0x0' multifunction='on'/>");
	has(text, "<address type='pci' domain='0x0000' bus='0x00' slot='0x1f' function='0x2'/>");
	has(text, "<address type='drive' controller='0' bus='0' target='0' unit='0'/>");
	domdef_free(d);
	free(text);
}

/* So many devices that there are not ports for all: the rest is on bus 0, where the board has room. */
static void ports_come_to_an_end(void **state)
{
	char xml[8192] = "", *text;
	size_t len = 0;
	struct domdef *d;

	for (unsigned n = 0; n < 20; n++)
		len += (size_t)snprintf(xml + len, sizeof(xml) - len,
					"<interface type='user'><mac address='52:54:00:00:00:%02x'/></interface>", n);
	len = (size_t)asprintf(&text, "<domain type='kvm'><name>q</name><memory>65536</memory><os><type machine='q35'>"
				      "hvm</type></os><devices>%s</devices></domain>", xml);
	assert_true(len < 8192);
	d = parse(text, 0);
	free(text);
	assert_int_equal(domdef_ports(d), DOMDEF_PORTS_MAX);
	assert_int_equal(d->interfaces.v[15]->dev.address.bus.v, 16);
	assert_int_equal(d->interfaces.v[16]->dev.address.bus.v, 0);
	assert_int_equal(d->interfaces.v[16]->dev.address.slot.v, 3);
	text = format(d, 0);
	has(text, "<target chassis='9' port='0xd8'/>"); /* the ninth is a slot below the first */
	free(text);
	domdef_free(d);
}

static void given_places_stay(void **state)
{
	struct domdef *d =
		parse(MINIMAL("", "<interface type='user'><address type='pci' bus='0x00' slot='0x05' "
				  "function='0x0'/></interface><disk><source file='/a'/><target dev='vda'/></disk>"),
		      0);

	assert_int_equal(d->interfaces.v[0]->dev.address.slot.v, 5);
	assert_int_equal(d->disks.v[0]->dev.address.slot.v, 1);
	domdef_free(d);
	fails(MINIMAL("", "<interface type='user'><address type='pci' slot='5'/></interface>"
	              "<interface type='user'><address type='pci' slot='5'/></interface>"),
	      0, -EBADMSG, "double use of PCI Address 0000:00:05.0");
	fails(MINIMAL("", "<interface type='user'><address type='pci' slot='0x20'/></interface>"), 0, -EBADMSG,
	      "Invalid PCI");
}

static void drives_have_one_place_each(void **state)
{
	fails(MINIMAL("", "<disk device='cdrom'><target dev='sda'/></disk><disk device='cdrom'><target dev='sdb'/>"
	              "<address type='drive' unit='0'/></disk>"), 0, -EBADMSG, "same drive address");
	fails(MINIMAL("", "<disk device='cdrom'><target dev='sda'/><address type='drive' unit='6'/></disk>"), 0,
	      -EBADMSG, "impossible address");
}

static void aliases_are_for_running_machines(void **state)
{
	struct domdef *d = parse(MINIMAL("", "<interface type='user'/><interface type='user'><alias name='ua-mine'/>"
	                                 "</interface><serial type='pty'/>"), 0);
	char *text;

	assert_int_equal(domdef_assign_aliases(d), 0);
	assert_string_equal(d->interfaces.v[0]->dev.alias, "net0");
	assert_string_equal(d->interfaces.v[1]->dev.alias, "ua-mine");
	assert_string_equal(d->consoles.v[0]->dev.alias, "serial0");
	d->id = xnum(3);
	text = format(d, 0);
	has(text, "<domain type='kvm' id='3'>");
	has(text, "net0");
	free(text);
	text = format(d, DOMDEF_FORMAT_INACTIVE);
	has_not(text, "net0");
	has_not(text, "id='3'");
	has(text, "ua-mine");
	free(text);
	domdef_free(d);
}

static void secrets_need_the_flag(void **state)
{
	struct domdef *d = parse(MINIMAL("", "<graphics type='vnc' passwd='hush'/>"), 0);
	char *text = format(d, 0);

	has_not(text, "hush");
	free(text);
	text = format(d, DOMDEF_FORMAT_SECURE);
	has(text, "passwd='hush'");
	free(text);
	domdef_free(d);
}

/* ---- errors ---- */

static void errors_name_the_cause(void **state)
{
	fails("<domain", 0, -EILSEQ, "(domain_definition):1:");
	fails("", 0, -EILSEQ, "(domain_definition)");
	fails("<network/>", 0, -EBADMSG, "unexpected root element <network>, expecting <domain>");
	fails("<domain type='kvm'/>", 0, -EBADMSG, "name");
	fails("<domain type='vax'/>", 0, -EBADMSG, "Invalid value for attribute 'type' in element 'domain': 'vax'");
	fails("<!DOCTYPE d [<!ENTITY a 'b'>]><domain type='kvm'><name>&a;</name></domain>", 0, -EILSEQ, "");
	fails(MINIMAL("<vcpu>two</vcpu>", ""), 0, -EBADMSG, "'two'");
	fails(MINIMAL("<name>n</name>", ""), 0, -EBADMSG, "'name' is given twice");
	fails(MINIMAL("<vcpu current='3'>2</vcpu>", ""), 0, -EBADMSG, "(2 < 3)");
	fails(MINIMAL("",
		      "<disk><source file='/a'/><target dev='vda'/></disk><disk><source file='/b'/><target dev='vda'/>"
		      "</disk>"),
	      0, -EBADMSG, "target 'vda' duplicated for disk sources");
	fails(MINIMAL("", "<interface type='network'/>"), 0, -EBADMSG, "'network' attribute");
	fails("<domain type='kvm' "
	      "xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'><name>a</name><memory>65536</memory>"
	      "<os><type>hvm</type></os><q:commandline/></domain>",
	      0, -ENOTSUP, "commandline");
	assert_int_equal(domdef_fault(-EBADMSG), 27);
	assert_int_equal(domdef_fault(-ENOTSUP), 67);
}

/* ---- metadata ---- */

static void metadata_is_set_by_namespace(void **state)
{
	struct domdef *d = parse(MINIMAL("<metadata><a:x xmlns:a='urn:a'>\n <a:y/> </a:x></metadata>", ""), 0);
	struct err e = { 0 };
	char *text = format(d, 0);

	has(text, "    <a:x xmlns:a=\"urn:a\">\n <a:y/> </a:x>\n");
	free(text);
	assert_null(domdef_metadata(d, "urn:b"));
	assert_int_equal(domdef_metadata_set(d, "b", "urn:b", "<z w='1'/>", &e), 0);
	has(domdef_metadata(d, "urn:b"), "<b:z xmlns:b=\"urn:b\" w=\"1\"/>");
	assert_int_equal(domdef_metadata_set(d, NULL, "urn:a", NULL, &e), 0);
	assert_null(domdef_metadata(d, "urn:a"));
	assert_int_equal(d->metadata.n, 1);
	assert_int_equal(domdef_metadata_set(d, "b", "urn:b", "<z", &e), -EILSEQ);
	domdef_free(d);
}

/* ---- devices ---- */

static struct domdef_device device(const char *xml)
{
	struct domdef_device dev;
	struct err e = { 0 };

	assert_int_equal(domdef_device_parse(&dev, xml, strlen(xml), 0, &e), 0);
	return dev;
}

static void devices_come_and_go(void **state)
{
	struct domdef *d = parse(MINIMAL("", "<disk><source file='/a'/><target dev='vda'/></disk>"), 0);
	struct domdef_device dev =
		device("<disk type='file'><source file='/b'/><target dev='vdb' bus='virtio'/></disk>");
	struct err e = { 0 };

	assert_int_equal(domdef_device_attach(d, &dev, &e), 0);
	assert_int_equal(d->disks.n, 2);
	assert_int_equal(d->disks.v[1]->dev.address.slot.v, 3); /* the balloon has 2 */
	dev = device("<disk><source file='/c'/><target dev='vda'/></disk>");
	assert_int_equal(domdef_device_attach(d, &dev, &e), -EEXIST);
	has(e.text, "vda already exists");
	assert_int_equal(domdef_device_detach(d, &dev, &e), 0);
	assert_int_equal(d->disks.n, 1);
	assert_int_equal(domdef_device_detach(d, &dev, &e), -ENODEV);
	domdef_device_free(&dev);
	dev = device("<interface type='network'/>");
	assert_int_equal(domdef_device_attach(d, &dev, &e), -EBADMSG);
	assert_non_null(dev.dev);
	assert_int_equal(d->interfaces.n, 0);
	domdef_device_free(&dev);
	domdef_free(d);
}

static void live_updates_are_limited(void **state)
{
	struct domdef *d =
		parse(MINIMAL("", "<interface type='user'><mac address='52:54:00:00:00:01'/></interface>"), 0);
	struct domdef_device dev = device("<interface type='user'><mac address='52:54:00:00:00:01'/>"
	                                  "<link state='down'/></interface>");
	struct err e = { 0 };

	assert_int_equal(domdef_device_update(d, &dev, true, &e), 0);
	assert_string_equal(d->interfaces.v[0]->link, "down");
	dev = device("<interface type='user'><mac address='52:54:00:00:00:01'/><mtu size='9000'/></interface>");
	assert_int_equal(domdef_device_update(d, &dev, true, &e), -ENOTSUP);
	assert_int_equal(domdef_device_update(d, &dev, false, &e), 0);
	assert_int_equal(d->interfaces.v[0]->mtu.v, 9000);
	domdef_free(d);
}

/* ---- arguments ---- */

static void arguments_follow(void **state)
{
	struct domdef *d = parse(MINIMAL("<vcpu>4</vcpu><cpu><topology sockets='1' cores='2' threads='2'/></cpu>",
	                                 "<disk><source file='/a,b'/><target dev='vda'/><readonly/></disk>"
	                                 "<memballoon model='none'/>"), 0);
	struct domdef_place place = { 0 };
	struct domdef_args args;
	struct err e = { 0 };
	char all[1024] = "";

	assert_int_equal(domdef_vmm_args(&args, d, &place, &e), 0);
	for (unsigned n = 0; n < args.argc; n++)
		strcat(strcat(all, args.argv[n]), " ");
	assert_null(args.argv[args.argc]);
	assert_string_equal(all, "--board=micro --kernel=/k --memory=65536K --cpus=4,sockets=1,cores=2,threads=2 "
	                    "--accel=auto --disk=/a,,b,format=raw,readonly,id=vda --serial=none --pci-slots=1 "
	                    "--root-ports=8 ");
	domdef_args_free(&args);
	domdef_free(d);
}

static char *arguments(const char *xml, struct domdef_args *args)
{
	struct domdef *d = parse(xml, 0);
	struct domdef_place place = { .nvram = "/n", .serial = "unix:/s" };
	char *all = calloc(1, 4096);
	struct err e = { 0 };

	assert_non_null(all);
	assert_int_equal(domdef_vmm_args(args, d, &place, &e), 0);
	for (unsigned n = 0; n < args->argc; n++)
		strcat(strcat(all, args->argv[n]), " ");
	domdef_free(d);
	return all;
}

static void cards_and_boot_order_reach_the_machine(void **state)
{
	struct domdef_args args;
	char *all = arguments("<domain type='kvm'><name>m</name><memory>65536</memory><os>"
			      "<type machine='q35'>hvm</type><boot dev='network'/><boot dev='hd'/></os><devices>"
			      "<interface type='user'><mac address='52:54:00:00:00:01'/><model type='e1000'/>"
			      "</interface><interface type='user'><mac address='52:54:00:00:00:02'/>"
			      "<model type='rtl8139'/></interface>"
			      "</devices></domain>", &args);

	assert_non_null(strstr(all, "--boot-order=net,disk "));
	assert_non_null(strstr(all, "mac=52:54:00:00:00:01,model=e1000"));
	assert_non_null(strstr(all, "mac=52:54:00:00:00:02,model=rtl8139"));
	free(all);
	domdef_args_free(&args);
	all = arguments("<domain type='kvm'><name>m</name><memory>65536</memory><os><type machine='q35'>hvm</type></os>"
			"<devices><interface type='user'><mac address='52:54:00:00:00:01'/><boot order='2'/>"
			"</interface></devices></domain>", &args);
	assert_non_null(strstr(all, ",bootindex=2"));
	assert_null(strstr(all, "--boot-order"));
	free(all);
	domdef_args_free(&args);
}

static void root_ports_of_the_document_are_the_machines(void **state)
{
	struct domdef_args args;
	char *all = arguments("<domain type='qemu'><name>a</name><memory>65536</memory><os>"
			      "<type machine='q35'>hvm</type></os><devices>"
			      "<controller type='pci' index='2' model='pcie-root-port'/>"
			      "<disk><source file='/a'/><target dev='vda'/><address type='pci' bus='0x02' "
			      "slot='0x00'/></disk><memballoon model='none'/></devices></domain>", &args);

	assert_non_null(strstr(all, "--pci-slots=port2 --root-ports=8"));
	domdef_args_free(&args);
	free(all);
}

static struct domdef_device coming(const char *xml)
{
	struct domdef_device dev;

	assert_int_equal(domdef_device_parse(&dev, xml, strlen(xml), 0, NULL), 0);
	return dev;
}

static void devices_that_come_get_a_port(void **state)
{
	struct domdef *d = parse(MINIMAL("", "<memballoon model='none'/>"), 0);
	struct domdef_place place = { .file = "/dev/fdset/16", .helper = "/dev/fdset/16" };
	char disk[] = "<disk><source file='/a'/><target dev='vdb'/></disk>", *option, id[DOMDEF_ID_MAX];
	struct domdef_device dev = coming(disk);
	struct err e = { 0 };
	unsigned port;

	assert_int_equal(domdef_place_at_port(d, &dev, &e), -ENOSPC);
	assert_string_equal(e.text, "No more available PCI slots");
	assert_int_equal(domdef_name_ports(d, &e), 0);
	for (unsigned n = 1; n <= DOMDEF_PORTS; n++) {
		disk[strlen(disk) - strlen("b'/></disk>")] = (char)('a' + n);
		domdef_device_free(&dev);
		dev = coming(disk);
		assert_int_equal(domdef_place_at_port(d, &dev, &e), 0);
		assert_int_equal(dev.dev->address.bus.v, n);
		assert_int_equal(domdef_device_attach(d, &dev, &e), 0);
		assert_int_equal(domdef_vmm_device(&option, &port, d, domdef_kind_find("disk"),
						   &d->disks.v[n - 1]->dev, &place, &e), 0);
		assert_int_equal(port, n);
		if (n == 1)
			assert_string_equal(option, "--disk=/dev/fdset/16,format=raw,id=vdb");
		free(option);
	}
	dev = coming("<interface type='user'><mac address='52:54:00:00:00:09'/></interface>");
	assert_int_equal(domdef_place_at_port(d, &dev, &e), -ENOSPC);
	domdef_device_free(&dev);
	dev = coming("<interface type='user'><mac address='52:54:00:00:00:09'/>"
		     "<address type='pci' bus='0' slot='5'/></interface>");
	assert_int_equal(domdef_place_at_port(d, &dev, &e), -ENOTSUP);
	domdef_device_free(&dev);
	dev = coming("<video><model type='vga'/></video>");
	assert_int_equal(domdef_vmm_device(&option, &port, d, dev.kind, dev.dev, &place, &e), -ENOTSUP);
	assert_false(domdef_device_id(dev.kind, dev.dev, id));
	domdef_device_free(&dev);
	domdef_free(d);
}

/* What is to be absent, and what becomes of failures. */
static void absent_parts_and_policies(void **state)
{
	struct domdef_args args;
	char *all = arguments("<domain type='qemu'><name>a</name><uuid>11111111-2222-4333-8444-555555555555</uuid>"
			      "<memory>65536</memory><os><type machine='q35'>hvm</type></os>"
			      "<clock offset='utc'><timer name='hpet' present='no'/></clock>"
			      "<pm><suspend-to-mem enabled='no'/><suspend-to-disk enabled='no'/></pm><devices>"
			      "<disk><driver error_policy='stop'/><source file='/a'/><target dev='vda'/></disk>"
			      "<disk><driver error_policy='enospace'/><source file='/b'/><target dev='vdb'/></disk>"
			      "<disk><driver error_policy='ignore' rerror_policy='report'/><source file='/c'/>"
			      "<target dev='vdc'/></disk></devices></domain>", &args);

	has(all, " --no-s3 --no-s4 --no-hpet ");
	has(all, "--disk=/a,format=raw,id=vda,werror=stop,rerror=stop ");
	has(all, "--disk=/b,format=raw,id=vdb,werror=enospc ");
	has(all, "--disk=/c,format=raw,id=vdc,werror=ignore,rerror=report ");
	assert_int_equal(args.note_count, 0);
	domdef_args_free(&args);
	free(all);
}

static void firmware_boots_without_a_kernel(void **state)
{
	struct domdef_args args;
	char *all = arguments("<domain type='qemu'><name>a</name><uuid>11111111-2222-4333-8444-555555555555</uuid>"
			      "<memory>65536</memory><os firmware='efi'>"
	                      "<type machine='q35'>hvm</type></os><devices><disk><source file='/a'/>"
	                      "<target dev='vda'/></disk><interface type='user'><mac address='52:54:00:00:00:01'/>"
	                      "<address type='pci' bus='0x04' slot='0x00'/></interface></devices></domain>", &args);

	assert_string_equal(all, "--board=pc --uuid=11111111-2222-4333-8444-555555555555 "
	                    "--firmware=uefi --firmware-vars=/n --memory=65536K --cpus=1 --accel=soft "
	                    "--disk=/a,format=raw,id=vda "
	                    "--net=user,mac=52:54:00:00:00:01,id=net-525400000001 --serial=none --balloon "
	                    "--pci-slots=port1,1,port2 --root-ports=8 ");
	assert_int_equal(args.note_count, 1);
	has(args.note[0], "slots 1 to 24");
	domdef_args_free(&args);
	free(all);
}

static void nodes_and_ports_of_a_pc(void **state)
{
	struct domdef_args args;
	char *all =
		arguments("<domain type='kvm'><name>a</name><uuid>11111111-2222-4333-8444-555555555555</uuid>"
			  "<genid>22222222-2222-4333-8444-555555555555</genid>"
			  "<vcpu>4</vcpu><os><type machine='q35'>hvm</type></os>"
			  "<cpu mode='host-passthrough'><numa><cell id='0' cpus='0-1,3' memory='1' unit='GiB'>"
			  "<distances><sibling id='1' value='21'/></distances></cell>"
			  "<cell id='1' cpus='2' memory='524288'/></numa></cpu>"
			  "<devices><serial type='null'/>"
			  "<serial type='file'><source path='/s'/><target port='1'/></serial>"
			  "<parallel type='file'><source path='/p'/></parallel>"
			  "<memballoon model='none'/></devices></domain>",
			  &args);

	assert_string_equal(all, "--board=pc --uuid=11111111-2222-4333-8444-555555555555 "
			    "--vmgenid=22222222-2222-4333-8444-555555555555 --firmware=bios --memory=1572864K --cpus=4 "
			    "--numa=node,cpus=0-1,cpus=3,mem=1048576K --numa=node,cpus=2,mem=524288K "
			    "--numa=dist,src=0,dst=1,val=21 --accel=auto --serial=none --serial=file:/s "
			    "--parallel=file:/p --root-ports=8 ");
	domdef_args_free(&args);
	free(all);
}

static void drives_of_a_pc(void **state)
{
	struct domdef_args args;
	char *all =
		arguments("<domain type='kvm'><name>a</name><uuid>11111111-2222-4333-8444-555555555555</uuid>"
			  "<memory>65536</memory><os>"
			  "<type machine='q35'>hvm</type>"
			  "</os><devices><disk device='cdrom'><target dev='sdc'/></disk>"
			  "<disk device='cdrom'><source file='/c,d'/><target dev='sdb'/></disk>"
			  "<disk><driver type='qcow2'/><source file='/a'/><target dev='sda'/></disk>"
			  "<memballoon model='none'/></devices></domain>",
			  &args);

	assert_string_equal(all, "--board=pc --uuid=11111111-2222-4333-8444-555555555555 "
	                    "--firmware=bios --memory=65536K --cpus=1 --accel=auto "
	                    "--disk=/a,format=qcow2,bus=sata,id=sda,unit=0 "
			    "--disk=/c,,d,format=raw,cdrom,bus=sata,readonly,id=sdb,unit=1 "
			    "--disk=none,cdrom,bus=sata,id=sdc,unit=2 "
	                    "--serial=none --root-ports=8 ");
	domdef_args_free(&args);
	free(all);
}

#define PC(more, devices)                                                                                        \
	"<domain type='kvm'><name>a</name><memory>65536</memory><os><type machine='q35'>hvm</type>"              \
	more "</os><devices><memballoon model='none'/>" devices "</devices></domain>"
#define DRIVE(target, bus, address, more)                                                                        \
	"<disk><source file='/" target "'/><target dev='" target "' bus='" bus "'/>" more "<address type='drive' " \
	address "/></disk>"

static void drives_have_their_numbers(void **state)
{
	struct domdef_args args;
	char *all = arguments(PC("", DRIVE("sda", "sata", "controller='0' bus='0' target='0' unit='4'",
				       "<serial>A,B</serial>")
				 DRIVE("hda", "ide", "controller='0' bus='1' unit='1'", "")
				 DRIVE("sdb", "scsi", "controller='0' bus='0' target='3' unit='0'",
				       "<serial>123456789012345678901</serial>")
				 DRIVE("sdc", "scsi", "controller='0' bus='0' target='0' unit='3'", "")
				 "<disk><source file='/v'/><target dev='vda'/><serial>V1</serial></disk>"), &args);
	unsigned told = 0;

	has(all, "--disk=/sda,format=raw,bus=sata,id=sda,unit=4,serial=A,,B ");
	has(all, "--disk=/hda,format=raw,bus=ide,id=hda,unit=3 ");
	has(all, "--disk=/sdb,format=raw,bus=scsi,id=sdb,unit=3,serial=12345678901234567890 ");
	has(all, "--disk=/sdc,format=raw,bus=scsi,id=sdc "); /* target 3 is the other's */
	has(all, "--disk=/v,format=raw,id=vda,serial=V1 ");
	for (unsigned n = 0; n < args.note_count; n++)
		told += strstr(args.note[n], "sdb") || strstr(args.note[n], "sdc");
	assert_int_equal(told, 2);
	domdef_args_free(&args);
	free(all);
}

static void floppies(void **state)
{
	struct domdef_args args;
	char *all = arguments(PC("<boot dev='fd'/><boot dev='hd'/>",
				 "<disk device='floppy'><source file='/f'/><target dev='fda'/><readonly/></disk>"
				 "<disk device='floppy'><target dev='fdb'/></disk>"), &args);

	has(all, "--boot-order=floppy,disk ");
	has(all, "--disk=/f,format=raw,bus=floppy,readonly,id=fda,unit=0 ");
	has(all, "--disk=none,bus=floppy,id=fdb,unit=1 ");
	domdef_args_free(&args);
	free(all);
}

static void a_kernel_beside_drives_of_a_pc(void **state)
{
	struct domdef_args args;
	char *all = arguments(PC("<kernel>/k</kernel><initrd>/i</initrd><cmdline>x=1</cmdline>",
				 "<disk device='cdrom'><target dev='sda' bus='sata'/></disk>"), &args);

	has(all, "--board=pc ");
	has(all, "--firmware=bios --kernel=/k --initrd=/i --append=x=1 ");
	has(all, "--disk=none,cdrom,bus=sata,id=sda,unit=0 ");
	domdef_args_free(&args);
	free(all);
}

static void small_wishes_are_granted(void **state)
{
	struct domdef_args args;
	char *all =
		arguments("<domain type='kvm'><name>a</name><memory>65536</memory><os><type machine='q35'>hvm</type>"
			  "</os><clock offset='variable' adjustment='3600'/><on_crash>preserve</on_crash><devices>"
			  "<watchdog model='i6300esb' action='poweroff'/><interface type='user'>"
			  "<mac address='52:54:00:00:00:01'/><model type='virtio'/><link state='down'/>"
			  "<rom enabled='no'/></interface></devices></domain>",
			  &args);

	has(all, "--rtc=+3600 ");
	has(all, "--watchdog=poweroff");
	has(all, ",link=off,romfile=none ");
	domdef_args_free(&args);
	free(all);
}

static void what_has_no_effect_is_said(void **state)
{
	static const char *const words[] = {"<bandwidth>", "copy_on_read", "nosharepages", "graphics", "'kvmclock'",
					    "<cache>",     "schedulers",   "autodeflate",  "useserial"};
	struct domdef_args args;
	char *all =
		arguments("<domain type='kvm'><name>a</name><memory>65536</memory><memoryBacking><nosharepages/>"
			  "</memoryBacking><cputune><vcpusched vcpus='0' scheduler='fifo' priority='1'/></cputune>"
			  "<os><type machine='q35'>hvm</type><bios useserial='yes'/></os><features><acpi/></features>"
			  "<cpu mode='host-passthrough'><cache mode='passthrough'/></cpu>"
			  "<clock offset='utc'><timer name='kvmclock' present='no'/></clock><devices>"
			  "<disk><driver name='qemu' type='raw' copy_on_read='on'/><source file='/a'/>"
			  "<target dev='vda'/></disk><interface type='user'><mac address='52:54:00:00:00:01'/>"
			  "<bandwidth><inbound average='100'/></bandwidth></interface>"
			  "<memballoon model='virtio' autodeflate='on'/><graphics type='vnc'/></devices></domain>",
			  &args);

	for (size_t w = 0; w < COUNT_OF(words); w++) {
		bool said = false;

		for (unsigned n = 0; n < args.note_count; n++)
			said |= strstr(args.note[n], words[w]) != NULL;
		if (!said)
			fail_msg("nothing is said of %s", words[w]);
	}
	domdef_args_free(&args);
	free(all);
}

static void usb_is_plugged_in(void **state)
{
	struct domdef_args args;
	char *all = arguments("<domain type='kvm'><name>a</name><uuid>11111111-2222-4333-8444-555555555555</uuid>"
			      "<memory>65536</memory><os><type machine='q35'>hvm</type></os><devices>"
			      "<controller type='usb' model='qemu-xhci'/>"
			      "<disk><source file='/a'/><target dev='sda' bus='usb'/></disk>"
			      "<input type='tablet' bus='usb'/><input type='keyboard' bus='virtio'/>"
			      "<input type='keyboard' bus='usb'><address type='usb' bus='0' port='2.3.1'/></input>"
			      "<hub type='usb'><address type='usb' bus='0' port='2.3'/></hub>"
			      "<hub type='usb'><address type='usb' bus='0' port='2'/></hub>"
			      "<video><model type='virtio'/></video><memballoon model='none'/></devices></domain>",
			      &args);

	has(all, "--disk=/a,format=raw,bus=usb,id=sda ");
	has(all, "--usb=controller,slot=3 --usb=hub,port=2 --usb=hub,port=2.3 --input=keyboard "
		 "--usb=keyboard,port=2.3.1 --usb=tablet --video=virtio ");
	domdef_args_free(&args);
	free(all);
}

static void processors_are_named(void **state)
{
	struct domdef_args args;
	char *all = arguments(MINIMAL("<cpu mode='custom' check='none'><model>Haswell-noTSX</model>"
				      "<feature policy='disable' name='aes'/>"
				      "<feature policy='require' name='sha-ni'/></cpu>", ""), &args);

	has(all, "--cpu=Haswell-noTSX,-aes,+sha-ni,enforce=off ");
	domdef_args_free(&args);
	free(all);
}

static void a_bootloader_means_the_kernel_on_the_disk(void **state)
{
	struct domdef_args args;
	char *all = arguments("<domain type='kvm'><name>a</name><memory>65536</memory>"
			      "<bootloader>/usr/bin/pygrub</bootloader><os><type machine='q35'>hvm</type>"
			      "<cmdline>more=1</cmdline></os><devices><disk><source file='/a'/>"
			      "<target dev='vda'/></disk></devices></domain>", &args);

	has(all, "--board=micro --boot-from-disk --append=more=1 ");
	has(all, "--disk=/a,");
	assert_null(strstr(all, "--kernel"));
	assert_null(strstr(all, "--firmware"));
	domdef_args_free(&args);
	free(all);
}

static void ports_are_forwarded(void **state)
{
	struct domdef_args args;
	char *all = arguments(MINIMAL("", "<interface type='user'><mac address='52:54:00:00:00:01'/>"
			     "<portForward proto='tcp' address='0.0.0.0'><range start='2222' to='22'/>"
			     "<range start='8000' end='8001'/></portForward>"
			     "<portForward proto='udp'><range start='53'/></portForward></interface>"), &args);

	has(all, "--net=user,mac=52:54:00:00:00:01,id=net-525400000001,"
	    "forward=tcp:0.0.0.0:2222:22,forward=tcp:0.0.0.0:8000:8000,"
		 "forward=tcp:0.0.0.0:8001:8001,forward=udp:53:53 ");
	domdef_args_free(&args);
	free(all);
}

static void impossible_machines_are_refused(void **state)
{
	static const struct {
		const char *xml, *says;
	} table[] = {
		{"<domain type='kvm'><name>a</name><memory>65536</memory><bootloader>/x</bootloader><os>"
		 "<type machine='q35'>hvm</type></os><devices><disk><source file='/a'/><target dev='sda' bus='sata'/>"
		 "</disk></devices></domain>",
		 "drive 'sda'"},
		{MINIMAL("<on_reboot>rename-restart</on_reboot>", ""), "<on_reboot>"},
		{MINIMAL("<on_poweroff>preserve</on_poweroff>", ""), "<on_poweroff> 'preserve'"},
		{MINIMAL("<clock offset='timezone' timezone='Europe/Madrid'/>", ""), "timezone"},
		{PC("", "<watchdog model='i6300esb' action='dump'/>"), "action 'dump'"},
		{MINIMAL("", "<watchdog model='ib700'/>"), "ib700"},
		{MINIMAL("", "<tpm><backend type='emulator'/></tpm>"), "tpm"},
		{MINIMAL("<cpu><model>Hasnowell</model></cpu>", ""), "Hasnowell"},
		{"<domain type='kvm'><name>a</name><memory>65536</memory><os><type machine='panal-micro'>hvm</type>"
		 "</os></domain>", "<kernel>"},
		{MINIMAL("", "<interface type='user'><portForward proto='sctp'><range start='1'/></portForward>"
			     "</interface>"), "proto='tcp'"},
		{MINIMAL("", "<interface type='user'><portForward proto='tcp'><range start='9' end='8'/></portForward>"
			     "</interface>"), "<range>"},
		{MINIMAL("", "<disk><driver type='vmdk'/><source file='/a'/><target dev='vda'/></disk>"), "'vmdk'"},
	};
	struct domdef_place place = { 0 };
	struct domdef_args args;

	for (size_t n = 0; n < COUNT_OF(table); n++) {
		struct domdef *d = parse(table[n].xml, 0);
		struct err e = { 0 };

		assert_int_equal(domdef_vmm_args(&args, d, &place, &e), -ENOTSUP);
		has(e.text, table[n].says);
		domdef_free(d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cards_and_boot_order_reach_the_machine),
		cmocka_unit_test(samples_survive_the_loop),
		cmocka_unit_test(unknown_parts_are_kept),
		cmocka_unit_test(validation_names_the_unknown),
		cmocka_unit_test(defaults_are_filled_in),
		cmocka_unit_test(places_follow_the_board),
		cmocka_unit_test(absent_parts_and_policies),
		cmocka_unit_test(given_places_stay), cmocka_unit_test(ports_come_to_an_end),
		cmocka_unit_test(drives_have_one_place_each),
		cmocka_unit_test(aliases_are_for_running_machines),
		cmocka_unit_test(secrets_need_the_flag),
		cmocka_unit_test(errors_name_the_cause),
		cmocka_unit_test(usb_is_plugged_in),
		cmocka_unit_test(metadata_is_set_by_namespace),
		cmocka_unit_test(devices_come_and_go),
		cmocka_unit_test(live_updates_are_limited),
		cmocka_unit_test(arguments_follow),
		cmocka_unit_test(root_ports_of_the_document_are_the_machines),
		cmocka_unit_test(devices_that_come_get_a_port),
		cmocka_unit_test(firmware_boots_without_a_kernel),
		cmocka_unit_test(nodes_and_ports_of_a_pc), cmocka_unit_test(drives_of_a_pc),
		cmocka_unit_test(a_bootloader_means_the_kernel_on_the_disk),
		cmocka_unit_test(ports_are_forwarded),
		cmocka_unit_test(processors_are_named),
		cmocka_unit_test(drives_have_their_numbers),
		cmocka_unit_test(floppies),
		cmocka_unit_test(a_kernel_beside_drives_of_a_pc),
		cmocka_unit_test(small_wishes_are_granted),
		cmocka_unit_test(what_has_no_effect_is_said),
		cmocka_unit_test(impossible_machines_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
