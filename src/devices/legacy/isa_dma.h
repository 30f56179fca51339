/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A PC's two DMA controllers (Intel 8237A) with their page registers: channels 0 to 3 move bytes, 5 to 7 words, below
 * 16 MiB. There only where a device of the ISA bus uses them.
 */
#ifndef PANAL_DEVICES_LEGACY_ISA_DMA_H
#define PANAL_DEVICES_LEGACY_ISA_DMA_H

#include "base/err.h"

struct isa_dma;
struct vm;

enum { ISA_DMA_CHANNELS = 8 };
enum isa_dma_way { ISA_DMA_TO_MEMORY, ISA_DMA_FROM_MEMORY };

int isa_dma_create(struct vm *vm, struct isa_dma **out, struct err *e) ATTR_MUST_USE;
/*
 * A device on the channel moves up to len bytes (whole units of it) between buf and memory: how many were moved. Fewer,
 * and *end: the channel's count ran out, which is the controller's TC line. 0 without *end: the guest has masked the
 * channel or programmed it for something else. Memory that is not there takes nothing and gives ones. Any thread.
 */
uint32_t isa_dma_move(struct isa_dma *d, unsigned channel, enum isa_dma_way way, void *buf, uint32_t len, bool *end);

#endif
