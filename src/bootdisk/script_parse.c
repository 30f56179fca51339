/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bootdisk/script_priv.h"

#include <errno.h>
#include <string.h>

struct parser {
	struct script *s;
	const char *at, *end;
	const char *word; /* where the last word began */
	unsigned line, depth;
	unsigned braces; /* open ones */
	struct err *e;
	int ret;
};

enum token { T_END, T_SEPARATOR, T_WORD };

static void fail(struct parser *p, int code, const char *what)
{
	if (p->ret == 0)
		p->ret = err_set(p->e, code, "line %u: %s", p->line, what);
}

static char *copy(struct parser *p, const char *from, size_t len)
{
	char *text = script_alloc(p->s, len + 1);

	if (!text)
		fail(p, -E2BIG, "the script is too large");
	else
		memcpy(text, from, len);
	return text;
}

/* Blanks, comments, and line ends that a backslash takes away. */
static void skip_blank(struct parser *p)
{
	for (; p->at < p->end; p->at++) {
		if (*p->at == '#') {
			while (p->at < p->end && *p->at != '\n')
				p->at++;
			return;
		}
		if (*p->at == '\\' && p->at + 1 < p->end && p->at[1] == '\n') {
			p->at++;
			p->line++;
		} else if (*p->at != ' ' && *p->at != '\t' && *p->at != '\r') {
			return;
		}
	}
}

static bool ends_word(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ';';
}

/* Goes over one word with its quotes; in '...' nothing but the end counts, in "..." a backslash does. */
static void skip_word(struct parser *p)
{
	char quote = 0;

	for (; p->at < p->end && (quote || !ends_word(*p->at)); p->at++) {
		if (*p->at == '\n')
			p->line++;
		if (*p->at == '\\' && quote != '\'' && p->at + 1 < p->end)
			p->at++;
		else if (*p->at == quote)
			quote = 0;
		else if (!quote && (*p->at == '\'' || *p->at == '"'))
			quote = *p->at;
	}
	if (quote)
		fail(p, -EINVAL, "a quote is not closed");
}

static enum token next(struct parser *p, char **word)
{
	const char *begin;

	skip_blank(p);
	if (p->at >= p->end)
		return T_END;
	if (*p->at == '\n' || *p->at == ';') {
		p->line += *p->at == '\n';
		p->at++;
		return T_SEPARATOR;
	}
	p->word = begin = p->at;
	skip_word(p);
	*word = copy(p, begin, (size_t)(p->at - begin));
	return *word ? T_WORD : T_END;
}

static bool among(const char *word, const char *const *stops)
{
	for (; *stops; stops++)
		if (!strcmp(word, *stops))
			return true;
	return false;
}

static struct script_block *parse_list(struct parser *p, const char *const *stops, const char **stopped);

static const char *const no_stops[] = {NULL};
static const char *const brace[] = {"}", NULL};
static const char *const then[] = {"then", NULL};
static const char *const branches[] = {"elif", "else", "fi", NULL};
static const char *const fi[] = {"fi", NULL};
static const char *const do_word[] = {"do", NULL};
static const char *const done[] = {"done", NULL};

static struct script_block *new_block(struct parser *p, enum script_kind kind)
{
	struct script_block *b = script_alloc(p->s, sizeof(*b));

	if (!b)
		fail(p, -E2BIG, "the script is too large");
	else
		b->kind = kind;
	return b;
}

static void parse_if(struct parser *p, struct script_block *b)
{
	const char *stopped = NULL;

	b->condition = parse_list(p, then, &stopped);
	b->body = parse_list(p, branches, &stopped);
	if (p->ret < 0)
		return;
	if (!strcmp(stopped, "else")) {
		b->otherwise = parse_list(p, fi, &stopped);
	} else if (!strcmp(stopped, "elif")) {
		b->otherwise = new_block(p, SCRIPT_IF);
		if (b->otherwise && ++p->depth < SCRIPT_DEPTH_MAX)
			parse_if(p, b->otherwise);
		else
			fail(p, -E2BIG, "too many branches");
		p->depth--;
	}
}

