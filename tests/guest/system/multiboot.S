/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Multiboot entry. KLUDGE: the header gives load addresses, for an image without ELF headers. */
	.set MAGIC, 0x1badb002
#ifdef KLUDGE
	.set FLAGS, 0x10003
#else
	.set FLAGS, 3
#endif
	.section .text.boot, "ax"
	.balign 4
header:
	.long MAGIC, FLAGS, -(MAGIC + FLAGS)
	.long header, load_begin, load_end, bss_end, multiboot_start

	.code32
	.globl multiboot_start
multiboot_start:
	movl $stack_top, %esp
	push %ebx
	push %eax
	call multiboot_main
1:	hlt
	jmp 1b

	/* Leaves no way to deliver an exception. */
	.globl triple_fault
triple_fault:
	lidt no_table
	int3
no_table:
	.word 0
	.long 0

	.bss
	.balign 16
	.skip 16384
stack_top:
