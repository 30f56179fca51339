/* SPDX-License-Identifier: GPL-2.0-or-later */
/* panal completion: the table of commands as bash, zsh and fish want it. What is installed for them is this output. */
#include "base/text.h"
#include "cli/command.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* The options of a command that are in no table: panal run's, which its help lists. */
#define OPTIONS_OF_HELP "$(panal %s --help | sed -n 's/^ *\\(--[a-z-]*\\).*/\\1/p')"

/* ---- pieces ---- */

/* In single quotes. */
static void put_quoted(const char *text, const char *quote, bool colons)
{
	putchar('\'');
	for (; *text; text++)
		if (*text == '\'')
			fputs(quote, stdout);
		else if (*text == ':' && colons)
			fputs("\\:", stdout);
		else
			putchar(*text);
	putchar('\'');
}

/* The options without what says that a value follows. */
static void put_options(const char *options)
{
	for (; *options; options++)
		if (*options != '=')
			putchar(*options);
}

static void put_words(const struct command *c)
{
	if (c->options)
		put_options(c->options);
	else
		printf(OPTIONS_OF_HELP, c->name);
}

/* ---- bash ---- */

static void bash_case(const struct command *c)
{
	printf("\t%s)\n\t\t[[ $word != -* ]] || words=\"", c->name);
	put_words(c);
	fputs(" --help\"\n", stdout);
	if (c->words == WORDS_MACHINES)
		puts("\t\t[[ $word == -* ]] || words=$(panal ls -q 2>/dev/null)");
	else if (c->words == WORDS_LIST)
		printf("\t\t[[ $word == -* || $COMP_CWORD -gt 2 ]] || words=\"%s\"\n", c->list);
	puts("\t\t;;");
}

static void bash(void)
{
	fputs("# bash completion of panal, made by panal completion bash\n\n_panal()\n{\n"
	      "\tlocal word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} words=\n"
	      "\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n\t\tCOMPREPLY=($(compgen -W \"", stdout);
	for (size_t n = 0; panal_commands[n].name; n++)
		printf("%s%s", n ? " " : "", panal_commands[n].name);
	fputs("\" -- \"$word\"))\n\t\treturn\n\tfi\n\tcase $command in\n", stdout);
	for (size_t n = 0; panal_commands[n].name; n++)
		bash_case(&panal_commands[n]);
	puts("\tesac\n\tCOMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
	     "\t[ -n \"${COMPREPLY[*]}\" ] || compopt -o default 2>/dev/null\n}\ncomplete -F _panal panal");
}

/* ---- zsh ---- */

static void zsh_case(const struct command *c)
{
	printf("\t%s)\n\t\tif [[ $PREFIX == -* ]]; then\n\t\t\tcompadd -- ", c->name);
	put_words(c);
	puts(" --help");
	if (c->words == WORDS_MACHINES)
		puts("\t\telse\n\t\t\tcompadd -- ${(f)\"$(panal ls -q 2>/dev/null)\"}");
	else if (c->words == WORDS_LIST)
		printf("\t\telif (( CURRENT == 3 )); then\n\t\t\tcompadd -- %s\n\t\telse\n\t\t\t_files\n", c->list);
	else if (c->words == WORDS_FILES)
		puts("\t\telse\n\t\t\t_files");
	puts("\t\tfi\n\t\t;;");
}

static void zsh(void)
{
	puts("#compdef panal\n# zsh completion of panal, made by panal completion zsh\n\n_panal() {\n"
	     "\tlocal -a commands\n\tcommands=(");
	for (size_t n = 0; panal_commands[n].name; n++) {
		printf("\t\t%s:", panal_commands[n].name);
		put_quoted(_(panal_commands[n].help), "'\\''", true);
		putchar('\n');
	}
	puts("\t)\n\tif (( CURRENT == 2 )); then\n"
	     "\t\t_describe command commands\n\t\treturn\n\tfi\n\tcase $words[2] in");
	for (size_t n = 0; panal_commands[n].name; n++)
		zsh_case(&panal_commands[n]);
	/* From a folder of completions, or read in by hand. */
	puts("\tesac\n}\n\nif [ \"$funcstack[1]\" = _panal ]; then\n\t_panal \"$@\"\nelse\n\tcompdef _panal panal\nfi");
}

/* ---- fish ---- */

static const char of_command[] = "complete -c panal -n '__fish_seen_subcommand_from ";

static void fish_options(const struct command *c)
{
	for (const char *o = c->options; *o; o += strspn(o, " ")) {
		size_t len = strcspn(o, " =");

		printf("%s%s' -l %.*s%s\n", of_command, c->name, (int)len - 2, o + 2, o[len] == '=' ? " -r" : "");
		o += len + (o[len] == '=');
	}
}

static void fish_command(const struct command *c)
{
	printf("complete -c panal -n __fish_use_subcommand -a %s -d ", c->name);
	put_quoted(_(c->help), "\\'", false);
	putchar('\n');
	if (c->options)
		fish_options(c);
	else
		printf("%s%s' -a \"(panal %s --help | string match -rg '^ +(--[a-z-]+)')\"\n", of_command, c->name,
		       c->name);
	if (c->words == WORDS_MACHINES)
		printf("%s%s' -a '(panal ls -q 2>/dev/null)'\n", of_command, c->name);
	else if (c->words == WORDS_LIST)
		printf("%s%s; and test (count (commandline -opc)) -eq 2' -a '%s'\n", of_command, c->name, c->list);
	if (c->words == WORDS_FILES || (c->words == WORDS_LIST && c->options && *c->options))
		printf("%s%s' -F\n", of_command, c->name);
}

static void fish(void)
{
	puts("# fish completion of panal, made by panal completion fish\n\ncomplete -c panal -f");
	for (size_t n = 0; panal_commands[n].name; n++)
		fish_command(&panal_commands[n]);
}

/* ---- the command ---- */

int completion_main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*print)(void);
	} shells[] = { { "bash", bash }, { "zsh", zsh }, { "fish", fish } };
	bool help = argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"));

	for (size_t n = 0; n < sizeof(shells) / sizeof(shells[0]); n++)
		if (argc == 2 && !strcmp(argv[1], shells[n].name)) {
			shells[n].print();
			return 0;
		}
	fputs(_("usage: panal completion bash | zsh | fish\n"
		"Prints what that shell needs: source <(panal completion bash). An installation has it already.\n"),
	      help ? stdout : stderr);
	return help ? 0 : 2;
}
