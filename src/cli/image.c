/* SPDX-License-Identifier: GPL-2.0-or-later */
/* panal image: make, look at, check, copy and resize disk images. */
#include "block/disk_image.h"

#include "base/opt.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/say.h"
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Exit status of image check: as scripts know it from qemu-img. */
enum { STATUS_FAILED = 1, STATUS_USAGE = 2, STATUS_CORRUPT = 2, STATUS_LEAKS = 3 };

struct arguments {
	const char *format, *to_format, *backing, *backing_format, *snapshot, *compression, *cluster;
	bool json, repair, shrink, compress, lazy;
	char **rest;
	int count;
};

static void usage(FILE *out)
{
	fputs(_("usage: panal image create  -f FORMAT [-b BACKING -F FORMAT] [options] PATH [SIZE]\n"
	      "       panal image info    -f FORMAT [--json] PATH\n"
	      "       panal image check   [-f qcow2] [--repair] [--json] PATH\n"
	      "       panal image convert -f FORMAT -O FORMAT [-c] [-s SNAPSHOT] [options] FROM TO\n"
	      "       panal image resize  -f FORMAT [--shrink] PATH SIZE|+SIZE\n"
	      "       panal image snapshot list [-f qcow2] [--json] PATH\n"
	      "FORMAT is raw or qcow2; it is never guessed. Sizes: bytes, or with K, M, G, T.\n"
	      "Options of a new qcow2 image: --cluster-size SIZE, --compression zlib|zstd, --lazy-refcounts.\n"
	      "Exit status: 0; 1 it failed; 2 wrong command line, or check found errors; 3 check found leaks only.\n"),
	      out);
}

static int fail(const struct err *e)
{
	say_err("image", e);
	return STATUS_FAILED;
}

