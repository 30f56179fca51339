/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bootdisk/script_priv.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { WORD_MAX = 8192 };

struct script *script_create(script_command command, void *opaque)
{
	struct script *s = calloc(1, sizeof(*s));

	if (s) {
		s->command = command;
		s->opaque = opaque;
	}
	return s;
}

static void variable_free(struct script_variable *v)
{
	free(v->name);
	free(v->value);
	free(v);
}

void script_destroy(struct script *s)
{
	if (!s)
		return;
	for (struct script_chunk *c = s->memory, *next; c; c = next) {
		next = c->next;
		free(c);
	}
	for (struct script_variable *v = s->variables, *next; v; v = next) {
		next = v->next;
		variable_free(v);
	}
	free(s);
}

void *script_alloc(struct script *s, size_t size)
{
	struct script_chunk *c;

	if (size > SCRIPT_MEMORY_MAX || s->used > SCRIPT_MEMORY_MAX - size)
		return NULL;
	c = calloc(1, sizeof(*c) + size);
	if (!c)
		return NULL;
	c->next = s->memory;
	s->memory = c;
	s->used += sizeof(*c) + size;
	return c + 1;
}

/* ---- variables ---- */

static struct script_variable *find_variable(const struct script *s, const char *name)
{
	struct script_variable *v = s->variables;

	while (v && strcmp(v->name, name))
		v = v->next;
	return v;
}

const char *script_get(const struct script *s, const char *name)
{
	const struct script_variable *v = find_variable(s, name);

	return v ? v->value : "";
}

int script_set(struct script *s, const char *name, const char *value)
{
	struct script_variable *v = find_variable(s, name);
	char *text = strdup(value);

	if (text && !v) {
		v = calloc(1, sizeof(*v));
		if (v)
			v->name = strdup(name);
		if (v && v->name) {
			v->next = s->variables;
			s->variables = v;
		} else {
			free(v);
			v = NULL;
		}
	}
	if (!text || !v) {
		free(text);
		return -ENOMEM;
	}
	free(v->value);
	v->value = text;
	return 0;
}

int script_export(struct script *s, const char *name)
{
	struct script_variable *v = find_variable(s, name);
	int ret = v ? 0 : script_set(s, name, "");

	if (ret == 0)
		find_variable(s, name)->exported = true;
	return ret;
}

void script_enter_submenu(struct script *s)
{
	for (struct script_variable **at = &s->variables, *v; (v = *at);) {
		if (v->exported) {
			at = &v->next;
		} else {
			*at = v->next;
			variable_free(v);
		}
	}
}

/* ---- words into arguments ---- */

struct args {
	const struct script *s;
	char *argv[SCRIPT_ARGS_MAX];
	unsigned argc;
	char *word; /* being put together: WORD_MAX bytes */
	size_t len;
	bool begun; /* also an empty word counts once it had quotes */
};

static void put(struct args *a, char c)
{
	if (a->len < WORD_MAX - 1)
		a->word[a->len++] = c;
	a->begun = true;
}

static void end_word(struct args *a)
{
	if (a->begun && a->argc < SCRIPT_ARGS_MAX) {
		a->word[a->len] = 0;
		a->argv[a->argc] = strdup(a->word);
		a->argc += a->argv[a->argc] != NULL;
	}
	a->len = 0;
	a->begun = false;
}

/* The name behind a dollar; how many characters it takes. */
static size_t variable_name(const char *text, char *name, size_t size)
{
	size_t len = 0, skip = text[0] == '{', over = skip;

	while (isalnum((unsigned char)text[over]) || text[over] == '_' ||
	       (!len && strchr("?@#*", text[over]) && text[over])) {
		if (len < size - 1)
			name[len++] = text[over];
		over++;
	}
	name[len] = 0;
	if (skip)
		over += text[over] == '}';
	return len ? over : 0;
}

/* Without quotes a value's blanks part words. */
static size_t put_variable(struct args *a, const char *text, bool quoted)
{
	char name[64];
	size_t over = variable_name(text, name, sizeof(name));

	if (!over) {
		put(a, '$');
		return 0;
	}
	for (const char *v = script_get(a->s, name); *v; v++) {
		if (!quoted && (*v == ' ' || *v == '\t' || *v == '\n'))
			end_word(a);
		else
			put(a, *v);
	}
	return over;
}

static void expand_word(struct args *a, const char *text)
{
	char quote = 0;

	for (; *text; text++) {
		if (quote != '\'' && *text == '$') {
			text += put_variable(a, text + 1, quote != 0);
		} else if (*text == quote && quote) {
			quote = 0;
		} else if (!quote && (*text == '\'' || *text == '"')) {
			quote = *text;
			a->begun = true;
		} else if (*text == '\\' && quote != '\'' && text[1] && (!quote || strchr("$\"\\", text[1]))) {
			put(a, *++text);
		} else {
			put(a, *text);
		}
	}
	end_word(a);
}

static int expand(struct args *a, const struct script *s, const struct script_word *words)
{
	*a = (struct args){.s = s, .word = malloc(WORD_MAX)};
	if (!a->word)
		return -ENOMEM;
	for (; words; words = words->next)
		expand_word(a, words->text);
	return 0;
}

