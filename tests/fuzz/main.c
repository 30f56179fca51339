/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Runs a fuzz target without libFuzzer: over the files named, or over a fixed number of made-up inputs. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUTS = 300, SIZE = 2048, FILE_MAX = 1 << 20 };

static int run_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *buf = malloc(FILE_MAX);
	if (!f || !buf) {
		fprintf(stderr, "%s cannot be read\n", path);
		return 1;
	}
	size_t len = fread(buf, 1, FILE_MAX, f);
	fclose(f);
	LLVMFuzzerTestOneInput(buf, len);
	free(buf);
	return 0;
}

int main(int argc, char **argv)
{
	uint8_t buf[SIZE];
	uint64_t x = 88172645463325252u;
	for (int n = 1; n < argc; n++)
		if (run_file(argv[n]))
			return 1;
	for (unsigned n = 0; argc < 2 && n < INPUTS; n++) {
		for (unsigned k = 0; k < SIZE; k++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			buf[k] = x >> 24;
		}
		LLVMFuzzerTestOneInput(buf, SIZE);
	}
	return 0;
}