static int print_json(json_t *object)
{
	json_dumpf(object, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(object);
	return 0;
}

/* --- progress --- */

static void show_progress(void *opaque, uint64_t done, uint64_t total)
{
	enum { WIDTH = 40 };
	int *shown = opaque, percent = total ? done * 100 / total : 100;
	char bar[WIDTH + 1];
	if (percent == *shown)
		return;
	*shown = percent;
	memset(bar, ' ', WIDTH);
	memset(bar, '#', percent * WIDTH / 100);
	bar[WIDTH] = 0;
	fprintf(stderr, "\r[%s] %3d%%%s", bar, percent, percent == 100 ? "\n" : "");
}

/* --- commands --- */

static int open_image(struct disk_image *i, const struct arguments *a, const char *format, bool write, bool check,
		      struct err *e)
{
	struct disk_image_open o = {.path = a->rest[0], .write = write, .for_check = check, .snapshot = a->snapshot};
	int rc = disk_image_format_parse(a->format ? a->format : format, &o.format, e);
	return rc ? rc : disk_image_open(i, &o, e);
}

/* What the options say about a new image. */
static int new_image(const struct arguments *a, struct qcow2_create *c, struct err *e)
{
	uint64_t cluster = 0;
	*c = (struct qcow2_create){
		.backing = a->backing, .backing_format = a->backing_format, .lazy_refcounts = a->lazy};
	if (a->cluster && parse_size(a->cluster, &cluster, e))
		return e->code;
	if (cluster & (cluster - 1))
		return err_set(e, -EINVAL, _("the cluster size %s is no power of two"), a->cluster);
	c->cluster_bits = cluster ? __builtin_ctzll(cluster) : 0;
	if (!a->compression || !strcmp(a->compression, "zlib"))
		return 0;
	c->compression = QCOW2_ZSTD;
	return strcmp(a->compression, "zstd") ? err_set(e, -EINVAL, _("compression is zlib or zstd")) : 0;
}

/* The backing file's size is the size where none is said. Its name is relative to the new image. */
static int backing_size(const struct arguments *a, uint64_t *size, struct err *e)
{
	const char *slash = strrchr(a->rest[0], '/');
	struct disk_image_open o = {0};
	struct disk_image i;
	char *path = NULL;
	int rc = disk_image_format_parse(a->backing_format, &o.format, e);
	if (rc)
		return rc;
	if (asprintf(&path, "%.*s%s", slash && a->backing[0] != '/' ? (int)(slash - a->rest[0] + 1) : 0, a->rest[0],
		     a->backing) < 0)
		return err_set(e, -ENOMEM, _("out of memory"));
	o.path = path;
	rc = disk_image_open(&i, &o, e);
	if (!rc) {
		*size = i.size;
		rc = disk_image_close(&i);
	}
	free(path);
	return rc;
}

static int create(const struct arguments *a)
{
	struct err e = {0};
	struct qcow2_create c;
	enum disk_format format;
	uint64_t size = 0;
	int rc = disk_image_format_parse(a->format, &format, &e);
	if (!rc)
		rc = new_image(a, &c, &e);
	if (!rc && a->backing)
		rc = backing_size(a, &size, &e);
	if (!rc && a->count > 1)
		rc = parse_size(a->rest[1], &size, &e);
	if (!rc && a->count < 2 && !a->backing)
		rc = err_set(&e, -EINVAL, _("how large? panal image create -f FORMAT PATH SIZE"));
	if (!rc) {
		c.size = size;
		rc = disk_image_create(a->rest[0], format, &c, &e);
	}
	return rc ? fail(&e) : 0;
}

static json_t *info_json(const struct arguments *a, const struct disk_image *i)
{
	json_t *o = json_pack("{s:s, s:s, s:I}", "filename", a->rest[0], "format", i->q ? "qcow2" : "raw",
			      "virtual-size", (json_int_t)i->size);
	struct qcow2_info q;
	if (!i->q)
		return o;
	qcow2_info(i->q, &q);
	json_object_set_new(o, "version", json_integer(q.version));
	json_object_set_new(o, "cluster-size", json_integer(q.cluster));
	json_object_set_new(o, "file-size", json_integer(q.file_size));
	json_object_set_new(o, "refcount-bits", json_integer(q.refcount_bits));
	json_object_set_new(o, "compression", json_string(q.compression == QCOW2_ZSTD ? "zstd" : "zlib"));
	json_object_set_new(o, "dirty", json_boolean(q.dirty));
	json_object_set_new(o, "corrupt", json_boolean(q.corrupt));
	json_object_set_new(o, "lazy-refcounts", json_boolean(q.lazy_refcounts));
	json_object_set_new(o, "snapshots", json_integer(q.snapshots));
	if (q.backing)
		json_object_set_new(o, "backing-filename", json_string(q.backing));
	if (q.backing_format)
		json_object_set_new(o, "backing-format", json_string(q.backing_format));
	return o;
}

static void info_text(json_t *o)
{
	const char *key;
	json_t *v;
	json_object_foreach(o, key, v)
	{
		if (json_is_string(v))
			printf("%-18s%s\n", key, json_string_value(v));
		else if (json_is_integer(v))
			printf("%-18s%lld\n", key, (long long)json_integer_value(v));
		else
			printf("%-18s%s\n", key, json_is_true(v) ? _("yes") : _("no"));
	}
	json_decref(o);
}

static int info(const struct arguments *a)
{
	struct err e = {0};
	struct disk_image i;
	if (open_image(&i, a, NULL, false, true, &e))
		return fail(&e);
	json_t *o = info_json(a, &i);
	(void)!disk_image_close(&i);
	if (a->json)
		return print_json(o);
	info_text(o);
	return 0;
}

static void check_text(const struct qcow2_check *c)
{
	if (c->first[0])
		printf("%s\n", c->first);
	printf(_("%llu errors, %llu leaked clusters; mended: %llu and %llu\n"), (unsigned long long)c->corruptions,
	       (unsigned long long)c->leaks, (unsigned long long)c->corruptions_fixed,
	       (unsigned long long)c->leaks_fixed);
	printf(_("%llu of %llu clusters are in use, %llu of them compressed\n"), (unsigned long long)c->allocated,
	       (unsigned long long)c->clusters, (unsigned long long)c->compressed);
	if (c->incomplete)
		fputs(_("the image has bitmaps, which are not followed: leaks are unknown\n"), stdout);
}

static void check_json(const struct qcow2_check *c)
{
	print_json(json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "corruptions", (json_int_t)c->corruptions, "leaks",
			     (json_int_t)c->leaks, "corruptions-fixed", (json_int_t)c->corruptions_fixed, "leaks-fixed",
			     (json_int_t)c->leaks_fixed, "total-clusters", (json_int_t)c->clusters,
			     "allocated-clusters", (json_int_t)c->allocated, "compressed-clusters",
			     (json_int_t)c->compressed));
}

