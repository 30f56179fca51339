# SPDX-License-Identifier: GPL-2.0-or-later
# A C source for the compiler to work on: awk -f source.awk -v functions=N
BEGIN {
	print "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\nstruct node { struct node *left, *right; long key; char name[16]; };"
	for (f = 0; f < functions; f++) {
		printf "static int table%d[64];\nlong work%d(struct node *n, long a, const char *s)\n{\n", f, f
		printf "\tlong sum = %d;\n\tfor (long i = 0; i < (a & 63); i++) {\n\t\ttable%d[i] += (int)(sum * %d);\n", f, f, f % 17 + 3
		printf "\t\tswitch ((sum + i) %% 7) {\n"
		for (c = 0; c < 6; c++)
			printf "\t\tcase %d: sum = sum * %d + table%d[(i + %d) & 63]; break;\n", c, c + f % 5 + 2, f, c * 3
		printf "\t\tdefault: sum ^= i << %d;\n\t\t}\n\t}\n", f % 11
		printf "\twhile (n) {\n\t\tif (n->key < a)\n\t\t\tn = n->left;\n\t\telse if (strcmp(n->name, s) > %d)\n\t\t\tn = n->right;\n", f % 3
		printf "\t\telse\n\t\t\treturn sum + (long)strlen(n->name);\n\t}\n\tchar text[64];\n"
		printf "\tsnprintf(text, sizeof(text), \"%%ld %d %%s\", sum, s);\n\treturn sum + text[a & 31]", f
		printf (f ? " + work%d(NULL, a - 1, s);\n}\n" : ";\n}\n"), f - 1
	}
}