static void args_free(struct args *a)
{
	for (unsigned n = 0; n < a->argc; n++)
		free(a->argv[n]);
	free(a->word);
}

void script_expand(const struct script *s, const char *text, char *out, size_t size)
{
	size_t len = 0;

	for (; *text; text++) {
		char name[64];
		size_t over = *text == '$' ? variable_name(text + 1, name, sizeof(name)) : 0;
		const char *value = over ? script_get(s, name) : NULL;

		for (; value && *value && len < size - 1; value++)
			out[len++] = *value;
		if (!over && len < size - 1)
			out[len++] = *text;
		text += over;
	}
	out[len] = 0;
}

/* ---- running ---- */

static int run_list(struct script *s, const struct script_block *b, int *status, struct err *e);

/* NAME=VALUE as a command. */
static bool assign(struct script *s, const char *word, int *ret)
{
	const char *eq = strchr(word, '=');
	char name[64];
	size_t len = eq ? (size_t)(eq - word) : 0;

	if (!len || len >= sizeof(name))
		return false;
	for (size_t n = 0; n < len; n++)
		if (!isalnum((unsigned char)word[n]) && word[n] != '_')
			return false;
	memcpy(name, word, len);
	name[len] = 0;
	*ret = script_set(s, name, eq + 1);
	return true;
}

static const struct script_function *find_function(const struct script *s, const char *name)
{
	const struct script_function *f = s->functions;

	while (f && strcmp(f->name, name))
		f = f->next;
	return f;
}

static int run_simple(struct script *s, const struct script_block *b, int *status, struct err *e)
{
	const struct script_function *f;
	struct args a;
	int ret = expand(&a, s, b->words);

	if (ret == 0 && a.argc) {
		f = find_function(s, a.argv[0]);
		if (f)
			ret = run_list(s, f->body, status, e);
		else if (a.argc == 1 && assign(s, a.argv[0], &ret))
			*status = 0;
		else
			*status = s->command(s->opaque, a.argc, a.argv, b->body);
	}
	args_free(&a);
	return ret == -ENOMEM ? err_set(e, ret, "out of memory") : ret;
}

static int define(struct script *s, const struct script_block *b, struct err *e)
{
	struct script_function *f = script_alloc(s, sizeof(*f));

	if (!f || !b->words)
		return err_set(e, -E2BIG, "a function without a name, or too many of them");
	*f = (struct script_function){.next = s->functions, .name = b->words->text, .body = b->body};
	s->functions = f;
	return 0;
}

static int run_loop(struct script *s, const struct script_block *b, int *status, struct err *e)
{
	int ret = 0, condition = 0;

	while (ret == 0) {
		ret = run_list(s, b->condition, &condition, e);
		if (ret < 0 || (condition == 0) == (b->kind == SCRIPT_UNTIL))
			break;
		ret = run_list(s, b->body, status, e);
	}
	return ret;
}

static int run_for(struct script *s, const struct script_block *b, int *status, struct err *e)
{
	struct args a;
	int ret = expand(&a, s, b->words);

	for (unsigned n = 2; ret == 0 && n < a.argc; n++) {
		ret = script_set(s, a.argv[0], a.argv[n]);
		if (ret == 0)
			ret = run_list(s, b->body, status, e);
	}
	args_free(&a);
	return ret == -ENOMEM ? err_set(e, ret, "out of memory") : ret;
}

static int run_one(struct script *s, const struct script_block *b, int *status, struct err *e)
{
	int condition = 0, ret;

	switch (b->kind) {
	case SCRIPT_SIMPLE: return run_simple(s, b, status, e);
	case SCRIPT_FUNCTION: return define(s, b, e);
	case SCRIPT_FOR: return run_for(s, b, status, e);
	case SCRIPT_WHILE:
	case SCRIPT_UNTIL: return run_loop(s, b, status, e);
	case SCRIPT_IF: break;
	}
	ret = run_list(s, b->condition, &condition, e);
	return ret < 0 ? ret : run_list(s, condition == 0 ? b->body : b->otherwise, status, e);
}

static int run_list(struct script *s, const struct script_block *b, int *status, struct err *e)
{
	int ret = 0;

	if (++s->depth > SCRIPT_DEPTH_MAX)
		ret = err_set(e, -E2BIG, "functions and blocks within each other, too deep");
	*status = 0;
	/* an empty list counts too: a loop has nothing else */
	for (s->steps++; ret == 0 && b; b = b->next) {
		if (++s->steps > SCRIPT_STEPS_MAX)
			ret = err_set(e, -E2BIG, "the script does not come to its end");
		else
			ret = run_one(s, b, status, e);
	}
	if (ret == 0 && s->steps > SCRIPT_STEPS_MAX)
		ret = err_set(e, -E2BIG, "the script does not come to its end");
	s->depth--;
	return ret;
}

int script_run(struct script *s, const char *text, size_t len, struct err *e)
{
	struct script_block *b;
	int status, ret = script_parse(s, text, len, &b, e);

	return ret < 0 ? ret : run_list(s, b, &status, e);
}

int script_run_block(struct script *s, const struct script_block *b, struct err *e)
{
	int status;

	return run_list(s, b, &status, e);
}