static int check(const struct arguments *a)
{
	struct err e = {0};
	struct qcow2_check c = {0};
	struct disk_image i;
	if (a->format && strcmp(a->format, "qcow2")) {
		err_set(&e, -EINVAL, _("only qcow2 has something to check"));
		return fail(&e);
	}
	if (open_image(&i, a, "qcow2", a->repair, true, &e))
		return fail(&e);
	int rc = qcow2_check(i.q, a->repair, &c, &e), closed = disk_image_close(&i);
	if (rc)
		return fail(&e);
	if (closed) {
		err_errno(&e, -closed, _("the image cannot be written"));
		return fail(&e);
	}
	if (a->json)
		check_json(&c);
	else
		check_text(&c);
	if (c.corruptions > c.corruptions_fixed)
		return STATUS_CORRUPT;
	return c.leaks > c.leaks_fixed ? STATUS_LEAKS : 0;
}

static int convert(const struct arguments *a)
{
	struct err e = {0};
	struct disk_image from;
	int shown = -1;
	struct disk_image_convert c = {.from = &from, .path = a->rest[1], .compress = a->compress, .opaque = &shown};
	if (isatty(STDERR_FILENO))
		c.progress = show_progress;
	int rc = disk_image_format_parse(a->to_format, &c.format, &e);
	if (!rc)
		rc = new_image(a, &c.create, &e);
	if (!rc && a->backing)
		rc = err_set(&e, -EINVAL, _("convert makes an image that stands alone: no -b"));
	if (!rc)
		rc = open_image(&from, a, NULL, false, false, &e);
	if (rc)
		return fail(&e);
	rc = disk_image_convert(&c, &e);
	(void)!disk_image_close(&from);
	return rc ? fail(&e) : 0;
}

static int resize(const struct arguments *a)
{
	struct err e = {0};
	struct disk_image i;
	uint64_t size;
	bool more = a->rest[1][0] == '+';
	int rc = parse_size(a->rest[1] + more, &size, &e);
	if (!rc)
		rc = open_image(&i, a, NULL, true, false, &e);
	if (rc)
		return fail(&e);
	rc = disk_image_resize(&i, more ? i.size + size : size, a->shrink, &e);
	int closed = disk_image_close(&i);
	if (!rc && closed)
		rc = err_errno(&e, -closed, _("the image cannot be written"));
	return rc ? fail(&e) : 0;
}

static json_t *snapshot_json(const struct qcow2_snapshot_info *s)
{
	return json_pack("{s:s, s:s, s:I, s:I, s:I}", "id", s->id, "name", s->name, "disk-size",
			 (json_int_t)s->disk_size, "vm-state-size", (json_int_t)s->vm_state_size, "date",
			 (json_int_t)s->date);
}

