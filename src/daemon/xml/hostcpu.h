/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The processor of this host in the words that clients use: vendor, model by family and model number, features by the
 * CPUID bits (SDM 2A CPUID, APM 3 appendix E). */
#ifndef PANAL_DAEMON_XML_HOSTCPU_H
#define PANAL_DAEMON_XML_HOSTCPU_H

#include "base/compiler.h"

enum { HOSTCPU_FEATURES_MAX = 256 };

struct hostcpu {
	const char *vendor; /* "Intel", "AMD" or what the processor says of itself */
	const char *model;  /* "Haswell", "EPYC-Rome"...; the plainest that fits when the number is unknown */
	char vendor_text[13];
	char brand[49];
	unsigned family, number, stepping;
	const char *feature[HOSTCPU_FEATURES_MAX];
	unsigned feature_count;
};

void hostcpu_read(struct hostcpu *c);
bool hostcpu_has(const struct hostcpu *c, const char *feature);

#endif
