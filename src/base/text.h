/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Texts that people read, in their language (gettext). The translations are in po/; whoever has no program main that
 * sets the language gets them as they stand here. */
#ifndef PANAL_BASE_TEXT_H
#define PANAL_BASE_TEXT_H

#include <libintl.h>

/* A text in the user's language. */
#define _(text) gettext(text)
/* Marks a text for the translators where it stands in a table. */
#define N_(text) text

#endif