static struct script_block *parse_braces(struct parser *p)
{
	const char *stopped;
	struct script_block *b;

	p->braces++;
	b = parse_list(p, brace, &stopped);
	p->braces--;
	return b;
}

/* Words up to the end of the command; a word that is an opening brace begins a block and ends it. A closing one ends
 * the command too, also where nothing parts it from the last word. */
static void parse_words(struct parser *p, struct script_block *b, char *first, bool with_block)
{
	struct script_word **tail = &b->words;
	unsigned count = 0;

	for (char *word = first; p->ret == 0;) {
		struct script_word *w;

		if (word && with_block && !strcmp(word, "{")) {
			b->body = parse_braces(p);
			return;
		}
		if (word && p->braces && !strcmp(word, "}")) {
			p->at = p->word;
			return;
		}
		w = word ? script_alloc(p->s, sizeof(*w)) : NULL;
		if (word && (!w || ++count > SCRIPT_ARGS_MAX)) {
			fail(p, -E2BIG, "a command has too many words");
			return;
		}
		if (w) {
			w->text = word;
			*tail = w;
			tail = &w->next;
		}
		word = NULL;
		if (next(p, &word) != T_WORD)
			return;
	}
}

static void parse_loop(struct parser *p, struct script_block *b)
{
	const char *stopped;

	if (b->kind == SCRIPT_FOR)
		parse_words(p, b, NULL, false);
	else
		b->condition = parse_list(p, do_word, &stopped);
	if (b->kind == SCRIPT_FOR)
		parse_list(p, do_word, &stopped); /* what stands before do: nothing */
	b->body = parse_list(p, done, &stopped);
}

static struct script_block *parse_command(struct parser *p, char *word)
{
	static const struct {
		const char *word;
		enum script_kind kind;
	} kinds[] = {{"if", SCRIPT_IF},
		     {"while", SCRIPT_WHILE},
		     {"until", SCRIPT_UNTIL},
		     {"for", SCRIPT_FOR},
		     {"function", SCRIPT_FUNCTION}};
	enum script_kind kind = SCRIPT_SIMPLE;
	struct script_block *b;

	for (size_t n = 0; n < COUNT_OF(kinds); n++)
		if (!strcmp(word, kinds[n].word))
			kind = kinds[n].kind;
	b = new_block(p, kind);
	if (!b)
		return NULL;
	if (kind == SCRIPT_IF)
		parse_if(p, b);
	else if (kind == SCRIPT_SIMPLE)
		parse_words(p, b, word, !strcmp(word, "menuentry") || !strcmp(word, "submenu"));
	else if (kind == SCRIPT_FUNCTION)
		parse_words(p, b, NULL, true);
	else
		parse_loop(p, b);
	return b;
}

/* Commands up to one of the words, or to the end of the text when there is none. */
static struct script_block *parse_list(struct parser *p, const char *const *stops, const char **stopped)
{
	struct script_block *first = NULL, **tail = &first;

	if (p->ret == 0 && ++p->depth > SCRIPT_DEPTH_MAX)
		fail(p, -E2BIG, "blocks within blocks, too deep");
	while (p->ret == 0) {
		char *word = NULL;
		enum token t = next(p, &word);

		if (t == T_SEPARATOR)
			continue;
		if (t == T_END) {
			if (stops[0])
				fail(p, -EINVAL, "the text ends within a block");
			break;
		}
		if (among(word, stops)) {
			*stopped = word;
			break;
		}
		*tail = parse_command(p, word);
		if (*tail)
			tail = &(*tail)->next;
	}
	p->depth--;
	return first;
}

int script_parse(struct script *s, const char *text, size_t len, struct script_block **out, struct err *e)
{
	struct parser p = {.s = s, .at = text, .end = text + len, .line = 1, .e = e};
	const char *stopped;

	if (len > SCRIPT_TEXT_MAX)
		return err_set(e, -E2BIG, "the script is larger than 1 MiB");
	*out = parse_list(&p, no_stops, &stopped);
	return p.ret;
}
