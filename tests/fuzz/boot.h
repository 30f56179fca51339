/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the targets of direct boot share: bytes in memory as a kernel, installed into a small machine. */
#ifndef PANAL_TESTS_FUZZ_BOOT_H
#define PANAL_TESTS_FUZZ_BOOT_H

#include "arch/x86/boot/image.h"

typedef int boot_installer(struct boot *b, struct gmem *mem, const struct boot_layout *l, struct x86_state *cpu,
                           struct err *e);

/* Two initrds of odd sizes and a command line come with it. The bytes are those given, not copied: a read beyond them
 * is seen. */
void fuzz_boot(boot_installer *install, const uint8_t *data, size_t size, bool guest_decompress);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
