/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Texts that people read, in their language (gettext). The translations are in po/; whoever has no program main that
 * sets the language gets them as they stand here. */
#ifndef PANAL_BASE_TEXT_H
#define PANAL_BASE_TEXT_H

#include <libintl.h>
#include <stddef.h>

/* A text in the user's language. */
#define _(text) gettext(text)
/* Marks a text for the translators where it stands in a table. */
#define N_(text) text

/* Once, at a program's start: the user's language, and where its texts are (PANAL_LOCALEDIR, when it is installed). */
void text_begin(const char *installed);

/* What an engine or a daemon says, in the user's language. These speak English, to scripts and logs; their commonest
 * errors are known here by their forms, with what stands in them, one behind another ("cannot do this: because: of
 * that"), and with the system's own words for errors. What is not known stays as it is, whole or in part. `out` may be
 * `text`. */
void text_told(const char *text, char *out, size_t size);

#endif