static int snapshot_list(const struct arguments *a)
{
	struct err e = {0};
	struct disk_image i;
	struct qcow2_info info;
	if (open_image(&i, a, "qcow2", false, true, &e))
		return fail(&e);
	json_t *list = json_array();
	if (i.q)
		qcow2_info(i.q, &info);
	if (!a->json)
		printf("%-8s%-24s%-18s%-22s%s\n", _("ID"), _("NAME"), _("DISK"), _("DATE"), _("VM STATE"));
	for (unsigned n = 0; i.q && n < info.snapshots; n++) {
		const struct qcow2_snapshot_info *s = qcow2_snapshot(i.q, n);
		time_t when = s->date;
		char date[32];
		struct tm tm;
		strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", localtime_r(&when, &tm));
		json_array_append_new(list, snapshot_json(s));
		if (!a->json)
			printf("%-8s%-24s%-18llu%-22s%llu\n", s->id, s->name, (unsigned long long)s->disk_size, date,
			       (unsigned long long)s->vm_state_size);
	}
	(void)!disk_image_close(&i);
	if (a->json)
		return print_json(list);
	json_decref(list);
	return 0;
}

/* --- the command line --- */

static const struct {
	const char *name;
	int least, most;
	int (*run)(const struct arguments *a);
} commands[] = {
	{"create", 1, 2, create}, {"info", 1, 1, info}, {"check", 1, 1, check}, {"convert", 2, 2, convert},
	{"resize", 2, 2, resize}, {"snapshot", 1, 1, snapshot_list},
};

enum { OPT_JSON = 256, OPT_REPAIR, OPT_SHRINK, OPT_CLUSTER, OPT_COMPRESSION, OPT_LAZY };

static const struct option longs[] = {
	{"format", required_argument, NULL, 'f'}, {"output-format", required_argument, NULL, 'O'},
	{"backing", required_argument, NULL, 'b'}, {"backing-format", required_argument, NULL, 'F'},
	{"snapshot", required_argument, NULL, 's'}, {"compress", no_argument, NULL, 'c'},
	{"json", no_argument, NULL, OPT_JSON}, {"repair", no_argument, NULL, OPT_REPAIR},
	{"shrink", no_argument, NULL, OPT_SHRINK}, {"cluster-size", required_argument, NULL, OPT_CLUSTER},
	{"compression", required_argument, NULL, OPT_COMPRESSION}, {"lazy-refcounts", no_argument, NULL, OPT_LAZY},
	{"help", no_argument, NULL, 'h'}, {0},
};

/* 0, or what getopt_long returned that is no option of ours ('h', '?'). */
static int parse(struct arguments *a, int argc, char **argv)
{
	for (int c; (c = getopt_long(argc, argv, "f:O:b:F:s:ch", longs, NULL)) != -1;) {
		switch (c) {
		case 'f': a->format = optarg; break;
		case 'O': a->to_format = optarg; break;
		case 'b': a->backing = optarg; break;
		case 'F': a->backing_format = optarg; break;
		case 's': a->snapshot = optarg; break;
		case 'c': a->compress = true; break;
		case OPT_JSON: a->json = true; break;
		case OPT_REPAIR: a->repair = true; break;
		case OPT_SHRINK: a->shrink = true; break;
		case OPT_CLUSTER: a->cluster = optarg; break;
		case OPT_COMPRESSION: a->compression = optarg; break;
		case OPT_LAZY: a->lazy = true; break;
		default: return c;
		}
	}
	a->rest = argv + optind;
	a->count = argc - optind;
	return 0;
}

int image_main(int argc, char **argv)
{
	struct arguments a = {0};
	int other = parse(&a, argc, argv);
	if (other == 'h') {
		usage(stdout);
		return 0;
	}
	const char *name = !other && a.count ? a.rest[0] : "";
	unsigned words = 1 + (!strcmp(name, "snapshot") && a.count > 1 && !strcmp(a.rest[1], "list"));
	if (!strcmp(name, "snapshot") && words == 1)
		name = "";
	a.rest += words;
	a.count -= words;
	for (size_t n = 0; n < COUNT_OF(commands); n++)
		if (!strcmp(commands[n].name, name) && a.count >= commands[n].least && a.count <= commands[n].most)
			return commands[n].run(&a);
	usage(stderr);
	return STATUS_USAGE;
}
