/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For timing the interpreter: LOOP_ROUNDS rounds of an integer loop of 13 instructions (bench/run knows both):
 * a generator of random numbers, and a read-modify-write of a place that it chooses among 4 KiB. */
	.set	LOOP_ROUNDS, 10000000

	.section .note.pvh, "a", @note
	.long	4, 4, 18		/* name size, value size, XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.long	start

	.text
	.code32
	.globl	start
start:
	movl	$LOOP_ROUNDS, %ecx
	movl	$0x12345678, %ebx
1:	movl	%ebx, %eax
	shll	$13, %eax
	xorl	%eax, %ebx
	movl	%ebx, %eax
	shrl	$17, %eax
	xorl	%eax, %ebx
	leal	(%ebx, %ebx, 4), %eax
	andl	$0xffc, %eax
	movl	0x180000(%eax), %edx
	addl	%ebx, %edx
	movl	%edx, 0x180000(%eax)
	subl	$1, %ecx
	jnz	1b
	movw	$0xf4, %dx
	movb	$0, %al
	outb	%al, %dx
2:	hlt
	jmp	2b
