/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Recipes: programs that make what machines of a kind begin with. Made once, then kept. */
#ifndef PANAL_CLI_RECIPE_H
#define PANAL_CLI_RECIPE_H

#include "cli/home.h"

/* Makes the folder by the recipe when it is not there yet, as a stage that is shown. */
int recipe_make(const char *recipe, const struct path *dir, struct err *e) ATTR_MUST_USE;

#endif
