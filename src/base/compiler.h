/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Attributes and small language helpers. Nothing here has state. */
#ifndef PANAL_BASE_COMPILER_H
#define PANAL_BASE_COMPILER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define ATTR_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define ATTR_MUST_USE __attribute__((warn_unused_result))
#define ATTR_NORETURN __attribute__((noreturn))
#define ATTR_COLD __attribute__((cold))
#define ATTR_UNUSED __attribute__((unused))
#define ATTR_FALLTHROUGH __attribute__((fallthrough))
#define ATTR_PACKED __attribute__((packed))
#define ATTR_ALIGNED(n) __attribute__((aligned(n)))

/* After the last call of a function: keeps its frame alive over that call, which a tail call would not. */
#define KEEP_FRAME() __asm__ volatile("")

/* A C++ compiler may include any public header. */
#ifdef __cplusplus
#define PANAL_BEGIN_DECLS extern "C" {
#define PANAL_END_DECLS }
#else
#define PANAL_BEGIN_DECLS
#define PANAL_END_DECLS
#endif

#endif
